"""The words that all parts share: failures, moves, and the records of calls and attempts.

Everything here is plain data. Nothing here decides, sends or waits.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

import msgspec

__all__ = [
    "Api",
    "Attempt",
    "BreakerEffect",
    "Call",
    "CostStatus",
    "Failure",
    "FailureKind",
    "LaneName",
    "Move",
    "Outcome",
    "Retry",
    "Score",
    "Send",
    "Skip",
    "Stop",
    "Switch",
    "Wait",
]


class Api(StrEnum):
    """The kinds of API that are routed, each with the path that the OpenAI SDK uses for it."""

    CHAT = "chat"
    RESPONSES = "responses"
    EMBEDDINGS = "embeddings"


class LaneName(StrEnum):
    """The tiers of routes of a task, best first."""

    PRIMARY = "primary"
    EQUIVALENT = "equivalent"
    DEGRADED = "degraded"


class FailureKind(StrEnum):
    """What went wrong in an attempt. The table that decides it is in ``policy/failures.py``."""

    LOCAL = "local"
    CANCELLED = "cancelled"
    DEADLINE = "deadline"
    UNREACHABLE = "unreachable"
    CONFIG = "config"
    TIMEOUT = "timeout"
    CONTEXT_LENGTH = "context_length"
    UNSUPPORTED_PARAMETER = "unsupported_parameter"
    CONTENT_POLICY = "content_policy"
    QUOTA = "quota"
    AUTH = "auth"
    BAD_REQUEST = "bad_request"
    MODEL_MISSING = "model_missing"
    CONFLICT = "conflict"
    OUTAGE = "outage"
    RATE_LIMIT = "rate_limit"
    BAD_RESPONSE = "bad_response"
    STREAM_BROKEN = "stream_broken"
    CONTRACT = "contract"
    SUBSTITUTED = "substituted"


class Retry(StrEnum):
    """What a failure allows next; the letters are those of the failure table."""

    SAME = "S"
    """The same route once more, then the next."""
    WAIT = "W"
    """Wait (Retry-After, else jitter) if patience allows, then the same route, else the next."""
    NEXT = "N"
    """The next route or lane."""
    STOP = "X"
    """Stop and tell the app."""


class BreakerEffect(StrEnum):
    """What a failure says of a route's health; the letters are those of the failure table."""

    FAILURE = "F"
    """Counts towards opening the route."""
    NEUTRAL = "0"
    """Says nothing of the route, but releases a probe."""
    ACCOUNT = "A"
    """Opens every route of the provider account at once."""
    ROUTE = "T"
    """Opens the route at once."""


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One attempt's failure, classified.

    ``retry_after`` is in seconds from the moment the answer came. ``detail`` is in our words:
    it never holds text of the provider, of the prompt or of an answer. ``code`` and ``param``
    are the provider's, shortened to 100 characters of an identifier's alphabet.
    """

    kind: FailureKind
    retry: Retry
    breaker: BreakerEffect
    detail: str = ""
    http_status: int | None = None
    code: str | None = None
    param: str | None = None
    retry_after: float | None = None
    outcome_unknown: bool = False
    """The request was written and no definite answer came: it may still run, and be billed."""
    executed: bool = False
    """The provider answered that it failed while working (500): a replay needs another key."""
    stale_connection: bool = False
    """A reused connection had been closed by the peer: the retry takes a fresh one."""
    cause: str = ""
    """What the transport, or the app's own function, said of it: more exact than ``detail``, and in our words too."""
    retry_refused: bool = False
    """The provider said ``x-should-retry: false``: the same route is not tried again, not even if it is the last."""


class Skip(msgspec.Struct, frozen=True, omit_defaults=True):
    """A route that was passed over, and why. ``failure`` is what opened it, if it is open."""

    route: str
    lane: LaneName
    reason: str
    failure: Failure | None = None


class Send(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="send"):
    """Send an attempt. ``timeout`` and ``first_token`` are in seconds from the move; ``patience`` is for how many
    seconds a cap of our own may hold it back."""

    route: str
    lane: LaneName
    attempt_number: int
    timeout: float
    first_token: float | None = None
    patience: float = 0.0
    cause: Literal["first", "retry", "switch", "drop", "restart", "repair"] = "first"
    skipped: tuple[Skip, ...] = ()


class Switch(Send, frozen=True, kw_only=True, tag="switch"):
    """Send an attempt on another route than the attempt before."""


