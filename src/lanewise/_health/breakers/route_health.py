"""The health of one route: the breakers that its attempts pass, how they ended, and whether it has gone silent.

Pure: time, jitter and whether the shared store answers are arguments.
"""

from __future__ import annotations

from itertools import islice
from typing import Final

import msgspec

from lanewise._failures import failure_table as failures
from lanewise._health.breakers.circuit import COUNTED, CircuitOpened, Event, Failed, Limited, Released, Succeeded
from lanewise._health.breakers.local_breaker import LocalBreaker
from lanewise._health.breakers.outcomes import Outcomes
from lanewise._health.breakers.permit import JUDGED, Permit
from lanewise._health.breakers.slow_calls import SlowCalls
from lanewise._routing.availability import Unavailable
from lanewise.config.tables.health import SlowCall
from lanewise.types import BreakerEffect, Failure, FailureKind

__all__ = ["RouteHealth"]

ROW: Final = 2
"""After so many failures in a row attempts under way are taken for failures, until they answer."""
ENOUGH: Final = 10
"""With fewer recent outcomes a route counts as better than one that fails."""
SILENT: Final = 5
"""So many attempts without a byte, and none of theirs or of others meanwhile, are taken for a provider that hangs."""
LEAST_SILENCE: Final = 5.0
"""Seconds; of a route that is known, three times its usual first byte."""
_TIMES: Final = 3.0
_KEPT: Final = 100
"""The latest times to a first byte, of which the usual one is found."""
_KNOWN: Final = 20
"""With fewer of them half of the timeout of the route stands for it."""


