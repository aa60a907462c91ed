"""``[tasks.NAME]``: a class of work, its lanes, deadline, contract, streams and hedges."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field, Strict, ValidationInfo, WithJsonSchema, model_validator

from lanewise.config.mistakes import quoted
from lanewise.config.tables.contracts import ContractField
from lanewise.config.tables.lanes import Lane, LaneField
from lanewise.config.tables.model_config import DECLARED
from lanewise.config.tables.start_rules import StartField
from lanewise.config.values.durations import (
    DURATION,
    PositiveSeconds,
    Seconds,
    positive,
    read_seconds,
    seconds_of,
)
from lanewise.config.values.failures import FailureKey
from lanewise.config.values.scalars import NonEmpty, Share, Text, reads_file, wrong

__all__ = ["HedgeSettings", "StreamSettings", "Task"]

_DOLLARS = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?) ?USD")


def _dollars(value: object, info: ValidationInfo) -> object:
    if isinstance(value, str):
        matched = _DOLLARS.fullmatch(value.strip())
        if matched is None:
            raise wrong(f"{quoted(value)} is no amount of money", 'Write US dollars: "20 USD".')
        return float(matched[1])
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise wrong("an amount of money belongs here", 'Write US dollars: "20 USD".')
    if reads_file(info):
        raise wrong(f"{quoted(value)} has no currency", f'Write "{value} USD".')
    return float(value)


def _hedge_delay(value: object, info: ValidationInfo) -> object:
    if value == "p95":
        return value
    if isinstance(value, str) and seconds_of(value) is None:
        raise wrong(f"{quoted(value)} is no time to hedge after", 'Write "p95", or a duration: "2s".')
    return positive(read_seconds(value, info))


Dollars = Annotated[
    float,
    BeforeValidator(_dollars),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]{1,12}(\.[0-9]{1,6})? ?USD$"}),
]
HedgeDelay = Annotated[
    Literal["p95"] | float,
    BeforeValidator(_hedge_delay),
    WithJsonSchema({"anyOf": [{"const": "p95"}, DURATION]}),
]
RetryCount = Annotated[int, Strict(), Field(ge=0, le=3)]
AttemptCount = Annotated[int, Strict(), Field(ge=1, le=16)]


class StreamSettings(BaseModel):
    """How a task's streams behave once they have begun to answer. Times are in seconds."""

    model_config = DECLARED

    hold: Literal["none", "all"] = Field(default="none", description='"all" holds a stream back until it is complete.')
    on_break: Literal["error", "restart"] = Field(
        default="error",
        description="What becomes of a stream that breaks after its first content. `restart` lets those calls start "
        "over that ask for it (`x-lanewise-on-break: restart`); for all others it is an error.",
    )
    stall: PositiveSeconds = Field(
        default=300.0,
        description="The longest time without a byte. Undeclared, 60s where a stream may start over on another route.",
    )
    silence: PositiveSeconds = Field(
        default=600.0,
        description="The longest time of comments and keep-alives without content. Undeclared, 2m where a stream may "
        "start over on another route.",
    )
    max: PositiveSeconds = Field(default=1800.0, description="The longest that a stream may take.")


class HedgeSettings(BaseModel):
    """A second request to the next route, when the first has not begun to answer. Times are in seconds."""

    model_config = DECLARED

    after: HedgeDelay = Field(
        default="p95",
        description='When: "p95" of what the first route took lately, to the answer or a stream\'s first content, or a '
        "duration.",
    )
    share: Share = Field(default=0.05, description="The most of the task's calls that may be hedged.")


class Task(BaseModel):
    """A class of work: its lanes, deadline and rules. The ``model`` argument of an SDK call names a task."""

    model_config = DECLARED

    name: Text = ""
    deadline: PositiveSeconds = Field(
        default=60.0,
        description="The longest that a call may take, all attempts and waits, to its answer or commit. Undeclared, "
        "10m where no other route could be used.",
    )
    patience: Seconds = Field(default=2.0, description="The longest wait for a preferred route that is rate limited.")
    primary: LaneField = Field(description="The routes that should answer.")
    equivalent: LaneField | None = Field(default=None, description="Routes that are as good.")
    degraded: LaneField | None = Field(default=None, description="Routes that are acceptable, and worse.")
    retries: dict[FailureKey, RetryCount] = Field(
        default={}, description="How often a failure is tried again on the same route, where not as by default."
    )
    max_attempts: AttemptCount = Field(
        default=8, description="A call makes as many attempts as it has usable routes: 4 at least, this many at most."
    )
    sensitive: NonEmpty | None = Field(default=None, description="The sensitive category of this task's calls.")
    contract: ContractField | None = Field(default=None, description="What an answer must look like to count as one.")
    stream: StreamSettings = Field(default=StreamSettings(), description="How streams behave.")
    select: Literal["order", "weight", "cheapest", "fastest"] = Field(
        default="order", description="Which route of a lane goes first."
    )
    sticky: Literal["subject", "conversation"] | None = Field(
        default=None,
        description='"subject" keeps all calls of a subject on one route of a lane, shared out by weight; '
        '"conversation" those of a conversation, where its prompt is cached, with every `select`.',
    )
    start: StartField | None = Field(
        default=None, description="The lane that calls start in, or rules that pick it. Default: the primary lane."
    )
    hedge: HedgeSettings | None = Field(
        default=None,
        description="A second request to the next route when the first is slow. Not with tools, for sensitive or bound "
        "calls, or several answers. Default: off.",
    )
    alert_cost_per_day: Dollars | None = Field(
        default=None, description='A warning is logged when the calls of a day (UTC) cost more, a process: "20 USD".'
    )

    @model_validator(mode="before")
    @classmethod
    def _sticks_by_weight(cls, data: object) -> object:
        if isinstance(data, Mapping) and data.get("sticky") is not None and "select" not in data:
            return {**data, "select": "weight"}
        return data

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """The task's lanes, best first."""
        return tuple(lane for lane in (self.primary, self.equivalent, self.degraded) if lane is not None)

    @property
    def routes(self) -> tuple[str, ...]:
        """The names of the task's routes, in the order of its lanes."""
        return tuple(route for lane in self.lanes for route in lane.routes)
