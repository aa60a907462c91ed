"""The records of calls and attempts, and the scores that apps give to answers."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from lanewise.types.costs import COST_FIELDS, CostStatus, PendingCost, WhenRead
from lanewise.types.explaining import steps_of
from lanewise.types.failures import Api, FailureKind, LaneName
from lanewise.types.moves import Move

__all__ = ["Attempt", "Call", "Outcome", "Score", "defer_cost", "note"]

note: Final = msgspec.structs.force_setattr
"""Writes into a record: records are frozen for all but the router."""


class Outcome(StrEnum):
    """How a call ended."""

    ANSWERED = "answered"
    FAILED = "failed"
    REFUSED = "refused"
    PENDING_REVIEW = "pending_review"
    CANCELLED = "cancelled"


class Attempt(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One HTTP exchange of a call, on one route. The ledger's columns have the same names.

    Times ending in ``_ms`` are milliseconds from the attempt's start; ``started_at`` is UTC. ``detail`` tells of a
    failure what its kind, status and code don't, in our words.

    Tokens are the provider's own count. Cached and written tokens, audio and images are among the input's, reasoning,
    audio and images among the output's; ``cache_write_lifetimes`` tells for how long the written ones are kept, where
    that was told. Where the provider gave no count they are estimated from bytes, and ``tokens_estimated`` says so.
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
for _name in COST_FIELDS:
    setattr(Attempt, _name, WhenRead(vars(Attempt)[_name]))


def defer_cost(attempt: Attempt, pending: PendingCost) -> None:
    """Have an attempt's cost reckoned when somebody first reads it."""
    for field in _COSTS:
        field.__set__(attempt, pending)


DRAFT_OF: Final = "lanewise.draft_of"
"""The label of a call that wrote a draft for a person, and answered no app; its value is the id of the case."""


class Call(msgspec.Struct, frozen=True, kw_only=True, eq=False, weakref=True):
    """One logical request of the app, to a task. It ends in exactly one outcome.

    A call is in its scope from its start. While it runs ``outcome`` is ``None`` and the router fills it in; once it has
    ended nothing changes any more. ``moves`` is what the plan did, each with its milliseconds from the start, ``notes``
    what else happened. ``replayed_from`` is the id of the call whose answer was given again: ``route`` and ``lane`` are
    that call's then, and there are no attempts. ``subject_hash`` stands for the scope's subject (``None`` without
    ``secret_env``), ``labels`` are the scope's.
    """

    id: str
    request_id: str
    task: str
    api: Api
    started_at: datetime
    stream: bool = False
    sensitive: tuple[str, ...] = ()
    subject_hash: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    route: str | None = None
    lane: LaneName | None = None
    outcome: Outcome | None = None
    failure: FailureKind | None = None
    attempts: tuple[Attempt, ...] = ()
    moves: tuple[tuple[float, Move], ...] = ()
    notes: tuple[tuple[float, str], ...] = ()
    replayed_from: str | None = None
    total_ms: float | None = None

    @property
    def draft_of(self) -> str | None:
        """The id of the case that this call was to write a draft for, if it was: it answers no request."""
        return next((value for name, value in self.labels if name == DRAFT_OF), None) if self.labels else None

    @property
    def cost_usd(self) -> float | None:
        """What its attempts cost, as far as that is known or estimated; ``None`` if nothing of it is."""
        costs = [attempt.cost_usd for attempt in self.attempts if attempt.cost_usd is not None]
        return sum(costs) if costs else None

    def explain(self) -> str:
        """Why each route was or was not tried, a line a step, with milliseconds from the start.

        Example::

            print(scope.call_for(reply).explain())
        """
        lines = [f"call {self.id} to task {self.task!r} (request {self.request_id})"]
        lines += [f"{at_ms:9.0f} ms  {text}" for at_ms, text in steps_of(self)]
        total = "" if self.total_ms is None else f" after {self.total_ms:.0f} ms"
        where = f" by {self.route} ({self.lane})" if self.outcome is Outcome.ANSWERED else ""
        where += ", given again" if self.replayed_from is not None else ""
        if self.draft_of is not None and self.outcome is Outcome.PENDING_REVIEW:
            where = f", with a draft by {self.route} that only a person sees"
        why = f": {self.failure}" if self.failure and self.outcome is not Outcome.ANSWERED else ""
        lines.append(f"=> {self.outcome or 'running'}{where}{why}{total}")
        return "\n".join(lines)


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """What the app found an answer to be worth, by a measure of its own: then, or in a later request.

    ``value`` is any finite number; ``at`` is UTC.
    """

    call_id: str
    name: str
    value: float
    at: datetime
