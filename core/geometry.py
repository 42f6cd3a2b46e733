"""Bytes of the three split caches."""

from typing import Any

from core.constants import KVM_MMU_PAGE_BYTES, PAGE_BYTES, POINTER_BYTES

OBJECT_BYTES = KVM_MMU_PAGE_BYTES + PAGE_BYTES
"""A page header and its shadow page."""


def desc_bytes(ext: Any) -> Any:
    """sizeof(struct pte_list_desc) with `ext` SPTE pointers: 128 at 14, 32 at 2. mmu.c."""
    return (2 + ext) * POINTER_BYTES


def standing_bytes(
    desc_capacity: Any, desc_left: Any, desc_filled: Any,
    object_capacity: Any, objects_left: Any, objects_filled: Any, ext: Any,
) -> Any:  # fmt: skip
    """Bytes that stay allocated until the VM is destroyed (mmu_free_vm_memory_caches(), mmu.c).

    The objects still cached and, for each cache that was ever filled, its array of pointers, which
    is allocated at the first top-up. Requested bytes: what the allocator rounds up is not counted.
    Scalars or arrays of one shape.
    """
    desc = desc_left * desc_bytes(ext) + desc_filled * desc_capacity * POINTER_BYTES
    objects = objects_left * OBJECT_BYTES + objects_filled * object_capacity * 2 * POINTER_BYTES
    return desc + objects


def full_bytes(desc_capacity: Any, object_capacity: Any, ext: Any) -> Any:
    """Bytes of all three caches when full: what a VM pays at most."""
    return standing_bytes(desc_capacity, desc_capacity, 1, object_capacity, object_capacity, 1, ext)
