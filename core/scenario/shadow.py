"""Shadow pages and rmaps of the reference machine, before and between splits.

What 512 children of one huge page have in common is held once: their rmaps are one list until one
of them is touched alone, and a shadow page only names the entries that differ from the rest.
"""

from collections import defaultdict
from collections.abc import Container, Iterator, Sequence
from typing import NamedTuple

from core.arrays import Ints
from core.constants import SPTES_PER_PAGE
from core.scenario.pte_list import LISTS, PteList

INDEX_BITS = 9


class Sptes(NamedTuple):
    """Operations that build the SPTEs of a scenario, in order. All int64, shape (n,).

    `level` is that of the leaf, `access` 0 zaps the leaf that was mapped before, `sp` is the group
    of the indirect parent, `rb` its other role bits, `direct` the direct shadow pages between.
    """

    gfn: Ints
    level: Ints
    access: Ints
    sp: Ints
    rb: Ints
    direct: Ints


class ShadowPage:
    """struct kvm_mmu_page. `group` is the scenario's sp, or -1 for a direct page.

    `spt` holds, by index, the access of a leaf or the page that a non-leaf entry points to. When
    `full`, all other entries are leaf entries too, else they are not present.
    """

    __slots__ = ("access", "full", "group", "invalid", "level", "parent_ptes", "rb", "spt")

    def __init__(self, group: int, level: int, access: int, rb: int, parent_ptes: PteList) -> None:
        self.group, self.level, self.access, self.rb = group, level, access, rb
        self.invalid = self.full = False
        self.spt: dict[int, int | ShadowPage] = {}
        self.parent_ptes = parent_ptes


class Rmaps:
    """The rmap heads of one level, by gfn >> 9 * (level - 1), in regions of 512 neighbours."""

    def __init__(self, kind: type[PteList]) -> None:
        self.kind = kind
        self.own: defaultdict[int, dict[int, PteList]] = defaultdict(dict)  # touched alone
        self.shared: defaultdict[int, PteList] = defaultdict(kind)  # what all others hold

    def head(self, index: int) -> PteList:
        """The list of one gfn, from now on apart from its neighbours'."""
        region = index >> INDEX_BITS
        if index not in self.own[region]:
            rest = self.shared.get(region)
            self.own[region][index] = rest.copy() if rest else self.kind()
        return self.own[region][index]

    def children(self, region: int, child: ShadowPage) -> Iterator[tuple[PteList, int]]:
        """Lists of the entries that `child` lacks, each with how many gfns it stands for."""
        for present in child.spt:
            self.head((region << INDEX_BITS) + present)
        own = self.own.get(region, {})
        for index, head in own.items():
            if index % SPTES_PER_PAGE not in child.spt:
                yield head, 1
        if others := SPTES_PER_PAGE - len(own):
            yield self.shared[region], others

    def occupied(self, first: int, last: int) -> Iterator[int]:
        """Indices from `first` to `last` whose list is not empty, ascending."""
        for region in range(first >> INDEX_BITS, (last >> INDEX_BITS) + 1):
            own, shared = self.own.get(region, {}), self.shared.get(region)
            start, stop = region << INDEX_BITS, region + 1 << INDEX_BITS
            span: Sequence[int] = range(max(first, start), min(last + 1, stop))
            if not shared and len(span) > len(own):
                span = sorted(index for index in own if index in span)
            yield from (index for index in span if own.get(index, shared))


