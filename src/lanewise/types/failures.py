"""What went wrong in an attempt and what that means, with the names of APIs and lanes."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

__all__ = ["NEVER_MOVE", "Api", "BreakerEffect", "Failure", "FailureKind", "LaneName", "LocalTrouble", "Retry"]


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
    """What went wrong in an attempt. The table that decides it is in ``_failures/failure_table.py``."""

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


NEVER_MOVE: Final = frozenset({FailureKind.LOCAL, FailureKind.CANCELLED, FailureKind.DEADLINE})
"""The failures after which no other route is asked, whatever a lane lists."""


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
    UNPROVEN = "P"
    """Counts towards opening the route, until it answers a call without pictures, sound or files."""
    NEUTRAL = "0"
    """Says nothing of the route, but releases a probe."""
    ACCOUNT = "A"
    """Opens every route of the provider account at once."""
    ROUTE = "T"
    """Opens the route at once."""


class LocalTrouble(StrEnum):
    """What this process or its machine lacks, where a failure is neither the provider's nor the request's."""

    DESCRIPTORS = "descriptors"
    PORTS = "ports"
    MEMORY = "memory"
    THREADS = "threads"
    NETWORK = "network"
    PERMISSION = "permission"
    LOOP = "loop"
    """Time: the event loop stood still, or was late."""


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One attempt's failure, classified.

    ``retry_after`` is in seconds from the moment the answer came. ``detail`` is in our words:
    it never holds text of the provider, of the prompt or of an answer. ``code`` and ``param``
    are the provider's, if they are known words or names of the request; ``other`` stands for any other.
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
    """The provider said ``x-should-retry: false``, or the row does: the same route is not tried again, not even if it
    is the last."""
    names: tuple[str, ...] = ()
    """Of what may be added to a request: what the error's body names, in the words of an attempt's ``dropped``."""
    about_content: bool = False
    """The provider's code says that something in what was asked is wrong: a picture, a tool, a message."""
    trouble: LocalTrouble | None = None
    """What this process lacked: of the kind ``local`` only, and never shared with other workers."""
