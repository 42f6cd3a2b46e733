"""The model: KVM's nested eager page splitting, as pure functions of arrays."""
