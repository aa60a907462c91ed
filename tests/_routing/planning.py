"""Short words for tests of the plan: candidates, failures, and a plan whose health can be set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from lanewise._failures import failure_table as failures
from lanewise._routing.availability import Throttle, Unavailable
from lanewise._routing.plan import Plan
from lanewise._routing.selection.candidates import Candidate
from lanewise.config import DEFAULT_ON
from lanewise.types import BreakerEffect, Failure, FailureKind, LaneName, Move, Send, Stop, Wait

PRIMARY, EQUIVALENT, DEGRADED = LaneName
DEFAULT = DEFAULT_ON

OUTAGE = failures.SERVER_ERROR.failure(http_status=500)
OVERLOADED = failures.OVERLOADED.failure(http_status=529)
UNAVAILABLE = failures.UNAVAILABLE.failure(http_status=503)
RATE_LIMIT = failures.RATE_LIMIT.failure(http_status=429)
CONFLICT = failures.CONFLICT.failure(http_status=409)
UNREACHABLE = failures.UNREACHABLE.failure()
TIMEOUT = failures.TIMEOUT.failure()
AUTH = failures.AUTH.failure(http_status=401)
QUOTA = failures.PAYMENT.failure(http_status=402)
TOO_LONG = failures.CONTEXT_LENGTH.failure(http_status=400)
BAD_REQUEST = failures.BAD_REQUEST.failure(http_status=400)
POLICY = failures.CONTENT_POLICY.failure(http_status=400)
UNSUPPORTED = failures.UNSUPPORTED_PARAMETER.failure(http_status=400, param="seed")
CONTRACT = failures.CONTRACT.failure(http_status=200)
SUBSTITUTED = failures.SUBSTITUTED.failure(http_status=200)


def kinds(*names: str) -> frozenset[FailureKind]:
    """The failures of these names."""
    return frozenset(FailureKind(name) for name in names)


def candidate(
    route: str,
    lane: LaneName = PRIMARY,
    *,
    on: Iterable[FailureKind] = DEFAULT,
    timeout: float = 30.0,
    first_token: float | None = 20.0,
    window: int | None = None,
    incapable: str | None = None,
    timeout_declared: bool = True,
) -> Candidate:
    """A candidate that is usual but for what is said."""
    return Candidate(
        route, lane, frozenset(on), timeout, first_token, window, incapable, timeout_declared=timeout_declared
    )


def layout(**lanes: str) -> tuple[Candidate, ...]:
    """Usual candidates, a letter each: ``layout(primary="ab", degraded="c")``; the lanes come as they are given."""
    return tuple(candidate(route, LaneName(lane)) for lane, routes in lanes.items() for route in routes)


class Told:
    """The health of routes as it is told: what has opened each, and what a plan may do there all the same.

    Routes that counted failures or a 429 opened are last resorts; those in ``throttles`` are throttled, and those that
    are ``in_part`` rate limit some calls and answer others. ``shares`` are their shares of answers.
    """

    def __init__(self, opened: Callable[[str], Failure | None] = lambda route: None) -> None:
        self.opened = opened
        self.throttles: dict[str, Throttle] = {}
        self.slots: dict[str, float] = {}
        self.permitted = True
        self.answers = True
        self.shares: dict[str, float] = {}
        self.in_part: set[str] = set()
        self.first_bytes: dict[str, float] = {}

    def closed_to(self, route: str) -> Unavailable | None:
        failure = self.opened(route)
        if failure is None:
            return None
        counted = failure.breaker is BreakerEffect.FAILURE
        return Unavailable(
            failure,
            counted or failure.kind is FailureKind.RATE_LIMIT,
            self.throttles.get(route),
            in_part=route in self.in_part,
        )

    def permits(self, route: str) -> bool:
        return self.permitted

    def next_slot(self, route: str, *, asks: bool) -> float:
        return self.slots.get(route, 0.0)

    def answered_share(self, route: str) -> float:
        return self.shares.get(route, 1.0 if self.answers else 0.0)

    def first_byte(self, route: str) -> float | None:
        return self.first_bytes.get(route)


class Staged:
    """A plan with a clock that stands where it is told, and routes that are open as it is told."""

    def __init__(
        self,
        candidates: Sequence[Candidate],
        *,
        budget: float = 60.0,
        alone: float | None = None,
        patience: float = 2.0,
        retries: Mapping[FailureKind, int] | None = None,
        sensitive: bool = False,
        max_attempts: int = 8,
        opened: Mapping[str, Failure] | None = None,
    ) -> None:
        self.opened = dict(opened or {})
        self.health = Told(self.opened.get)
        self.now = 1000.0
        self.plan = Plan(
            candidates,
            deadline=self.now + budget,
            budget=budget,
            alone=alone,
            patience=patience,
            retries=retries,
            sensitive=sensitive,
            max_attempts=max_attempts,
            health=self.health,
        )

    def begin(self) -> Move:
        """The first move."""
        return self.plan.begin(self.now)

    def fails(self, failure: Failure, *, after: float = 0.0, jitter: float = 0.0, **said: Any) -> Move:
        """The move after the attempt has failed, ``after`` seconds on."""
        self.now += after
        return self.plan.failed(failure, self.now, jitter, **said)

    def waits(self, move: Move, *, longer: float = 0.0) -> Move:
        """The move after the wait that ``move`` must be."""
        assert isinstance(move, Wait), move
        self.now += move.seconds + longer
        return self.plan.waited(self.now)

    def plays(self, *failures: Failure) -> str:
        """The routes of all attempts as letters, each attempt but the last failing as told; a wait is a dot.

        An ``!`` says that the plan stopped before the failures were used up, or at their end.
        """
        move, text = self.begin(), ""
        left = list(failures)
        while True:
            if isinstance(move, Wait):
                text += "."
                move = self.waits(move)
            if isinstance(move, Stop):
                return text + "!"
            assert isinstance(move, Send)
            text += move.route
            if not left:
                return text
            move = self.fails(left.pop(0))


def skipped(move: Move) -> dict[str, str]:
    """What a move passed over, and why."""
    assert not isinstance(move, Wait)
    return {skip.route: skip.reason for skip in move.skipped}


def limited(seconds: float) -> Failure:
    """A 429 that says for how long."""
    return failures.RATE_LIMIT.failure(http_status=429, retry_after=seconds)


def send(move: Move) -> Send:
    """The move, which must send."""
    assert isinstance(move, Send), move
    return move


def stop(move: Move) -> Stop:
    """The move, which must stop."""
    assert isinstance(move, Stop), move
    return move


ONE = layout(primary="a")
TWO = layout(primary="a", equivalent="b")
THREE = layout(primary="a", equivalent="b", degraded="c")
SAME_LANE = layout(primary="ab")
