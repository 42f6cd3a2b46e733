"""The tree that a grid is: points, axes and choices. Nothing is listed that can stay lazy."""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from math import prod
from typing import Any, TypeAlias

from core.parameters import BY_NAME, PARAMETERS, Value
from sweep.grid.values import Range, Values


@dataclass(frozen=True)
class Leaf:
    """One point: the parameters that every other node leaves open."""

    fixed: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Axis:
    """`values` of one parameter, and for each of them all of `child`."""

    name: str
    values: Values
    child: "Node"


@dataclass(frozen=True)
class Choice:
    """The options of a config group, one after the other, each with a child of its own."""

    group: str
    options: tuple[tuple[str, "Node"], ...]


Node: TypeAlias = Leaf | Axis | Choice


def size(node: Node) -> int:
    """Points below `node`."""
    if isinstance(node, Choice):
        return sum(size(child) for _, child in node.options)
    # len() of a range has a limit of its own, so the count is read directly.
    counts: list[int] = []
    while isinstance(node, Axis):
        counts.append(node.values.count if isinstance(node.values, Range) else len(node.values))
        node = node.child
    return prod(counts) * (1 if isinstance(node, Leaf) else size(node))


def leaves(node: Node) -> Iterator[Leaf]:
    """The leaves of the tree, one a block, in the order of the points."""
    if isinstance(node, Leaf):
        yield node
    elif isinstance(node, Axis):
        yield from leaves(node.child)
    else:
        for _, child in node.options:
            yield from leaves(child)


def hoisted(root: Node) -> tuple[dict[str, Value], Node]:
    """What all leaves of `root` share, and `root` without it."""
    first, *others = leaves(root)
    shared = {
        name: value
        for name, value in first.fixed.items()
        if all(name in leaf.fixed and leaf.fixed[name] == value for leaf in others)
    }
    return shared, _without(root, shared)


def _without(node: Node, names: Mapping[str, Value]) -> Node:
    if isinstance(node, Leaf):
        kept = {p.name: node.fixed[p.name] for p in PARAMETERS if p.name in node.fixed}
        return Leaf({n: BY_NAME[n].kind(v) for n, v in kept.items() if n not in names})
    if isinstance(node, Axis):
        return Axis(node.name, _typed(node), _without(node.child, names))
    return Choice(node.group, tuple((o, _without(child, names)) for o, child in node.options))


def _typed(axis: Axis) -> Values:
    kind = BY_NAME[axis.name].kind
    if not isinstance(axis.values, Range):
        return tuple(kind(value) for value in axis.values)
    if kind not in (axis.values.kind, float):
        raise ValueError(f"{axis.name} is {kind.__name__}: {axis.values} does not fit.")
    return axis.values


def walk(node: Node) -> Iterator[tuple[str, Values]]:
    """Each parameter that the tree sets, with its values, in the order of the points."""
    if isinstance(node, Leaf):
        yield from ((name, (value,)) for name, value in node.fixed.items())
    elif isinstance(node, Axis):
        yield node.name, node.values
        yield from walk(node.child)
    else:
        for _, child in node.options:
            yield from walk(child)


def check(node: Node, above: Set[str]) -> None:
    """Raise ValueError unless every path below sets each parameter that is not `above` once."""
    if isinstance(node, Choice):
        for _, child in node.options:
            check(child, above)
        return
    here = node.fixed.keys() if isinstance(node, Leaf) else {node.name}
    if twice := above & here:
        raise ValueError(f"the grid gives {', '.join(sorted(twice))} a value twice.")
    if isinstance(node, Axis):
        check(node.child, above | here)
    elif unset := BY_NAME.keys() - above - here:
        raise ValueError(f"the grid leaves {', '.join(sorted(unset))} without a value.")


def to_json(node: Node) -> dict[str, Any]:
    """The tree as JSON."""
    if isinstance(node, Leaf):
        return {"point": dict(node.fixed)}
    if isinstance(node, Choice):
        return {"group": node.group, "options": [[o, to_json(c)] for o, c in node.options]}
    v = node.values
    values = {"range": v.to_json()} if isinstance(v, Range) else {"values": list(v)}
    return {"axis": node.name, **values, "child": to_json(node.child)}


def from_json(data: Mapping[str, Any]) -> Node:
    """The tree that `to_json` wrote."""
    if "point" in data:
        return Leaf(data["point"])
    if "group" in data:
        return Choice(data["group"], tuple((o, from_json(c)) for o, c in data["options"]))
    values = Range.from_json(data["range"]) if "range" in data else tuple(data["values"])
    return Axis(data["axis"], values, from_json(data["child"]))
