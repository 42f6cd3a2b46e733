"""The tree that a grid is: points, axes and choices. Nothing is listed that can stay lazy."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
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

    @property
    def count(self) -> int:
        """How many values; len() has a limit below that of a range."""
        return self.values.count if isinstance(self.values, Range) else len(self.values)


@dataclass(frozen=True)
class Choice:
    """The options of a config group, one after the other, each with a child of its own."""

    group: str
    options: tuple[tuple[str, "Node"], ...]


Node: TypeAlias = Leaf | Axis | Choice


def size(node: Node) -> int:
    """Points below `node`."""
    if isinstance(node, Axis):
        return node.count * size(node.child)
    return 1 if isinstance(node, Leaf) else sum(size(child) for _, child in node.options)


def blocks(node: Node, above: tuple[Axis, ...] = ()) -> Iterator[tuple[tuple[Axis, ...], Leaf]]:
    """Each leaf with the axes above it, outermost first, in the order of the points."""
    if isinstance(node, Leaf):
        yield above, node
    elif isinstance(node, Axis):
        yield from blocks(node.child, (*above, node))
    else:
        for _, child in node.options:
            yield from blocks(child, above)


def walk(root: Node) -> Iterator[tuple[str, Values]]:
    """For each block, each parameter that the tree sets there, with its values."""
    for axes, leaf in blocks(root):
        yield from ((axis.name, axis.values) for axis in axes)
        yield from ((name, (value,)) for name, value in leaf.fixed.items())


def hoisted(root: Node) -> tuple[dict[str, Value], Node]:
    """What all leaves of `root` share, and `root` without it."""
    first, *others = (leaf.fixed.items() for _, leaf in blocks(root))
    shared = dict(set(first).intersection(*others))
    return shared, _without(root, shared)


def _without(node: Node, names: Mapping[str, Value]) -> Node:
    if isinstance(node, Leaf):
        kept = node.fixed.keys() - names
        return Leaf({p.name: p.kind(node.fixed[p.name]) for p in PARAMETERS if p.name in kept})
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


def check(root: Node, fixed: Mapping[str, Value]) -> None:
    """Raise ValueError unless every block sets each parameter that is not in `fixed` once."""
    for axes, leaf in blocks(root):
        times = Counter([*fixed, *(axis.name for axis in axes), *leaf.fixed])
        if twice := sorted(name for name, number in times.items() if number > 1):
            raise ValueError(f"the grid gives {', '.join(twice)} a value twice.")
        if unset := sorted(BY_NAME.keys() - times):
            raise ValueError(f"the grid leaves {', '.join(unset)} without a value.")


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
