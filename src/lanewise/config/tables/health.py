"""``[router.health]``: the numbers of circuit breakers and of retry budgets."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field, PlainSerializer, ValidationInfo, WithJsonSchema

from lanewise.config.mistakes import quoted
from lanewise.config.tables.model_config import DECLARED
from lanewise.config.values.durations import PositiveSeconds, duration_text, positive, read_seconds
from lanewise.config.values.scalars import Bool, Count, NonNegative, Share, Weight, wrong

__all__ = ["HealthSettings", "SlowCall"]

_TIMES = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)x")


@dataclass(frozen=True, slots=True)
class SlowCall:
    """From when on an answer is slow: after so many ``seconds``, or so many ``times`` the route's running median."""

    seconds: float | None = None
    times: float = math.inf

    def __str__(self) -> str:
        return f"{self.times:g}x" if self.seconds is None else duration_text(self.seconds)


def _slow_call(value: object, info: ValidationInfo) -> object:
    if isinstance(value, SlowCall):
        return value
    matched = _TIMES.fullmatch(value) if isinstance(value, str) else None
    if matched is None:
        return SlowCall(positive(read_seconds(value, info)))
    times = float(matched[1])
    if not 1 < times <= 1000:
        raise wrong(
            f"{quoted(value)} is out of range", 'A slow call takes longer than usual: "3x" is three times that.'
        )
    return SlowCall(None, times)


SlowCallField = Annotated[
    SlowCall,
    BeforeValidator(_slow_call),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]{1,12}(\.[0-9]{1,9})?(x|ms|s|m|h|d)$"}),
]


class HealthSettings(BaseModel):
    """The numbers of circuit breakers and of retry budgets. Durations are in seconds.

    Words and meanings are Polly's (failure ratio, minimum throughput, sampling and break duration), Envoy's
    (consecutive failures) and gRPC's (retry tokens).
    """

    model_config = DECLARED

    breakers: Bool = Field(default=True, description="Whether routes that fail are left alone for a while at all.")
    consecutive_failures: Count = Field(default=5, description="Failures in a row, of all workers, that open a route.")
    failure_ratio: Share = Field(default=0.5, description="The share of failures, as one worker sees it, that opens.")
    minimum_throughput: Count = Field(default=10, description="Outcomes from which that share counts.")
    sampling_duration: PositiveSeconds = Field(default=60.0, description="The time over which that share is counted.")
    break_duration: PositiveSeconds = Field(
        default=10.0, description="How long a route is open at first; doubled at each opening in a row, +-20 %."
    )
    max_break_duration: PositiveSeconds = Field(default=30.0, description="The longest that a route is open.")
    throttle_duration: PositiveSeconds = Field(
        default=1.0, description="How long a 429 without Retry-After keeps new calls away; doubled for each in a row."
    )
    max_throttle_duration: PositiveSeconds = Field(default=10.0, description="The longest of that.")
    throttle: Bool = Field(
        default=True,
        description="Whether the last usable route of a call is throttled when it answers nothing, instead of refused "
        "once it is open.",
    )
    slow_call: SlowCallField | None = Field(
        default=None,
        description='From when on an answer counts as a failure in that share: "20s", or "3x" the route\'s own running '
        "median; of a stream its beginning. It is delivered all the same. Default: off.",
    )
    retry_tokens: Weight = Field(
        default=10.0, description="A provider's retry budget, while another route is left: each retry takes one."
    )
    retry_tokens_kept: NonNegative = Field(default=5.0, description="With so many tokens or fewer nothing is retried.")
    retry_tokens_per_success: NonNegative = Field(default=0.1, description="What a success gives back.")
    retry_tokens_per_second: NonNegative = Field(default=0.1, description="What a second gives back.")
