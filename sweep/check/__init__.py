"""Do the engines agree with recorded scenarios and recorded kernels? `cli` is the command."""
