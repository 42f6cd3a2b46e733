"""Derived and invariant: point numbers against a grid written out by hand and by itertools."""

import json
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.parameters import BY_NAME, PARAMETERS
from sweep.grid import MAX_POINTS, Axis, Choice, Grid, Leaf, Node
from sweep.grid.values import Range
from sweep.plan import Plan

DEFAULTS = {p.name: p.default for p in PARAMETERS}


def rest(*swept: str) -> Leaf:
    return Leaf({n: v for n, v in DEFAULTS.items() if n not in swept})


def policy(option: str, *swept: str) -> Leaf:
    return Leaf({**rest(*swept).fixed, "policy": option})


def rows(grid: Grid, *names: str) -> list[tuple[Any, ...]]:
    columns = grid.columns(0, len(grid))
    return list(zip(*(columns[n].tolist() for n in names), strict=True))


def test_a_grid_without_axes_is_one_point_with_every_parameter() -> None:
    columns = Grid(rest()).columns(0, 1)
    assert {name: column.item() for name, column in columns.items()} == DEFAULTS


def test_the_last_axis_is_the_fastest() -> None:
    inner = Axis("desc_capacity", (513, 553, 1026), rest("desc_capacity", "alias_ratio"))
    grid = Grid(Axis("alias_ratio", (0, 0.1), inner))
    assert rows(grid, "alias_ratio", "desc_capacity") == [
        (0.0, 513),
        (0.0, 553),
        (0.0, 1026),
        (0.1, 513),
        (0.1, 553),
        (0.1, 1026),
    ]


def test_a_group_axis_between_value_axes_keeps_its_place() -> None:
    swept = ("alias_ratio", "desc_capacity")
    options = tuple(
        (o, Axis("desc_capacity", (513, 553), policy(o, *swept)))
        for o in ("kernel", "exact_demand")
    )
    grid = Grid(Axis("alias_ratio", (0, 0.1), Choice("policy", options)))
    # itertools.product([0, 0.1], [kernel, exact_demand], [513, 553]), as BasicSweeper launches it.
    wanted = list(product((0.0, 0.1), ("kernel", "exact_demand"), (513, 553)))
    assert rows(grid, "alias_ratio", "policy", "desc_capacity") == wanted
    assert grid.blocks() == 2


def test_blocks_may_differ_in_size() -> None:
    small = Axis("rounds", (1, 2), policy("kernel", "rounds"))
    large = Axis("seed", Range.of(5, 8), policy("opportunistic", "seed"))
    grid = Grid(Choice("experiment", (("a", small), ("b", large))))
    assert len(grid) == 2 + 3
    assert rows(grid, "policy", "rounds", "seed") == [
        ("kernel", 1, 0),
        ("kernel", 2, 0),
        ("opportunistic", 1, 5),
        ("opportunistic", 1, 6),
        ("opportunistic", 1, 7),
    ]
    assert grid.axes() == {
        "policy": ("kernel", "opportunistic"),
        "rounds": (1, 2),
        "seed": (0, 5, 6, 7),
    }


def test_each_option_counts_its_own_points() -> None:
    last = range(2, 7)
    options = tuple((str(n), Axis("rounds", Range.of(1, n), rest("rounds"))) for n in last)
    wanted = [(rounds,) for n in last for rounds in range(1, n)]
    assert rows(Grid(Choice("experiment", options)), "rounds") == wanted


def test_columns_have_the_same_dtype_in_every_range() -> None:
    grid = Grid(Choice("policy", tuple((o, policy(o)) for o in BY_NAME["policy"].choices)))
    dtypes = [{n: c.dtype for n, c in grid.columns(i, i + 1).items()} for i in range(len(grid))]
    assert all(a == b for a, b in pairwise(dtypes))
    assert [dtypes[0][n] for n in ("memslot_gib", "rounds", "preempt_on_contention")] == [
        np.dtype("f8"),
        np.dtype("i8"),
        np.dtype("?"),
    ]
    assert rows(grid, "policy") == [(o,) for o in BY_NAME["policy"].choices]


