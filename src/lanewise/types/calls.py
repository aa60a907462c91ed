"""The records of calls, and the scores that apps give to answers."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from lanewise.types.attempts import Attempt
from lanewise.types.explaining import steps_of
from lanewise.types.failures import Api, FailureKind, LaneName
from lanewise.types.moves import Move

__all__ = ["DRAFT_OF", "Call", "Outcome", "Score"]


class Outcome(StrEnum):
    """How a call ended."""

    ANSWERED = "answered"
    FAILED = "failed"
    REFUSED = "refused"
    PENDING_REVIEW = "pending_review"
    CANCELLED = "cancelled"


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
        steps = steps_of(self.moves, self.notes, self.attempts)
        lines += [f"{at_ms:9.0f} ms  {text}" for at_ms, text in steps]
        total = "" if self.total_ms is None else f" after {self.total_ms:.0f} ms"
        where = f" by {self.route} ({self.lane})" if self.outcome is Outcome.ANSWERED else ""
        where += ", given again" if self.replayed_from is not None else ""
        if self.draft_of is not None and self.outcome is Outcome.PENDING_REVIEW:
            where = f", with a draft by {self.route} that only a person sees"
        reason = f": {self.failure}" if self.failure and self.outcome is not Outcome.ANSWERED else ""
        lines.append(f"=> {self.outcome or 'running'}{where}{reason}{total}")
        return "\n".join(lines)


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """What the app found an answer to be worth, by a measure of its own: then, or in a later request.

    ``value`` is any finite number; ``at`` is UTC.
    """

    call_id: str
    name: str
    value: float
    at: datetime
