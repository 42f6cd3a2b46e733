"""What a user has recorded, as a workload: the one door for text that `workload.path` names."""

from core.constants import PTE_LIST_EXT
from core.histogram import CAVEAT, TITLE, histogram_scenario
from core.rebuild import scenario_of
from core.recording import shadow_recording
from core.scenario import Scenario
from core.trace import parse_trace


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
    `seed` draw them. `kernel` is `v6_1` or `v6_12`. Returns the scenario, of which `core.walk`'s
    demand_of() makes what each split takes, and remarks for the user.

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
