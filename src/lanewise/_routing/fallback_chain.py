"""Where a call could go next: its candidates beyond the one it is at, and why those on the way are passed over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from lanewise._routing.availability import Unavailable
from lanewise._routing.selection.candidates import Candidate
from lanewise.types import Failure, FailureKind, Skip

__all__ = ["FallbackChain", "NextCandidate", "Remaining", "RoutesHealth", "skip_of"]

_K: Final = FailureKind


class RoutesHealth(Protocol):
    """What a plan asks of the health of routes. Asking changes nothing in them."""

    def closed_to(self, route: str) -> Unavailable | None:
        """What keeps new calls from a route; ``None`` while it may be used."""
        ...

    def permits(self, route: str) -> bool:
        """Whether the retry budget of the route's provider permits a retry."""
        ...

    def next_slot(self, route: str, *, asks: bool) -> float:
        """The seconds until the next attempt of a throttled route may go out from here: 0 if it may now.

        ``asks``: the call waits until the shared store has said whose it is.
        """
        ...

    def answered_share(self, route: str) -> float:
        """The share of answers among the route's last outcomes; 1 if none is known."""
        ...

    def first_byte(self, route: str) -> float | None:
        """The seconds that the probe of a route that hung waits for its first byte; ``None`` for any other."""
        ...


class LastResort(msgspec.Struct, frozen=True):
    """A route that a call goes to only if it has no other, and the failure that leads there."""

    position: int
    entered_by: Failure | None


class NextCandidate(msgspec.Struct, frozen=True):
    """Where a call goes next: ``position`` is ``None`` if no route is well, and ``resorts`` are what is left then."""

    position: int | None
    entered_by: Failure | None
    skipped: tuple[Skip, ...]
    resorts: tuple[LastResort, ...] = ()


class Remaining(msgspec.Struct, frozen=True):
    """How many later lanes could be used now, and whether any route could be moved to: after a timeout, at all."""

    lanes: int
    after_timeout: bool
    others: bool


class FallbackChain(msgspec.Struct, frozen=True):
    """One call's candidates in their order, and the health of their routes. ``most`` is how many attempts it may make.

    ``here`` is where the call is (-1 before the first), ``used`` the attempts that it has made.
    """

    candidates: Sequence[Candidate]
    health: RoutesHealth
    sensitive: bool
    most: int

    def next_candidate(self, here: int, used: int, failure: Failure | None) -> NextCandidate:
        """The next candidate that may be used, the failure that leads into it, and what was skipped on the way."""
        skipped: tuple[Skip, ...] = ()
        resorts: tuple[LastResort, ...] = ()
        for position in range(here + 1, len(self.candidates)):
            candidate = self.candidates[position]
            if candidate.incapable is not None:
                skipped += (Skip(candidate.route, candidate.lane, candidate.incapable),)
            elif not self.admits(here, candidate, failure):
                skipped += (Skip(candidate.route, candidate.lane, self._reason_against(here, candidate, failure)),)
            elif (closed := self.health.closed_to(candidate.route)) is not None:
                if closed.last_resort:
                    resorts += (LastResort(position, failure),)
                skipped += (skip_of(candidate, closed),)
                failure = closed.failure
            elif self._is_kept_from(here, used, position, failure):
                skipped += (Skip(candidate.route, candidate.lane, "the attempts left are kept for later lanes"),)
            else:
                return NextCandidate(position, failure, skipped)
        return NextCandidate(None, failure, skipped, resorts)

    def untried(self, here: int, failure: Failure | None, reason: str) -> tuple[Skip, ...]:
        """The routes that the call never came to, for the trace. Not asked: their health, which had no part in it."""
        skipped: tuple[Skip, ...] = ()
        for rest in self.candidates[here + 1 :]:
            detail = reason if self.admits(here, rest, failure) else self._reason_against(here, rest, failure)
            skipped += (Skip(rest.route, rest.lane, rest.incapable or detail),)
        return skipped

    def remaining(self, position: int) -> Remaining:
        """What could be used now beyond ``position``."""
        lanes = 0
        after_timeout = others = False
        lane = self.candidates[position].lane
        for candidate in self.candidates[position + 1 :]:
            if candidate.incapable is not None or self.health.closed_to(candidate.route) is not None:
                continue
            others = True
            after_timeout = after_timeout or _K.TIMEOUT in candidate.on
            if candidate.lane is not lane:
                lane = candidate.lane
                lanes += 1
        return Remaining(lanes, after_timeout, others)

    def needs_the_rest(self, position: int, used: int, failure: Failure) -> bool:
        """Whether after one more attempt here, fewer would be left than there are further routes to use."""
        further = sum(
            candidate.incapable is None
            and self.admits(position, candidate, failure)
            and self.health.closed_to(candidate.route) is None
            for candidate in self.candidates[position + 1 :]
        )
        return self.most - used - 1 < further

    def admits(self, here: int, candidate: Candidate, failure: Failure | None) -> bool:
        """Whether a failure may move the call from ``here`` to a candidate."""
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

    def _reason_against(self, here: int, candidate: Candidate, failure: Failure | None) -> str:
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
        return self.most - used - 1 < self.remaining(position).lanes and self._leads_on(here, position, failure)

    def _leads_on(self, here: int, position: int, failure: Failure | None) -> bool:
        """Whether this failure, or what opened the routes that it passes over, moves the call into a later lane."""
        own = self.candidates[position].lane
        for candidate in self.candidates[position + 1 :]:
            if candidate.incapable is not None or not self.admits(here, candidate, failure):
                continue
            closed = self.health.closed_to(candidate.route)
            if closed is None and candidate.lane is not own:
                return True
            failure = failure if closed is None else closed.failure
        return False


def skip_of(candidate: Candidate, closed: Unavailable) -> Skip:
    """That a route is passed over, and by what."""
    failure = closed.failure
    if closed.throttle is not None:
        return Skip(candidate.route, candidate.lane, str(closed.throttle), failure)
    if closed.reason:
        return Skip(candidate.route, candidate.lane, closed.reason, failure)
    cause = f" ({failure.cause})" if failure.cause else ""
    more = "" if failure.retry_after is None else f", for {failure.retry_after:.3g} s more"
    return Skip(candidate.route, candidate.lane, f"is open after {failure.kind}{cause}{more}", failure)
