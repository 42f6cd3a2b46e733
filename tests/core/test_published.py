"""Derived: the time model against published measurements, with their sources.

Source: cover letter of the nested series v6 (20220516232138.1783324-1-dmatlack@google.com),
dirty_log_perf_test -n, seconds; N is without and Y with eager splitting. 1 GiB a vCPU is the tool's
default and an assumption. Those kernels flush as f0 does. The rows of 2 to 16 vCPUs gave the cost
model its split and walk times; 32 and 64 vCPUs are held out.
"""

import pytest

from tests.core.test_engine import outcome

ENABLE = {  # vCPUs: (N, Y)
    2: (0.001330, 0.018625), 4: (0.002763, 0.037248), 8: (0.005221, 0.074638),
    16: (0.010382, 0.149097), 32: (0.022109, 0.307984), 64: (0.085547, 0.854228),
}  # fmt: skip
CLEAR = {  # vCPUs: (first iteration: splits and walks, second iteration: walks alone), both Y
    2: (0.019836, 0.009931), 4: (0.039574, 0.019843), 8: (0.079119, 0.039952),
    16: (0.158007, 0.079537), 32: (0.330793, 0.163613), 64: (0.891763, 0.337337),
}  # fmt: skip


def enable_error(vcpus: int) -> float:
    """Relative error of the modelled extra time to enable dirty logging."""
    without, with_splits = ENABLE[vcpus]
    modelled = outcome(memslot_gib=float(vcpus), flush="f0", running_vcpus=vcpus)["total_ns"] / 1e9
    return float(modelled / (with_splits - without) - 1)


def clear_error(vcpus: int) -> float:
    """Relative error of the modelled first KVM_CLEAR_DIRTY_LOG over all of memory."""
    modelled = outcome(memslot_gib=float(vcpus), flush="f0", running_vcpus=vcpus, caller="clear")
    return float(modelled["total_ns"] / 1e9 / CLEAR[vcpus][0] - 1)


@pytest.mark.parametrize("vcpus", [2, 4, 8, 16])
def test_calibrated_rows_are_met_within_three_percent(vcpus: int) -> None:
    assert abs(enable_error(vcpus)) < 0.03
    assert abs(clear_error(vcpus)) < 0.03


def test_32_vcpus_held_out_are_met_within_six_percent() -> None:
    assert abs(enable_error(32)) < 0.06
    assert abs(clear_error(32)) < 0.06


def test_64_vcpus_held_out_are_a_known_miss() -> None:
    # Presumably two sockets: remote memory and a slower lock are not modelled. The model is a
    # quarter to a third too fast.
    assert -0.35 < enable_error(64) < -0.25
    assert -0.35 < clear_error(64) < -0.25


def test_flushing_at_every_split_costs_64_gib_with_64_vcpus_2_4_seconds_more() -> None:
    # 6.13 patch 20240805233114.4060019-4-dmatlack: (14.3345 - 4.7950) s / 130,996 flushes = 72.8 us
    # with 64 running vCPUs, 32,768 of which are 2.39 s. Used for calibration: 1.1 us a vCPU.
    f1, f0 = (outcome(flush=flavour, running_vcpus=64)["lock_held_ns"] for flavour in ("f1", "f0"))
    assert (f1 - f0) / 1e9 == pytest.approx(2.39, rel=0.05)


def test_a_hold_of_40_splits_lasts_between_0_4_and_0_7_ms_or_3_3_to_3_6_when_flushing() -> None:
    # Derived bounds of 40 splits at 10 to 17 us, with 64 vCPUs 70.4 us more each. The model splits
    # in 9.65 us, the low end of what was measured, so it comes out 4% below both.
    assert outcome(flush="f0")["hold_ns_max"] / 1e6 == pytest.approx(0.4, rel=0.05)
    assert outcome(flush="f1", running_vcpus=64)["hold_ns_max"] / 1e6 == pytest.approx(
        3.3, rel=0.05
    )
