"""The record of an attempt, whose cost is reckoned when it is first read."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from lanewise.types.costs import COST_FIELDS, CostStatus, PendingCost, WhenRead
from lanewise.types.failures import FailureKind, LaneName

__all__ = ["Attempt", "defer_cost"]


class Attempt(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One HTTP exchange of a call, on one route. The ledger's columns have the same names.

    Times ending in ``_ms`` are milliseconds from the attempt's start; ``started_at`` is UTC. ``detail`` tells of a
    failure what its kind, status and code don't, in our words.

    Tokens are the provider's own count. Cached and written tokens, audio and images are among the input's, reasoning,
    audio and images among the output's; ``cache_write_lifetimes`` says for how long the written ones are kept, where
    that was reported. Where the provider gave no count they are estimated from bytes, and ``tokens_estimated`` says so.
    ``tool_calls`` are billed calls of the provider's own tools. ``reported_cost_usd`` is what the provider says that it
    takes, ``upstream_cost_usd`` what the provider behind it bills to the app's own key beside that.

    ``cost_usd`` and ``cost_status`` are reckoned when they are first read. ``cost_usd`` is ``None`` where the cost is
    not known: what a failed attempt that may yet be billed can cost at the most is in ``cost_upper_usd``.
    """

    call_id: str
    attempt_number: int
    route: str
    lane: LaneName
    model_asked: str
    provider_host: str
    idempotency_key: str
    started_at: datetime
    model_answered: str | None = None
    http_status: int | None = None
    timed_out: bool = False
    provider_error_code: str | None = None
    failure: FailureKind | None = None
    detail: str = ""
    dropped: tuple[str, ...] = ()
    adapted: tuple[str, ...] = ()
    """How the route stood in for what it can't take."""
    lenient: tuple[str, ...] = ()
    """What was odd in its answer and was let pass: nothing depends on it."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_lifetimes: tuple[tuple[str, int], ...] = ()
    reasoning_tokens: int | None = None
    input_audio_tokens: int | None = None
    output_audio_tokens: int | None = None
    input_image_tokens: int | None = None
    output_image_tokens: int | None = None
    tokens_estimated: bool = False
    tool_calls: tuple[tuple[str, int], ...] = ()
    service_tier: str | None = None
    reported_cost_usd: float | None = None
    upstream_cost_usd: float | None = None
    cost_usd: float | None = None
    cost_status: CostStatus = CostStatus.UNKNOWN
    cost_upper_usd: float | None = None
    first_byte_ms: float | None = None
    first_content_ms: float | None = None
    total_ms: float | None = None

    def __repr__(self) -> str:
        _ = self.cost_usd  # or a cost that is yet to be reckoned would be shown
        return super().__repr__()

    def __reduce__(self) -> str | tuple[object, ...]:
        _ = self.cost_usd
        return super().__reduce__()


_COSTS: Final = tuple(vars(Attempt)[name] for name in COST_FIELDS)
for _name, _slot in zip(COST_FIELDS, _COSTS, strict=True):
    setattr(Attempt, _name, WhenRead(_slot, _COSTS))


def defer_cost(attempt: Attempt, pending: PendingCost) -> None:
    """Have an attempt's cost reckoned when somebody first reads it."""
    for field in _COSTS:
        field.__set__(attempt, pending)