@st.composite
def trees(draw: st.DrawFn, names: tuple[str, ...] = ("seed", "rounds", "desc_min")) -> Node:
    kind = draw(st.sampled_from(("leaf", "axis", "range", "choice")))
    if kind == "leaf" or not names:
        missing = {n: draw(st.integers(1, 4)) for n in names}
        option = draw(st.sampled_from(("kernel", "exact_demand")))
        return Leaf({**policy(option, "seed", "rounds", "desc_min").fixed, **missing})
    if kind == "choice":
        options = draw(st.lists(trees(names), min_size=1, max_size=3))
        return Choice("group", tuple((str(i), o) for i, o in enumerate(options)))
    child = draw(trees(names[1:]))
    if kind == "axis":
        values = draw(st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True))
        return Axis(names[0], tuple(values), child)
    return Axis(names[0], Range.of(draw(st.integers(0, 3)), 9, draw(st.integers(1, 4))), child)


def brute(node: Node) -> Iterator[dict[str, Any]]:
    if isinstance(node, Leaf):
        yield dict(node.fixed)
    elif isinstance(node, Axis):
        yield from ({**p, node.name: v} for v in node.values for p in brute(node.child))
    else:
        for _, child in node.options:
            yield from brute(child)


@given(trees(), st.data())
def test_any_range_of_any_grid_is_a_slice_of_the_grid_written_out(
    tree: Node, data: st.DataObject
) -> None:
    grid, wanted = Grid(tree), list(brute(tree))
    assert len(grid) == len(wanted)
    first = data.draw(st.integers(0, len(grid)))
    last = data.draw(st.integers(first, len(grid)))
    columns = grid.columns(first, last)
    got = [{n: c[i].item() for n, c in columns.items()} for i in range(last - first)]
    assert got == wanted[first:last]


@given(trees())
def test_json_brings_back_the_same_grid(tree: Node) -> None:
    grid = Grid(tree)
    again = Grid.from_json(json.loads(json.dumps(grid.to_json())))
    assert (again.root, again.fixed, again.to_json()) == (grid.root, grid.fixed, grid.to_json())


def billion() -> Grid:
    swept = ("seed", "alias_ratio", "desc_capacity")
    inner = Axis("desc_capacity", Range.of(513, 1513), rest(*swept))
    return Grid(
        Axis("seed", Range.of(0, 1000), Axis("alias_ratio", Range.of(0, 1, "0.001"), inner))
    )


def test_a_billion_points_take_two_kilobytes_and_any_of_them_is_at_hand() -> None:
    grid = billion()
    assert len(grid) == 10**9
    assert len(json.dumps(grid.to_json())) < 2048
    assert {n: len(v) for n, v in grid.axes().items()} == {
        "seed": 1000,
        "alias_ratio": 1000,
        "desc_capacity": 1000,
    }
    assert grid.axes()["seed"] == Range.of(0, 1000)  # and no list of its values
    # 987654321 = 987 * 10^6 + 654 * 10^3 + 321
    row = {n: c.item() for n, c in grid.columns(987654321, 987654322).items()}
    assert (row["seed"], row["alias_ratio"], row["desc_capacity"]) == (987, 0.654, 513 + 321)


