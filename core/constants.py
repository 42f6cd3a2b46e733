"""Numbers of KVM's shadow MMU, each with the kernel file that defines it.

Read in Debian's linux-source-6.1 (6.1.192-2) and linux-source-6.12 (6.12.117-1).
`mmu.c` is arch/x86/kvm/mmu/mmu.c, `kvm_host.h` is arch/x86/include/asm/kvm_host.h.
"""

from typing import Final

SPTES_PER_PAGE: Final = 512
"""Entries of one page table: a huge page splits into this many. mmu/spte.h, SPTE_ENT_PER_PAGE."""

PAGES_PER_LEVEL: Final = (0, 1, 512, 512 * 512)
"""4 KiB pages mapped by one SPTE, by level: 1 = 4 KiB, 2 = 2 MiB, 3 = 1 GiB.
KVM_PAGES_PER_HPAGE."""

PAGE_BYTES: Final = 4096
HUGE_PAGES_PER_GIB: Final = 512
"""2 MiB pages in 1 GiB."""

SPLIT_DESC_CACHE_MIN: Final = SPTES_PER_PAGE + 1
"""Descriptors that one split may need: one a new leaf, one for parent_ptes.
mmu.c, SPLIT_DESC_CACHE_MIN_NR_OBJECTS."""

OBJECTS_PER_MEMORY_CACHE: Final = 40
"""Capacity of the page-header and shadow-page caches.
kvm_types.h, KVM_ARCH_NR_OBJS_PER_MEMORY_CACHE."""

SPLIT_DESC_CACHE_CAPACITY: Final = SPLIT_DESC_CACHE_MIN + OBJECTS_PER_MEMORY_CACHE
"""What the maintainers settled on: 553. mmu.c, topup_split_caches()."""

PTE_LIST_EXT: Final = 14
"""SPTE pointers in one pte_list_desc. mmu.c, PTE_LIST_EXT."""

RMAP_RECYCLE_THRESHOLD: Final = 1000
"""A rmap that already holds more entries than this is zapped when one is added.
mmu.c, RMAP_RECYCLE_THRESHOLD."""

MIN_FREE_MMU_PAGES: Final = 5
"""A split attempt with no more than this many shadow pages free ends with ENOSPC.
kvm_host.h, KVM_MIN_FREE_MMU_PAGES."""

MEMSLOT_PAGES_TO_MMU_PAGES_RATIO: Final = 50
"""kvm_host.h, KVM_MEMSLOT_PAGES_TO_MMU_PAGES_RATIO."""

MIN_ALLOC_MMU_PAGES: Final = 64
"""kvm_host.h, KVM_MIN_ALLOC_MMU_PAGES."""

KVM_MMU_PAGE_BYTES: Final = 184
"""sizeof(struct kvm_mmu_page), the page header. Compiled from both trees."""

POINTER_BYTES: Final = 8

EAGAIN: Final = -11
ENOMEM: Final = -12
ENOSPC: Final = -28


def max_mmu_pages(nr_pages: int) -> int:
    """Shadow pages that a VM with `nr_pages` 4 KiB pages of memslots may have.

    kvm_arch_commit_memory_region() in arch/x86/kvm/x86.c: kvm->arch.n_max_mmu_pages.
    """
    return max(nr_pages // MEMSLOT_PAGES_TO_MMU_PAGES_RATIO, MIN_ALLOC_MMU_PAGES)
