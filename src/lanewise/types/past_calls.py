"""Past calls as people look them up: what a list is filtered by, a page of it, and what happened minute by minute."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

__all__ = [
    "ANY",
    "AttemptsOfMinute",
    "CallFilter",
    "CallPage",
    "CallSummary",
    "CallsOfMinute",
    "PageKey",
    "RecentFacts",
]

ANY = "any"
"""As ``failure`` of a filter: whatever it was."""


class CallFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which calls are wanted. ``None`` does not matter.

    ``task``, ``lane``, ``route`` and ``outcome`` are the call's. ``failure`` is what one of its attempts met: then
    ``route`` and ``lane`` are that attempt's, and the calls come in the order in which they first met it. ``label`` is
    a name and a value, or ``None`` for any. ``request_id`` may also be a call's own id. ``since`` and ``until`` bound
    when it began.
    """

    task: str | None = None
    lane: str | None = None
    route: str | None = None
    outcome: str | None = None
    failure: str | None = None
    label: tuple[str, str | None] | None = None
    request_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class PageKey(msgspec.Struct, frozen=True):
    """Where a page ends: the next one begins with what is older. ``attempt`` is the number of the attempt that met the
    failure that is asked for."""

    at: datetime
    call_id: str
    attempt: int = 0


class CallSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A call as a list shows it. ``failures`` are those of its attempts with their routes; costs are in US dollars."""

    id: str
    request_id: str
    task: str
    lane: str | None
    route: str | None
    outcome: str
    failure: str | None
    attempts: int
    started_at: datetime
    total_ms: float | None
    cost_usd: float | None
    failures: tuple[tuple[str, str], ...] = ()


class CallPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of calls, newest first. ``older`` is where the next one begins; ``None``: there is none.

    ``looked_back_to``: the search ended here, since so much had been looked through; it may go on from ``older``.
    """

    calls: tuple[CallSummary, ...]
    older: PageKey | None = None
    looked_back_to: datetime | None = None


class CallsOfMinute(msgspec.Struct, frozen=True, kw_only=True):
    """Calls of a task that began in one minute, ended alike, and took about as long (``bucket`` is of the histogram).

    ``minute`` counts from the epoch.
    """

    task: str
    minute: int
    lane: str | None
    outcome: str
    bucket: int | None
    calls: int


class AttemptsOfMinute(msgspec.Struct, frozen=True, kw_only=True):
    """Attempts of a task that began in one minute and went the same way. ``cost`` is ``None`` if nothing is known."""

    task: str
    minute: int
    lane: str
    route: str
    failure: str | None
    attempts: int
    absorbed: int
    cost: float | None


class RecentFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What happened lately, and what each task has cost since midnight (UTC), as far as it is known."""

    calls: tuple[CallsOfMinute, ...]
    attempts: tuple[AttemptsOfMinute, ...]
    cost_today: Mapping[str, float]
