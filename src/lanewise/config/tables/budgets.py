"""``[budgets.NAME]``: what may be spent in a window of time, and what becomes of calls beyond it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    PlainSerializer,
    Strict,
    WithJsonSchema,
)

from lanewise.config.mistakes import nearest, quoted
from lanewise.config.tables.model_config import DECLARED
from lanewise.config.values.durations import PositiveSeconds
from lanewise.config.values.scalars import Names, Text, wrong
from lanewise.types import LaneName

__all__ = ["LIMIT_PATTERN", "NANO", "PER_PATTERN", "Budget", "BudgetLimit", "Unit", "nano_usd"]

NANO: Final = 1_000_000_000
"""Money is counted in billionths of a US dollar: a token costs some hundreds of them."""
_MOST_USD: Final = 1_000_000
_MOST_COUNT: Final = 10**15
LIMIT_PATTERN: Final = r"^[0-9]{1,15}(\.[0-9]{1,9})? ?(USD|tokens?|calls?)$"
PER_PATTERN: Final = r"^(subject|task|client|label\.[A-Za-z0-9._-]{1,64})$"
_LIMIT: Final = re.compile(r"(-?)([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([A-Za-z$€£¥]{1,12})")
_EXAMPLES: Final = 'Write "0.50 USD", "200000 tokens" or "100 calls".'


class Unit(StrEnum):
    """What a budget counts."""

    USD = "USD"
    TOKENS = "tokens"
    CALLS = "calls"


@dataclass(frozen=True, slots=True)
class BudgetLimit:
    """The most that may be spent: billionths of a US dollar, tokens or calls.

    Example::

        assert str(BudgetLimit(500_000_000, Unit.USD)) == "0.50 USD"
    """

    amount: int
    unit: Unit

    def __str__(self) -> str:
        return f"{self.shown(self.amount)} {self.unit}"

    def shown(self, amount: int) -> str:
        """An amount, for people."""
        if self.unit is not Unit.USD:
            return str(amount)
        digits = 6 if amount >= 1000 or not amount else 9
        text = f"{Decimal(amount) / NANO:.{digits}f}".rstrip("0")
        whole, _, cents = text.partition(".")
        return f"{whole}.{cents:0<2}"


def nano_usd(dollars: float) -> int:
    """Dollars in billionths, rounded up.

    Example::

        assert nano_usd(0.5) == 500_000_000
    """
    return int((Decimal(repr(dollars)) * NANO).to_integral_value(ROUND_CEILING))


def _limit(value: object) -> object:
    if isinstance(value, BudgetLimit):
        return value
    match = _LIMIT.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise wrong(f"{quoted(value)} is no limit", _EXAMPLES)
    sign, number, unit = match.groups()
    if sign:
        raise wrong(f"the limit {quoted(value)} is negative", _EXAMPLES)
    amount = Decimal(number)
    if unit == Unit.USD:
        if amount > _MOST_USD:
            raise wrong(f"the limit {quoted(value)} is out of range", f"It may be up to {_MOST_USD} USD.")
        limit = BudgetLimit(int(amount * NANO), Unit.USD)
    elif unit.rstrip("s") + "s" in (Unit.TOKENS, Unit.CALLS):
        if amount != int(amount) or amount > _MOST_COUNT:
            raise wrong(f"the limit {quoted(value)} is no whole number of {unit}", _EXAMPLES)
        limit = BudgetLimit(int(amount), Unit(unit.rstrip("s") + "s"))
    else:
        raise wrong(f"{quoted(unit)} is not counted here", f"Prices are in US dollars, and so are budgets. {_EXAMPLES}")
    if not limit.amount:
        raise wrong("a budget of nothing lets no call go out", _EXAMPLES)
    return limit


def _exact(limit: BudgetLimit) -> str:
    """A limit without rounding, as a config can be read from its dump."""
    amount = Decimal(limit.amount) / NANO if limit.unit is Unit.USD else limit.amount
    return f"{amount:f} {limit.unit}"


def _per(value: str) -> str:
    if re.fullmatch(PER_PATTERN, value):
        return value
    known = ["subject", "task", "client", "label.NAME"]
    raise wrong(
        f"{quoted(value)} is nothing that calls are told apart by",
        nearest(value, known) or 'It may be "subject", "task", "client" or "label.tenant" (the name of a label).',
    )


def _tasks(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        raise wrong("the list is empty, so no call would count", "Name some tasks, or leave `tasks` out: all count.")
    return names


class Budget(BaseModel):
    """What a subject, task or client may cost in a window of time. ``window`` is in seconds: a day is a day of UTC's,
    any other rolls."""

    model_config = DECLARED

    name: Text = ""
    limit: Annotated[
        BudgetLimit,
        BeforeValidator(_limit),
        PlainSerializer(_exact),
        WithJsonSchema({"type": "string", "pattern": LIMIT_PATTERN}),
    ] = Field(description='The most that may be spent: "0.50 USD", "200000 tokens" or "100 calls".')
    window: PositiveSeconds = Field(description='In what time: "1d" is a day of UTC\'s, any other ("1h", "30d") rolls.')
    per: (
        Annotated[str, Strict(), AfterValidator(_per), WithJsonSchema({"type": "string", "pattern": PER_PATTERN})]
        | None
    ) = Field(
        default=None,
        description='Whose calls count together: "subject", "task", "client" or "label.NAME". Default: all do.',
    )
    tasks: Annotated[Names, AfterValidator(_tasks)] | None = Field(
        default=None, json_schema_extra={"minItems": 1}, description="The tasks whose calls count. Default: all."
    )
    over: Literal["refuse", "equivalent", "degraded"] = Field(
        default="refuse", description="What becomes of calls beyond the limit: refused, or answered in that lane."
    )

    @property
    def lane(self) -> LaneName | None:
        """The lane in which calls go on beyond the limit; ``None``: they are refused."""
        return None if self.over == "refuse" else LaneName(self.over)

    def covers(self, task: str) -> bool:
        """Whether a task's calls count."""
        return self.tasks is None or task in self.tasks
