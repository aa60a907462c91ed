"""The state of one circuit, its settings, and all that can happen to it. What it becomes is in ``transitions.py``."""

from __future__ import annotations

from typing import Final

import msgspec

from lanewise.config import HealthSettings
from lanewise.types import BreakerEffect, Failure

__all__ = [
    "COUNTED",
    "BreakerSettings",
    "ByHand",
    "Circuit",
    "CircuitOpened",
    "Event",
    "Failed",
    "LeaseAsked",
    "LeaseRenewed",
    "Limited",
    "Released",
    "SlotAsked",
    "Succeeded",
]


_DEFAULTS: Final = HealthSettings()
COUNTED: Final = (BreakerEffect.FAILURE, BreakerEffect.UNPROVEN)
"""Effects of failures that open a route only by their number."""


class BreakerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of breakers, those of :class:`HealthSettings` and what is not declared. Durations are in seconds."""

    consecutive_failures: int = _DEFAULTS.consecutive_failures
    failure_ratio: float = _DEFAULTS.failure_ratio
    minimum_throughput: int = _DEFAULTS.minimum_throughput
    sampling_duration: float = _DEFAULTS.sampling_duration
    break_duration: float = _DEFAULTS.break_duration
    max_break_duration: float = _DEFAULTS.max_break_duration
    throttle_duration: float = _DEFAULTS.throttle_duration
    max_throttle_duration: float = _DEFAULTS.max_throttle_duration
    lease: float = 5.0
    """How long a worker that holds the probe is waited for without a word of it."""
    throttle: bool = _DEFAULTS.throttle
    """Whether an open route may be sent to where no other can be, and is throttled there; else it is refused."""
    throttle_after: int = 40
    """Attempts in a row without an answer, rate limits among them, that throttle a route."""
    throttle_silence: float = 2.0
    """How long that row has lasted at least."""
    slot: float = 1.0
    """A throttled route gets one attempt in so long, of all workers."""
    limited_slot: float = 10.0
    """So does one whose provider asked to be left alone for longer than the calls can wait; the first comes as soon as
    of a throttled one."""
    disproved: float = 60.0
    """Seconds after an answer despite a Retry-After, for which the next Retry-Afters hold for their own call alone."""


class Circuit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The state of one circuit. Times are in seconds of one clock: the worker's own, or the shared store's."""

    generation: int = 0
    """Counts openings, throttles and closings."""
    consecutive_failures: int = 0
    consecutive_opens: int = 0
    """Openings without a success between."""
    opened_at: float | None = None
    open_until: float | None = None
    why: Failure | None = None
    by_hand: bool = False
    holder: str = ""
    """The worker that may probe."""
    lease_until: float = 0.0
    wanted_by: str = ""
    """A worker that would probe, if the holder does not."""
    limits: int = 0
    """Rate limits in a row."""
    limited_since: float | None = None
    limited_until: float | None = None
    limited_by: Failure | None = None
    disproved_until: float | None = None
    """Until when a Retry-After keeps no call from its last route: attempts begun after one were answered."""
    unanswered: int = 0
    """Attempts in a row without an answer: failures that count, and rate limits."""
    unanswered_since: float = 0.0
    unanswered_by: Failure | None = None
    """The latest of them."""
    throttled_at: float | None = None
    slot_at: float = 0.0
    """When the next attempt of a throttled route, or of one that is limited for long, may go out."""
    slot_of: str = ""
    """The worker that took the latest such slot."""

    @property
    def pristine(self) -> bool:
        """Whether nothing is remembered, so that a success changes nothing."""
        return (
            self.open_until is None
            and self.limited_until is None
            and not self.consecutive_failures
            and not self.limits
            and not self.unanswered
        )

    @property
    def fails_in_part(self) -> bool:
        """Whether counted failures opened it: then it may be sent to where no other route can be."""
        return not self.by_hand and self.why is not None and self.why.breaker in COUNTED

    def is_open(self, now: float) -> bool:
        """Whether it is open, and not yet half-open."""
        return self.open_until is not None and now < self.open_until

    def is_half_open(self, now: float) -> bool:
        """Whether one probe may go through."""
        return self.open_until is not None and now >= self.open_until

    def is_limited(self, now: float) -> bool:
        """Whether a rate limit has closed it to new calls."""
        return self.limited_until is not None and now < self.limited_until

    def is_disproved(self, now: float) -> bool:
        """Whether a Retry-After was named lately that attempts begun after it did not find to be so."""
        return self.disproved_until is not None and now < self.disproved_until

    def shifted(self, seconds: float) -> Circuit:
        """The same by a clock that shows this much more.

        Example::

            mine = shared.shifted(time.monotonic() - server_time)
        """
        if self.pristine and not self.holder and not self.slot_at and self.disproved_until is None:
            return self
        return msgspec.structs.replace(
            self,
            opened_at=_moved(self.opened_at, seconds),
            open_until=_moved(self.open_until, seconds),
            lease_until=self.lease_until + seconds,
            limited_since=_moved(self.limited_since, seconds),
            limited_until=_moved(self.limited_until, seconds),
            disproved_until=_moved(self.disproved_until, seconds),
            unanswered_since=self.unanswered_since + seconds,
            throttled_at=_moved(self.throttled_at, seconds),
            slot_at=self.slot_at + seconds,
        )


def _moved(time: float | None, seconds: float) -> float | None:
    return None if time is None else time + seconds


class Succeeded(msgspec.Struct, frozen=True):
    """An attempt that began in ``generation`` succeeded, when ``limits`` rate limits in a row had been met. ``probe``
    is the worker whose probe it was, if it was one; ``despite_limit`` says that a Retry-After was in force when it
    began."""

    generation: int
    probe: str = ""
    limits: int = 0
    despite_limit: bool = False


class Failed(msgspec.Struct, frozen=True):
    """An attempt failed in a way that counts. ``jitter`` is in [0, 1); ``others_better`` says whether the calls of the
    route have a better one to go to, as the worker sees it."""

    generation: int
    failure: Failure
    jitter: float
    probe: str = ""
    others_better: bool = True


class CircuitOpened(msgspec.Struct, frozen=True):
    """Something settles it: open at once, whatever the row."""

    generation: int
    failure: Failure
    jitter: float


class Limited(msgspec.Struct, frozen=True):
    """A rate limit: closed to new calls for ``seconds``, or for a time that doubles if the provider named none.
    ``met`` says that an attempt met it; else it was foreseen."""

    generation: int
    failure: Failure
    seconds: float | None
    probe: str = ""
    met: bool = True
    jitter: float = 0.0


class Released(msgspec.Struct, frozen=True):
    """A probe ended neutrally: neither an answer nor a failure of the route."""

    probe: str


class LeaseAsked(msgspec.Struct, frozen=True):
    """A worker would probe."""

    worker: str


class LeaseRenewed(msgspec.Struct, frozen=True):
    """The holder is alive; ``in_use``: its probe runs."""

    worker: str
    in_use: bool


class SlotAsked(msgspec.Struct, frozen=True):
    """A worker would send the next attempt of a throttled route, and after it none for ``every`` seconds."""

    worker: str
    every: float


class ByHand(msgspec.Struct, frozen=True):
    """A person opens the circuit, until a person closes it; or closes it."""

    open: bool


Event = Succeeded | Failed | CircuitOpened | Limited | Released | LeaseAsked | LeaseRenewed | SlotAsked | ByHand
