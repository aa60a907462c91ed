"""Rules that pick the lane in which a call starts: made into functions once, asked for each call."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from lanewise.config.rules.language import parse_rule
from lanewise.config.rules.tree import Both, Compare, Either, Fact, Label, Literal, Not, OneOf, Rule

__all__ = ["Condition", "RuleInput", "compile_rule"]

Value = float | str | bool


class RuleInput(Protocol):
    """The facts of one call, each found out when a rule asks for it, and only then."""

    @property
    def labels(self) -> Mapping[str, str]: ...

    def value(self, name: str) -> Value:
        """A fact by its name in ``FACTS``."""
        ...


Condition = Callable[[RuleInput], bool]
_Reader = Callable[[RuleInput], Value]

_SIGNS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


def compile_rule(text: str) -> Condition:
    """A rule as a function of a call's facts. It looks at as few of them as it can, and never raises.

    Raises RuleError: the rule can't be read.

    Example::

        is_small = compile_rule("tokens < 2000 and not tools")
    """
    read = _compiled(parse_rule(text))
    return lambda attributes: bool(read(attributes))


def _compiled(rule: Rule) -> _Reader:
    match rule:
        case Literal(value):
            return lambda _: value
        case Fact(name):
            return lambda attributes: attributes.value(name)
        case Label(name):
            return lambda attributes: attributes.labels.get(name, "")
        case Not(part):
            read = _compiled(part)
            return lambda attributes: not read(attributes)
        case Both(parts):
            every = [_compiled(part) for part in parts]
            return lambda attributes: all(read(attributes) for read in every)
        case Either(parts):
            some = [_compiled(part) for part in parts]
            return lambda attributes: any(read(attributes) for read in some)
        case Compare(first, rest):
            return _comparison(_compiled(first), [(_SIGNS[sign], _compiled(value)) for sign, value in rest])
        case OneOf(part, values):
            return _membership(_compiled(part), [_compiled(value) for value in values])


def _comparison(
    first: _Reader, rest: Sequence[tuple[Callable[[Any, Any], bool], _Reader]]
) -> Callable[[RuleInput], bool]:
    def holds(attributes: RuleInput) -> bool:
        left = first(attributes)
        for compare, read in rest:
            right = read(attributes)
            if not compare(left, right):
                return False
            left = right
        return True

    return holds


def _membership(part: _Reader, values: Sequence[_Reader]) -> Callable[[RuleInput], bool]:
    def holds(attributes: RuleInput) -> bool:
        wanted = part(attributes)
        return any(read(attributes) == wanted for read in values)

    return holds
