"""Where a call could go next: its candidates beyond the one it is at, and why those on the way are passed over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from lanewise._routing.candidates import Candidate
from lanewise.types import Failure, FailureKind, Skip

__all__ = ["MAX_ATTEMPTS", "Ahead", "Course", "Onward", "OpenRoutes", "open_skip"]

MAX_ATTEMPTS: Final = 4

OpenRoutes = Callable[[str], Failure | None]
"""Asks a route's health: what opened it, or ``None`` while it may be used. Asking has no effect on it."""

_K: Final = FailureKind


class Onward(msgspec.Struct, frozen=True):
    """Where a call could go next. ``alone``: to no other route, or only to one that a 429 closed."""

    position: int | None
    entered_by: Failure | None
    skipped: tuple[Skip, ...]
    alone: bool = False


class Ahead(msgspec.Struct, frozen=True):
    """How many later lanes could be used now, and whether any route could be moved to: after a timeout, at all."""

    lanes: int
    after_timeout: bool
    others: bool


class Course(msgspec.Struct, frozen=True):
    """One call's candidates in their order, and what closes them. ``here`` is where the call is: -1 before the first.

    ``used`` are the attempts that it has made.
    """

    candidates: Sequence[Candidate]
    open: OpenRoutes
    sensitive: bool

    def onward(self, here: int, used: int, failure: Failure | None) -> Onward:
        """The next candidate that may be used, the failure that leads into it, and what was skipped on the way."""
        skipped: tuple[Skip, ...] = ()
        limited: Onward | None = None
        for position in range(here + 1, len(self.candidates)):
            candidate = self.candidates[position]
            if candidate.incapable is not None:
                skipped += (Skip(candidate.route, candidate.lane, candidate.incapable),)
            elif not self._admits(here, candidate, failure):
                skipped += (Skip(candidate.route, candidate.lane, self._why_not(here, candidate, failure)),)
            elif (opened := self.open(candidate.route)) is not None:
                if limited is None and opened.kind is _K.RATE_LIMIT:
                    limited = Onward(position, failure, skipped, alone=True)
                skipped += (open_skip(candidate, opened),)
                failure = opened
            elif self._is_kept_from(here, used, position, failure):
                skipped += (Skip(candidate.route, candidate.lane, "the attempts left are kept for later lanes"),)
            else:
                return Onward(position, failure, skipped)
        return limited or Onward(None, failure, skipped, alone=True)

    def untried(self, here: int, failure: Failure | None, reason: str) -> tuple[Skip, ...]:
        """The routes that the call never came to, for the trace. Not asked: their health, which had no part in it."""
        skipped: tuple[Skip, ...] = ()
        for rest in self.candidates[here + 1 :]:
            why = reason if self._admits(here, rest, failure) else self._why_not(here, rest, failure)
            skipped += (Skip(rest.route, rest.lane, rest.incapable or why),)
        return skipped

    def ahead(self, position: int) -> Ahead:
        """What could be used now beyond ``position``."""
        lanes = 0
        after_timeout = others = False
        lane = self.candidates[position].lane
        for candidate in self.candidates[position + 1 :]:
            if candidate.incapable is not None or self.open(candidate.route) is not None:
                continue
            others = True
            after_timeout = after_timeout or _K.TIMEOUT in candidate.on
            if candidate.lane is not lane:
                lane = candidate.lane
                lanes += 1
        return Ahead(lanes, after_timeout, others)

    def needs_the_rest(self, position: int, used: int) -> bool:
        """Whether after one more attempt here, fewer would be left than there are later lanes to use."""
        return MAX_ATTEMPTS - used - 1 < self.ahead(position).lanes

    def _admits(self, here: int, candidate: Candidate, failure: Failure | None) -> bool:
        if failure is None:
            return True
        if failure.kind is _K.SUBSTITUTED:
            return self.sensitive  # every candidate of a sensitive call is an approved route
        if failure.kind is _K.CONTEXT_LENGTH and here >= 0:  # whatever `on` says: it helps there, and nowhere else
            window = self.candidates[here].context_window
            return window is not None and candidate.context_window is not None and candidate.context_window > window
        # What this process lacks is to the app what an unreachable provider is: nothing was sent, no route is better.
        kind = failure.kind if failure.trouble is None else _K.UNREACHABLE
        return kind in candidate.on

    def _why_not(self, here: int, candidate: Candidate, failure: Failure | None) -> str:
        """Why a failure does not move the call to a candidate, for the trace."""
        if failure is None or failure.kind is not _K.CONTEXT_LENGTH or here < 0:
            return f"is not used after {failure and failure.kind}"
        window = self.candidates[here].context_window
        if window is None:
            return f"is not known to take more than {self.candidates[here].route}, whose context_window is missing"
        if candidate.context_window is None:
            return "is not known to take more: its context_window is missing"
        return f"takes no more: its window is {candidate.context_window} tokens"

    def _is_kept_from(self, here: int, used: int, position: int, failure: Failure | None) -> bool:
        """Whether another route of the same lane would use up an attempt that a later lane could have."""
        if here < 0 or self.candidates[position].lane is not self.candidates[here].lane:
            return False
        return self.needs_the_rest(position, used) and self._leads_on(here, position, failure)

    def _leads_on(self, here: int, position: int, failure: Failure | None) -> bool:
        """Whether this failure, or what opened the routes that it passes over, moves the call into a later lane."""
        own = self.candidates[position].lane
        for candidate in self.candidates[position + 1 :]:
            if candidate.incapable is not None or not self._admits(here, candidate, failure):
                continue
            opened = self.open(candidate.route)
            if opened is None and candidate.lane is not own:
                return True
            failure = opened or failure
        return False


def open_skip(candidate: Candidate, opened: Failure) -> Skip:
    """That a route is passed over because it is open, and by what."""
    cause = f" ({opened.cause})" if opened.cause else ""
    more = "" if opened.retry_after is None else f", for {opened.retry_after:.3g} s more"
    return Skip(candidate.route, candidate.lane, f"is open after {opened.kind}{cause}{more}", opened)