class ShadowMmu:
    """All shadow pages and rmaps of a VM, as the operations of a scenario set them up.

    `misplaced` is the first operation whose slot does not allow it, as a tuple with the fields of
    Sptes: in use already, or to be zapped without a leaf there. None that follow are carried out.
    """

    def __init__(
        self, sptes: Sptes, kernel: str, ext: int, invalid_sps: Container[int] = ()
    ) -> None:
        self.ext = ext
        self.kind = LISTS[kernel]
        self.rmaps = [Rmaps(self.kind) for _ in range(4)]
        self.indirect: dict[tuple[int, int, int, int], ShadowPage] = {}
        self.direct: dict[tuple[int, int, int, int], ShadowPage] = {}
        self.seen_from: defaultdict[tuple[ShadowPage, int], set[ShadowPage]] = defaultdict(set)
        self.pages = [0, 0, 0, 0]  # kvm->stat.pages_*, by level
        self.desc_live = 0
        self.max_mmu_rmap_size = 0
        rows = zip(*(column.tolist() for column in sptes), strict=True)
        self.misplaced = next((row for row in rows if not self._place(*row)), None)
        for page in self.indirect.values():
            page.invalid = page.group in invalid_sps

    @property
    def n_used(self) -> int:
        """kvm->arch.n_used_mmu_pages, less the upper levels."""
        return len(self.indirect) + len(self.direct)

    def index(self, gfn: int, level: int) -> int:
        """Index of the entry for `gfn` in a shadow page of that level."""
        return gfn >> INDEX_BITS * (level - 1) & (SPTES_PER_PAGE - 1)

    def find_direct(self, gfn: int, level: int, access: int, rb: int) -> ShadowPage | None:
        """kvm_mmu_find_shadow_page() for a direct page: same gfn, level and role."""
        return self.direct.get((gfn >> INDEX_BITS * level, level, access, rb))

    def make_direct(self, gfn: int, level: int, access: int, rb: int) -> ShadowPage:
        """kvm_mmu_alloc_shadow_page() for a direct page."""
        page = ShadowPage(-1, level, access, rb, self.kind())
        self.direct[gfn >> INDEX_BITS * level, level, access, rb] = page
        return page

    def rmap_add(self, head: PteList, page: ShadowPage, times: int = 1) -> int:
        """__rmap_add() to `times` equal lists. Returns the descriptors it takes."""
        count, taken = head.add(page, self.ext)
        self.max_mmu_rmap_size = max(self.max_mmu_rmap_size, count)
        self.pages[page.level] += times
        self.desc_live += taken * times
        return taken * times

    def link(self, parent: ShadowPage, index: int, child: ShadowPage) -> int:
        """Point an entry at `child`; mmu_page_add_parent_pte(). Returns descriptors taken."""
        parent.spt[index] = child
        _, taken = child.parent_ptes.add(parent, self.ext)
        self.desc_live += taken
        return taken

    def drop_spte(self, head: PteList, page: ShadowPage) -> int:
        """drop_spte() of a leaf: rmap_remove(). Returns descriptors freed."""
        freed = head.remove(page)
        self.desc_live -= freed
        self.pages[page.level] -= 1
        return freed

    def _place(self, gfn: int, level: int, access: int, group: int, rb: int, direct: int) -> bool:
        """Map a leaf, or zap it if `access` is 0. Returns whether its slot allows that."""
        key = (group, rb, level + direct, gfn >> INDEX_BITS * (level + direct))
        if key not in self.indirect:
            self.indirect[key] = ShadowPage(group, level + direct, 0, rb, self.kind())
        top = self.indirect[key]
        page = self._table(top, gfn, level, access)
        if page is None:
            return False
        slot, head = self.index(gfn, level), self.rmaps[level].head(gfn >> INDEX_BITS * (level - 1))
        leaf = page.spt.get(slot)
        if isinstance(leaf, ShadowPage) or not (leaf or access):
            return False
        if not access:
            del page.spt[slot]
            self.drop_spte(head, page)
            self.seen_from.pop((page, slot), None)
        elif leaf is None:
            page.spt[slot] = access
            self.rmap_add(head, page)
        elif not direct or top in self.seen_from[page, slot]:
            return False
        if access and direct:
            self.seen_from[page, slot].add(top)
        return True

    def _table(self, page: ShadowPage, gfn: int, level: int, access: int) -> ShadowPage | None:
        """The shadow page of a leaf below `page`. Mapping makes the links that are missing.

        None if a link is missing, or leads to a page of another access.
        """
        while page.level > level:
            slot, below = self.index(gfn, page.level), page.level - 1
            if access and slot not in page.spt:
                child = self.find_direct(gfn, below, access, page.rb)
                self.link(page, slot, child or self.make_direct(gfn, below, access, page.rb))
            found = page.spt.get(slot)
            if not isinstance(found, ShadowPage) or access not in (0, found.access):
                return None
            page = found
        return page