class RouteHealth:
    """Of one route, for one kind of API: its own breaker, and that of its provider's account.

    ``timeout`` is the route's, in seconds; ``others`` are the routes that its calls could go to instead; ``slow`` says
    which answers count as failures in the share.

    Example::

        if health.closed_to(now, shared=False) is None and (permit := health.enter(now, shared=False)):
            ...
            health.leave(permit, failure, now, jitter=random.random())
    """

    __slots__ = (
        "_first_bytes",
        "_heard_at",
        "_latest",
        "_outcomes",
        "_settings",
        "_silent",
        "_timeout",
        "account",
        "doubted",
        "others",
        "route",
        "slow_streams",
        "slow_wholes",
    )

    def __init__(
        self, route: LocalBreaker, account: LocalBreaker, timeout: float = 30.0, slow: SlowCall | None = None
    ) -> None:
        self.route = route
        self.account = account
        self.others: tuple[RouteHealth, ...] = ()
        self._timeout = timeout
        self._settings = route.settings
        self._outcomes = Outcomes(route.settings.sampling_duration)
        self._silent: dict[Permit, None] = {}
        self._heard_at = 0.0
        self._latest: Failure | None = None
        self.doubted = False
        """Whether a failure counts of which something special in its call may have been the cause."""
        self._first_bytes: list[float] = []
        self.slow_wholes = None if slow is None else SlowCalls(slow)
        self.slow_streams = None if slow is None else SlowCalls(slow)

    @property
    def pristine(self) -> bool:
        """Whether neither circuit remembers anything, nor enough attempts are silent to look at them."""
        return self.route.pristine and self.account.pristine and len(self._silent) < SILENT

    @property
    def answered_share(self) -> float:
        """The share of answers among its last outcomes; 1 if none is known."""
        return self._outcomes.answered_share

    def closed_to(self, now: float, *, shared: bool) -> Unavailable | None:
        """What keeps new calls away. Has no effect but to note that a probe is wanted."""
        if self.route.pristine and self.account.pristine:
            return None
        closed = self.account.closed_to(now, shared=shared) or self.route.closed_to(now, shared=shared)
        return closed or self._on_trial(now)

    def _on_trial(self, now: float) -> Unavailable | None:
        """Keep new calls away while what is under way decides, after failures in a row, whether the route opens."""
        row, under_way = self.route.circuit.consecutive_failures, len(self._silent)
        settings = self._settings
        if row < ROW or row + under_way < settings.consecutive_failures or self._latest is None:
            return None
        if not settings.throttle or not self._others_better(now):
            return None
        reason = f"{row} failures in a row, and {under_way} attempts under way that may make it open"
        return Unavailable(self._latest, last_resort=True, reason=reason)

    # -- attempts ----------------------------------------------------------------------------------------------------

    def enter(self, now: float, *, shared: bool, last_resort: bool = False, slot: bool = False) -> Permit | None:
        """Let an attempt in, as the probe of what is half-open; ``None`` if another call is that already.

        ``last_resort``: it has no other route, and goes to one that fails in part; ``slot``: in its turn only.
        A rate limit keeps no attempt out: the plan decides, and the last route may be sent to.
        """
        route, account = self.route, self.account
        generations = route.circuit.generation, account.circuit.generation
        limit = route.circuit.limited_by if route.circuit.is_limited(now) else None
        despite_limit = limit is not None and limit.retry_after is not None
        permit = Permit(*generations, now, limits=route.circuit.limits, despite_limit=despite_limit, slot=slot)
        if account.circuit.open_until is not None:
            if not account.may_probe(now, shared=shared):
                return None
            permit.probes_account = True
        if route.circuit.open_until is not None:
            if route.may_probe(now, shared=shared):
                permit.probes_route = True
            elif (
                not last_resort
                or not self._settings.throttle
                or not route.circuit.fails_in_part
                or (route.circuit.throttled_at is not None and not slot)
            ):
                return None
        if slot and not permit.probes_route and not route.take_slot(now, shared=shared):
            return None
        route.probing = route.probing or permit.probes_route
        account.probing = account.probing or permit.probes_account
        self._silent[permit] = None
        return permit

    def enter_pristine(self, now: float) -> Permit:
        """Let an attempt in where neither circuit remembers anything, without a look at them."""
        permit = Permit(self.route.circuit.generation, self.account.circuit.generation, now)
        self._silent[permit] = None
        return permit

    def heard(self, permit: Permit, now: float) -> None:
        """Note the first byte of an attempt's answer."""
        if self._silent.pop(permit, permit) is None and permit.route_generation == self.route.circuit.generation:
            self._first_bytes.append(now - permit.since)
            if len(self._first_bytes) > 2 * _KEPT:
                del self._first_bytes[:_KEPT]
        self._heard_at = now

    def leave(
        self, permit: Permit, failure: Failure | None, now: float, *, jitter: float, slow: bool = False
    ) -> tuple[LocalBreaker, ...]:
        """Note how an attempt ended. Gives the breakers of which the other workers have to know."""
        self._silent.pop(permit, None)
        opened = self._answered_slowly(permit, now, jitter) if slow else None
        if failure is None and not slow:
            self._outcomes.succeeded(now)
        route_event, account_event = self._events(permit, failure, now, jitter)
        route_event = opened or route_event
        changed: tuple[LocalBreaker, ...] = ()
        if permit.probes_route:
            self.route.probing = False
        if permit.probes_account:
            self.account.probing = False
        if route_event is not None and self.route.note(route_event, now):
            changed += (self.route,)
        if account_event is not None and self.account.note(account_event, now):
            changed += (self.account,)
        return changed

    def is_slow(self, permit: Permit, now: float, lost: float) -> bool:
        """Whether an answer was slow; ``lost`` are the seconds of it for which our own loop stood still."""
        if self.slow_wholes is None or self.slow_streams is None or permit.began == JUDGED:
            return False
        if permit.began is None:
            return self.slow_wholes.note(max(0.0, now - permit.since - lost), now)
        return self.slow_streams.note(max(0.0, permit.began - permit.since), now)

    def _answered_slowly(self, permit: Permit, now: float, jitter: float) -> Event | None:
        """Count a slow answer as a failure in the share. What that is to the route's circuit, if anything."""
        circuit = self.route.circuit
        if permit.route_generation != circuit.generation:
            return None
        if permit.probes_route:
            if circuit.why is None or circuit.why.detail != failures.SLOW.detail:
                return None  # it was opened by failures, and has none now
            return Failed(permit.route_generation, circuit.why, jitter, self.route.worker)
        self._outcomes.failed(now)
        settings = self._settings
        trips = self._outcomes.trips(now, ratio=settings.failure_ratio, throughput=settings.minimum_throughput)
        if not trips or circuit.open_until is not None or not self._others_better(now):
            return None
        return CircuitOpened(permit.route_generation, failures.SLOW.failure(), jitter)

    def succeeded(self, permit: Permit, now: float) -> None:
        """Note a success where both circuits are pristine: only the outcome counts."""
        self._silent.pop(permit, None)
        self._outcomes.succeeded(now)

    def count(self, permit: Permit, failure: Failure | None, now: float) -> None:
        """Note an outcome where breakers are off: only the share of answers is kept, which plans ask for."""
        if failure is None:
            self.succeeded(permit, now)
            return
        self._silent.pop(permit, None)
        if failure.breaker in COUNTED or failure.kind in (FailureKind.RATE_LIMIT, FailureKind.CONFLICT):
            self._outcomes.unanswered()

    def after_fork(self) -> None:
        """In the child of a fork the attempts that are out are the parent's."""
        self._silent = {}

    def committed(self, permit: Permit) -> Permit:
        """The way in of an attempt that is out already, and whose stream has just begun to answer."""
        later = Permit(self.route.circuit.generation, self.account.circuit.generation, permit.since)
        later.began = JUDGED
        return later

    def answered_plain(self) -> None:
        """The route has answered a call of the plain kind: such failures before it were not its health."""
        self.doubted = False
        self._outcomes.forgive()

    def limit(self, failure: Failure, now: float) -> bool:
        """Close the route to new calls before it answers 429. Whether the other workers have to know."""
        event = Limited(self.route.circuit.generation, failure, failure.retry_after, met=False)
        return self.route.note(event, now)

    # -- silence -----------------------------------------------------------------------------------------------------

    def open_if_silent(self, now: float, *, jitter: float) -> bool:
        """Open the route if it hangs: so many attempts without a byte for so long. Whether others have to know."""
        if (
            len(self._silent) < SILENT
            or now - self._heard_at < LEAST_SILENCE
            or self.route.circuit.open_until is not None
        ):
            return False
        longest = self.usual_silence
        if now - self._heard_at < longest:
            return False
        waiting = list(islice(list(self._silent), SILENT))
        if len(waiting) < SILENT or now - waiting[-1].since < longest or not self._others_better(now):
            return False
        cause = f"{SILENT} attempts without a byte for {longest:.3g} s"
        failure = failures.SILENT.failure(cause=cause)
        return self.route.note(CircuitOpened(self.route.circuit.generation, failure, jitter), now)

    @property
    def usual_silence(self) -> float:
        """The seconds without a first byte from which a route is taken to hang: three times what is usual."""
        times = self._first_bytes[-_KEPT:]
        if len(times) < _KNOWN:
            return max(LEAST_SILENCE, self._timeout / 2)
        return max(LEAST_SILENCE, _TIMES * sorted(times)[int(0.95 * len(times))])

    @property
    def first_byte(self) -> float | None:
        """The seconds that the probe of a route that hung waits for its first byte; ``None`` for any other."""
        failure = self.route.circuit.why
        return self.usual_silence if failure is not None and failure.detail == failures.SILENT.detail else None

    # -- what an outcome is ------------------------------------------------------------------------------------------

    def _events(
        self, permit: Permit, failure: Failure | None, now: float, jitter: float
    ) -> tuple[Event | None, Event | None]:
        """What an outcome is to the route's circuit, and to the account's."""
        route_probe = self.route.worker if permit.probes_route else ""
        account_probe = self.account.worker if permit.probes_account else ""
        if failure is None:
            if route_probe:
                self._outcomes.clear()
            return (
                Succeeded(permit.route_generation, route_probe, permit.limits, permit.despite_limit),
                Succeeded(permit.account_generation, account_probe),
            )
        released = Released(account_probe) if account_probe else None
        if failure.breaker is BreakerEffect.ACCOUNT:
            opened = CircuitOpened(permit.account_generation, failure, jitter)
            return (Released(route_probe) if route_probe else None), opened
        if failure.breaker is BreakerEffect.ROUTE:
            return CircuitOpened(permit.route_generation, failure, jitter), released
        if failure.breaker in COUNTED:
            return self._failed(permit, failure, now, jitter, route_probe), released
        if failure.kind is FailureKind.CONFLICT:
            self._outcomes.unanswered()
        if failure.kind is FailureKind.RATE_LIMIT:
            self._outcomes.unanswered()
            limited = Limited(permit.route_generation, failure, failure.retry_after, route_probe, jitter=jitter)
            return limited, released
        return (Released(route_probe) if route_probe else None), released

    def _failed(self, permit: Permit, failure: Failure, now: float, jitter: float, probe: str) -> Event:
        others_better = True
        self._latest = msgspec.structs.replace(failure, retry_after=None)
        self.route.failed_in = now - permit.since
        if permit.route_generation == self.route.circuit.generation:
            unproven = failure.breaker is BreakerEffect.UNPROVEN
            self.doubted = self.doubted or unproven
            self._outcomes.failed(now, unproven=unproven)
            settings = self._settings
            others_better = not settings.throttle or self._others_better(now)
            trips = self._outcomes.trips(now, ratio=settings.failure_ratio, throughput=settings.minimum_throughput)
            if not probe and others_better and trips and self.route.circuit.open_until is None:
                return CircuitOpened(permit.route_generation, failure, jitter)
        return Failed(permit.route_generation, failure, jitter, probe, others_better)

    def _others_better(self, now: float) -> bool:
        """Whether a route that this one's calls could go to fails less, as far as that is known."""
        return any(other._is_better_than(self, now) for other in self.others)

    def _is_better_than(self, failing: RouteHealth, now: float) -> bool:
        mine = self.route.circuit
        if mine.open_until is not None or mine.is_limited(now) or self.account.circuit.open_until is not None:
            return False
        if self._outcomes.count(now) < ENOUGH:
            return True
        return self._outcomes.answered_share > failing._outcomes.answered_share
