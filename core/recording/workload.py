"""What a user has recorded, as a workload: the one door for text that `workload.path` names."""

import numpy as np

from core.arrays import NONE, running
from core.constants import PTE_LIST_EXT
from core.demand import Demand
from core.recording import shadow_recording
from core.recording.histogram import CAVEAT, TITLE, histogram_scenario
from core.recording.rebuild import scenario_of
from core.recording.trace import parse_trace
from core.scenario import Scenario
from core.scenario.pages import ADDED, FLUSH
from core.scenario.walk import splits_of


def recorded_scenario(
    text: str,
    name: str,
    kernel: str,
    ext: int = PTE_LIST_EXT,
    distinct_role_ratio: float = 0.0,
    seed: int = 0,
) -> tuple[Scenario, list[str]]:
    """The workload in a trace (ftrace, trace-cmd, perf script) or in debugfs `mmu_rmaps_stat`.

    A trace knows its roles and places; a histogram does not, so that `distinct_role_ratio` and
    `seed` draw them. `kernel` is `v6_1` or `v6_12`. Returns the scenario, and remarks for the user.

    Raises
    ------
    ValueError
        With `name`, line and rule, if the text is neither or breaks a rule.
    """
    lines = list(enumerate(text.splitlines(), 1))
    if text.lstrip().startswith((TITLE, "Level=")):
        return histogram_scenario(lines, name, distinct_role_ratio, seed, ext), [CAVEAT]
    recording = shadow_recording(parse_trace(lines, name))
    return scenario_of(recording, kernel, ext), recording.notes


def recorded_demand(scenario: Scenario, kernel: str) -> Demand:
    """The demand of an explicit scenario, such as a recording, on `v6_1` or `v6_12`."""
    splits = splits_of(scenario, kernel)
    nr_splits = len(splits.level)
    taken = np.flatnonzero(splits.desc)
    huge = splits.start["pages_2m"] + splits.start["pages_1g"]
    added_2m = int(splits.counts[splits.level == 3, ADDED].sum())
    return Demand(
        nr_splits=nr_splits,
        nr_paged=nr_splits,
        reuse=np.flatnonzero(splits.created == 0),
        desc_at=taken,
        desc_sum=running(splits.desc[taken]),
        breaks=NONE,
        nr_huge_sptes=huge,
        giant=np.flatnonzero(splits.level == 3),
        nr_walked=splits.nr_heads_2m,
        nr_enospc=splits.enospc,
        nr_unsplit=huge + added_2m - nr_splits,
        nonleaf=np.flatnonzero(splits.counts[:, FLUSH]),
    )