def test_memory_follows_the_rows_that_are_asked_for() -> None:
    grid = billion()
    tracemalloc.start()
    grid.columns(5 * 10**8, 5 * 10**8 + 1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1000 * len(PARAMETERS) * 100  # under 100 bytes a cell


def test_the_digest_of_a_run_names_what_its_grid_computes() -> None:
    def digest(grid: Grid) -> str:
        return Plan(name="t", points=len(grid), grid=grid.to_json(), segments=()).digest

    grid = Grid(Axis("rounds", (1, 2), rest("rounds")))
    written_otherwise = Grid(Axis("rounds", (1, 2), Leaf()), dict(rest("rounds").fixed))
    whole_numbers = Grid(Axis("rounds", (1.0, 2.0), rest("rounds")))
    assert digest(grid) == digest(written_otherwise) == digest(whole_numbers)
    assert digest(grid) != digest(Grid(Axis("rounds", (2, 1), rest("rounds"))))


def test_decimal_ranges_count_in_decimal() -> None:
    tenths = Range.of(0, 1, "0.1")
    # Added up in floats this is 0.30000000000000004 at the fourth, and an eleventh value.
    assert list(tenths) == [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert tenths.take(np.arange(10)).tolist() == list(tenths)
    assert [len(Range.of(0, 7, "0.7")), len(Range.of(0, "2.1", "0.7"))] == [10, 3]
    assert list(Range.of(1, "-0.5", "-0.5")) == [1, 0.5, 0]
    assert list(Range.of(9, 2, -3)) == [9, 6, 3]
    assert list(Range.of(10, 40, 10)) == [10, 20, 30]
    assert [list(Range.of(5, 6)), list(Range.of(5, 6, 2))] == [[5], [5]]
    assert str(Range.of(1, 9, 3)) == "range(1,10,3)"


@pytest.mark.parametrize("args", [(5, 5), (5, 1), (1, 5, -1), (1, 5, 0)])
def test_a_range_without_values_is_refused(args: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="has no values"):
        Range.of(*args)


def test_a_range_of_more_values_than_decimals_count_is_refused() -> None:
    with pytest.raises(ValueError, match="too many values"):
        Range.of(0, 10**40)


@pytest.mark.parametrize(
    ("start", "stop", "step", "values"),
    [
        # Whole numbers are below 2^63, tenths below 2^53 of them; the last value counts.
        (1, 2**63, 2**62 - 1, [1, 2**62, 2**63 - 1]),
        (2, 2**63 + 1, 2**62 - 1, None),
        ("900719925474099.0", "900719925474099.15", "0.1", [(2**53 - 2) / 10, (2**53 - 1) / 10]),
        ("900719925474099.1", "900719925474099.25", "0.1", None),
    ],
)
def test_a_range_ends_where_its_values_cannot_be_held_exactly(
    start: int | str, stop: int | str, step: int | str, values: list[float] | None
) -> None:
    if values is None:
        with pytest.raises(ValueError, match="more digits"):
            Range.of(start, stop, step)
    else:
        assert list(Range.of(start, stop, step)) == values


def test_a_range_whose_values_no_float_holds_is_refused() -> None:
    with pytest.raises(ValueError, match="more digits"):
        Range.of(1, 2, "0.00000000000000001")


def test_more_points_than_an_int64_can_number_are_refused() -> None:
    halves = Range.of(0, 2**31), Range.of(0, 2**32)
    inner = Axis("seed", halves[1], rest("seed", "desc_min"))
    with pytest.raises(ValueError, match=r"9,223,372,036,854,775,808 points"):
        Grid(Axis("desc_min", halves[0], inner))
    assert np.iinfo(np.int64).max == MAX_POINTS
    most = Grid(Axis("seed", Range.of(0, MAX_POINTS), rest("seed")))
    assert most.columns(MAX_POINTS - 1, MAX_POINTS)["seed"].tolist() == [MAX_POINTS - 1]


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (Leaf({"rounds": 1}), "without a value"),
        (Axis("rounds", (1, 2), rest()), "rounds a value twice"),
        (Axis("rounds", (1, 2), Choice("policy", (("kernel", rest()),))), "rounds a value twice"),
        (Choice("policy", (("kernel", rest()), ("exact_demand", rest("seed")))), "leaves seed"),
        (Axis("rounds", (), rest("rounds")), "0 points"),
        (Axis("rounds", Range.of(0, 1, "0.5"), rest("rounds")), "rounds is int"),
        (Choice("policy", ()), "0 points"),
    ],
)
def test_a_tree_that_is_no_grid_is_refused(tree: Node, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Grid(tree)


def test_one_value_is_no_axis() -> None:
    assert Grid(Axis("rounds", (2,), rest("rounds"))).axes() == {}


@pytest.mark.parametrize(("first", "last"), [(-1, 0), (0, 2), (1, 0)])
def test_points_outside_the_grid_are_refused(first: int, last: int) -> None:
    with pytest.raises(IndexError, match="of a grid with 1"):
        Grid(rest()).columns(first, last)
