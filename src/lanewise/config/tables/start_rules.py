"""``tasks.NAME.start``: the lane that calls start in, or rules of which the first true one names it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from lanewise.config.mistakes import nearest, quoted
from lanewise.config.rules.language import RuleError, parse_rule
from lanewise.config.tables.model_config import DECLARED
from lanewise.config.values.scalars import NonEmpty, wrong
from lanewise.types import LaneName

__all__ = ["StartField", "StartRule"]

_FORMS = 'Write a lane ("degraded") or rules ([{ when = "tokens < 2000 and not tools", lane = "degraded" }]).'
_KEYS = ("when", "lane")


class StartRule(BaseModel):
    """Calls for which ``when`` is true start in ``lane``. The language of ``when`` is in ``config/rules/language.py``.

    Example::

        StartRule(when="tokens < 2000 and not tools", lane="degraded")
    """

    model_config = DECLARED

    when: NonEmpty = Field(description="An expression over the call's facts: tokens < 2000 and not tools.")
    lane: LaneName = Field(description="The lane that such calls start in.")


def _read(value: object) -> object:
    if value is None or isinstance(value, str):
        return value if value is None else _lane(value)
    if not isinstance(value, list | tuple):
        raise wrong(f"{quoted(value)} is no start", _FORMS)
    if not value:
        raise wrong("the list has no rule", "Leave `start` out: calls start in the primary lane.")
    return _rules(value)


def _rules(written: Sequence[object]) -> tuple[StartRule, ...]:
    """The rules; one error lists all that can't be read."""
    rules: list[StartRule] = []
    mistakes: list[PydanticCustomError] = []
    for number, rule in enumerate(written, 1):
        try:
            rules.append(_rule(rule, number))
        except PydanticCustomError as mistake:
            mistakes.append(mistake)
    if len(mistakes) == 1:
        raise mistakes[0]
    if mistakes:
        raise wrong("; ".join(str(mistake).strip().removesuffix(".") for mistake in mistakes))
    return tuple(rules)


def _rule(rule: object, number: int) -> StartRule:
    written = {"when": rule.when, "lane": rule.lane} if isinstance(rule, StartRule) else rule
    if not isinstance(written, Mapping):
        raise wrong(f"rule {number} is {quoted(written)}, not a table", _FORMS)
    if unknown := [key for key in written if key not in _KEYS]:
        raise wrong(f"rule {number}: no key is called {quoted(unknown[0])}", nearest(unknown[0], _KEYS))
    if missing := [key for key in _KEYS if key not in written]:
        raise wrong(f"rule {number}: `{missing[0]}` is missing", _FORMS)
    when, lane = written["when"], written["lane"]
    if not isinstance(when, str):
        raise wrong(f"rule {number}: `when` is {quoted(when)}, not a text", _FORMS)
    try:
        parse_rule(when)
    except RuleError as error:
        raise wrong(f"rule {number}, {quoted(when)}: {error.problem}", error.fix) from None
    return StartRule(when=when, lane=_lane(lane))


def _lane(name: object) -> LaneName:
    if not isinstance(name, str) or name not in list(LaneName):
        raise wrong(f"no lane is called {quoted(name)}", nearest(name, [lane.value for lane in LaneName]))
    return LaneName(name)


StartField = Annotated[LaneName | Annotated[tuple[StartRule, ...], Field(min_length=1)], BeforeValidator(_read)]