class Wait(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="wait"):
    """Wait, then ask the plan again. ``seconds`` from the move."""

    seconds: float
    route: str
    lane: LaneName
    reason: str


class Stop(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="stop"):
    """Nothing more is tried. ``failure`` decides what the app is told."""

    failure: Failure
    reason: str
    skipped: tuple[Skip, ...] = ()


Move = Send | Wait | Stop
"""What the plan does next (a :class:`Switch` is a :class:`Send`). The tags are those of the ledger's JSON."""


class Outcome(StrEnum):
    """How a call ended."""

    ANSWERED = "answered"
    FAILED = "failed"
    REFUSED = "refused"
    PENDING_REVIEW = "pending_review"
    CANCELLED = "cancelled"


class CostStatus(StrEnum):
    """How far an attempt's cost is known. An unknown cost is ``None``, never 0."""

    KNOWN = "known"
    ESTIMATED = "estimated"
    UNKNOWN = "unknown"
    NOT_BILLED = "not_billed"


class Attempt(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One HTTP exchange of a call, on one route. The ledger's columns have the same names.

    Times ending in ``_ms`` are milliseconds from the attempt's start; ``started_at`` is UTC. ``detail`` tells of a
    failure what its kind, status and code don't, in our words. Tokens are the provider's own count: ``cached_tokens``
    are among the input's, ``reasoning_tokens`` among the output's. Where it gave none they are estimated from bytes,
    and ``tokens_estimated`` says so. ``cost_usd`` is ``None`` where the cost is not known: what a failed attempt that
    may yet be billed can cost at the most is in ``cost_upper_usd``.
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
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    tokens_estimated: bool = False
    cost_usd: float | None = None
    cost_status: CostStatus = CostStatus.UNKNOWN
    cost_upper_usd: float | None = None
    first_byte_ms: float | None = None
    first_content_ms: float | None = None
    total_ms: float | None = None


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
        by_number = {attempt.attempt_number: attempt for attempt in self.attempts}
        told = [(at_ms, text) for at_ms, move in self.moves for text in _explain_move(move, by_number)]
        told = sorted([*self.notes, *told], key=lambda line: line[0])
        lines += [f"{at_ms:9.0f} ms  {text}" for at_ms, text in told]
        total = "" if self.total_ms is None else f" after {self.total_ms:.0f} ms"
        where = f" by {self.route} ({self.lane})" if self.outcome is Outcome.ANSWERED else ""
        where += ", given again" if self.replayed_from is not None else ""
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


_VERBS = {
    "first": "tries",
    "retry": "tries again",
    "switch": "switches to",
    "drop": "tries again with less",
    "restart": "starts over on",
    "repair": "asks to mend the answer of",
}


def _explain_move(move: Move, attempts: dict[int, Attempt]) -> list[str]:
    if isinstance(move, Wait):
        return [f"waits {move.seconds * 1000:.0f} ms for {move.route} ({move.lane}): {move.reason}"]
    lines = [f"skips {skip.route} ({skip.lane}): {skip.reason}" for skip in move.skipped]
    if isinstance(move, Stop):
        return [*lines, f"stops: {move.reason}"]
    attempt = attempts.get(move.attempt_number)
    if attempt is None:
        result = "not sent"
    elif attempt.failure is None:
        result = "answered" if attempt.total_ms is not None else "running"
    else:
        result = str(attempt.failure)
        if attempt.http_status is not None:
            result += f", HTTP {attempt.http_status}"
        if attempt.provider_error_code:
            result += f", {attempt.provider_error_code}"
        if attempt.detail:
            result += f" ({attempt.detail})"
    took = "" if attempt is None or attempt.total_ms is None else f" in {attempt.total_ms:.0f} ms"
    adapted = f", standing in: {'; '.join(attempt.adapted)}" if attempt is not None and attempt.adapted else ""
    taken = f", without {', '.join(attempt.dropped)}" if attempt is not None and attempt.dropped else ""
    if move.cause == "drop" and attempt is not None and attempt.dropped:
        dropped = ", ".join(f'"{name}"' for name in attempt.dropped)
        lines.append(f"hint: drop = [{dropped}] under [routes.{move.route}] saves such an attempt")
    what = f"{_VERBS[move.cause]} {move.route} ({move.lane}), {move.timeout:.1f} s at most{taken}{adapted}"
    return [*lines, f"{what}: {result}{took}"]
