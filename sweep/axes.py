"""Axes: what a user wrote, as typed values; refused with a reason before anything is run."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, QuotedString, RangeSweep
from omegaconf import BooleanNode, FloatNode, IntegerNode, StringNode
from omegaconf.errors import ValidationError

from core.parameters import BY_KEY, BY_NAME, GROUPS, Parameter, Value, problems
from sweep.config import SETTINGS, check_key, options
from sweep.errors import RefusedError, suggestion
from sweep.grid.values import Range, Values

Dimension: TypeAlias = tuple[str, Values]
"""The key of a parameter and its values; or the word for a config group, with its + if it has one,
and its options."""

_GROUP_AXES: Final = (*GROUPS, "experiment")
_NODES: Final = {int: IntegerNode, float: FloatNode, bool: BooleanNode, str: StringNode}


def swept(override: Override, folders: Sequence[Path], written: str = "") -> Dimension:
    """The axis that a sweep in Hydra's grammar asks for; a range is not listed.

    `written` is where it stands if that is not on the command line.
    """
    key, value = override.key_or_group, override.value()
    target = None if key in _GROUP_AXES and override.package is None else parameter(key)
    if override.is_interval_sweep():
        raise RefusedError(
            f"{override.input_line}: an interval has no end of values. Use {key}=range(start,stop,"
            "step) or list them."
        )
    if isinstance(value, ChoiceSweep | RangeSweep) and value.shuffle:
        raise RefusedError(
            f"{override.input_line}: a shuffled axis is another grid each time, so a run could not "
            "be resumed. Leave shuffle() out; the order of points does not change an outcome."
        )
    if not target:
        wanted = tuple(override.sweep_string_iterator())
        where = written or str(override.input_line)
        return override.get_key_element(), _known(key, wanted, folders, where)
    if isinstance(value, RangeSweep):
        return key, _range(target, value)
    return key, listed(target, override.sweep_iterator())


def of_grid(key: str, values: Any, parser: OverridesParser, folders: Sequence[Path]) -> Dimension:
    """An axis of `grid`: a list, one value, or text in Hydra's grammar."""
    target = None if key in GROUPS else parameter(key)
    each = values if isinstance(values, list) else [values]
    written = f"grid.{key}: {values}"
    if not target or isinstance(values, str):
        (override,) = parser.parse_overrides([f"{key}={','.join(map(str, each))}"])
        if override.is_sweep_override():
            return swept(override, folders, written)
        if not target:
            return key, _known(key, (override.get_value_element_as_str(),), folders, written)
        each = [override.value()]
    return key, listed(target, each)


def parameter(key: str) -> Parameter:
    """The parameter that an axis sweeps; RefusedError if `key` is none."""
    check_key(key)
    if key not in BY_KEY:
        root = key.split(".")[0]
        what = "a setting of the whole run" if root in (*SETTINGS, "hydra") else "a config group"
        raise RefusedError(
            f"{key}: {what} is no axis, because a run has one table and {root} is no column of it. "
            f"Axes are parameters ({', '.join(BY_KEY)}) and options of their groups."
        )
    return BY_KEY[key]


def _known(
    key: str, wanted: tuple[str, ...], folders: Sequence[Path], written: str
) -> tuple[str, ...]:
    """`wanted`, if all are options of the config group `key`, and each is there once."""
    known = options(key, folders)
    if not wanted:
        raise RefusedError(f"{written}: the axis is empty. {key} has {', '.join(known)}.")
    for option in wanted:
        if option not in known:
            raise RefusedError(
                f"{key}={option}: no such option.{suggestion(option, known)} "
                f"{key} has {', '.join(known)}."
            )
        if wanted.count(option) > 1:
            raise RefusedError(f"{key}: {option} is on the axis twice.")
    return wanted


def _range(target: Parameter, sweep: RangeSweep) -> Values:
    where = f"{target.key}=range({sweep.start},{sweep.stop},{sweep.step})"
    try:
        values = Range.of(str(sweep.start), str(sweep.stop), str(sweep.step))
    except ValueError as error:
        raise RefusedError(f"{where}: {error} An axis needs at least one value.") from error
    if target.kind not in (values.kind, float):
        raise RefusedError(f"{where}: {target.key} takes {_word(target)}, not {values[0]!r}, ...")
    return values


def listed(target: Parameter, values: Iterable[Any]) -> Values:
    """`values` in the parameter's type; RefusedError if empty, of another type or repeated."""
    typed = tuple(_typed(target, value) for value in values)
    if not typed:
        raise RefusedError(f"{target.key}: the axis is empty. Give it at least one value.")
    often, times = Counter(typed).most_common(1)[0]
    if times > 1:
        raise RefusedError(
            f"{target.key}: {often!r} is on the axis twice, so its points would be counted twice."
        )
    return typed


def _typed(target: Parameter, value: Any) -> Value:
    plain = value.text if isinstance(value, QuotedString) else value
    if type(plain) is target.kind and target.kind is not str:
        return plain  # type: ignore[return-value]
    if isinstance(plain, str) and "${" in plain:
        raise RefusedError(
            f"{target.key}={plain}: an interpolation is no value of an axis, because a grid is "
            "composed once and not once a point. Write the values."
        )
    try:
        return _NODES[target.kind](plain, is_optional=False)._value()  # type: ignore[no-any-return]
    except ValidationError as error:
        raise RefusedError(
            f"{target.key}={plain!r}: {target.key} takes {_word(target)}."
        ) from error


def _word(target: Parameter) -> str:
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    return words[target.kind] + (f" ({target.unit})" if target.unit else "")


def check(values: Mapping[str, Values]) -> None:
    """Raise RefusedError unless every point of a block is possible.

    `values` has every parameter. A range is checked by its first two values and its last, which is
    exact: bounds are intervals and sizes are multiples of a step. Rules over several parameters are
    checked at the ends of each axis, which is exact as they are monotone in every number.
    """
    found = [
        text + suggestion(str(value), BY_NAME[name].choices)
        for name, axis in values.items()
        for value in _sample(axis)
        if (text := BY_NAME[name].problem(value))
    ]
    found = found or problems({name: _ends(axis) for name, axis in values.items()})
    if found:
        more = f"\n... and {len(found) - 5} more" if len(found) > 5 else ""
        raise RefusedError("\n".join(found[:5]) + more)


def _sample(axis: Values) -> Sequence[Value]:
    if not isinstance(axis, Range):
        return axis
    return list(dict.fromkeys(axis[i] for i in (0, min(1, axis.count - 1), axis.count - 1)))


def _ends(axis: Values) -> Sequence[Value]:
    is_number = not isinstance(axis, Range) and not isinstance(axis[0], str)
    return list({min(axis), max(axis)}) if is_number else _sample(axis)
