"""The state of one circuit, its settings, and all that can happen to it. What it then becomes is in ``breaker``."""

from __future__ import annotations

import msgspec

from lanewise.types import Failure

__all__ = [
    "BreakerSettings",
    "ByHand",
    "Circuit",
    "Event",
    "Failed",
    "LeaseAsked",
    "LeaseRenewed",
    "Limited",
    "Opened",
    "Released",
    "Succeeded",
]


class BreakerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers. Durations are in seconds."""

    consecutive_failures: int = 5
    failure_ratio: float = 0.5
    minimum_throughput: int = 10
    sampling_duration: float = 60.0
    break_duration: float = 10.0
    max_break_duration: float = 30.0
    throttle_duration: float = 1.0
    max_throttle_duration: float = 10.0
    lease: float = 5.0
    """How long a worker that holds the probe is waited for without a word of it."""


class Circuit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The state of one circuit. Times are in seconds of one clock: the worker's own, or the shared store's."""

    turn: int = 0
    row: int = 0
    """Failures in a row."""
    openings: int = 0
    """Openings in a row, without a success between."""
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
    limited_until: float | None = None
    limited_by: Failure | None = None

    @property
    def calm(self) -> bool:
        """Whether nothing is remembered, so that a success changes nothing."""
        return self.open_until is None and self.limited_until is None and not self.row and not self.limits

    def is_open(self, now: float) -> bool:
        """Whether nothing may go through."""
        return self.open_until is not None and now < self.open_until

    def is_half_open(self, now: float) -> bool:
        """Whether one probe may go through."""
        return self.open_until is not None and now >= self.open_until

    def is_limited(self, now: float) -> bool:
        """Whether a rate limit has closed it to new calls."""
        return self.limited_until is not None and now < self.limited_until

    def shifted(self, seconds: float) -> Circuit:
        """The same by a clock that shows this much more.

        Example::

            mine = shared.shifted(time.monotonic() - server_time)
        """
        if self.open_until is None and self.limited_until is None and not self.holder:
            return self
        return msgspec.structs.replace(
            self,
            opened_at=None if self.opened_at is None else self.opened_at + seconds,
            open_until=None if self.open_until is None else self.open_until + seconds,
            lease_until=self.lease_until + seconds,
            limited_until=None if self.limited_until is None else self.limited_until + seconds,
        )


class Succeeded(msgspec.Struct, frozen=True):
    """An attempt that began in ``turn`` succeeded, when ``limits`` rate limits in a row had been met. ``probe`` is the
    worker whose probe it was, if it was one."""

    turn: int
    probe: str = ""
    limits: int = 0


class Failed(msgspec.Struct, frozen=True):
    """An attempt failed in a way that counts. ``jitter`` is in [0, 1)."""

    turn: int
    failure: Failure
    jitter: float
    probe: str = ""


class Opened(msgspec.Struct, frozen=True):
    """Something settles it: open at once, whatever the row."""

    turn: int
    failure: Failure
    jitter: float


class Limited(msgspec.Struct, frozen=True):
    """A rate limit: closed to new calls for ``seconds``, or for a time that doubles if the provider named none."""

    turn: int
    failure: Failure
    seconds: float | None
    probe: str = ""


class Released(msgspec.Struct, frozen=True):
    """A probe ended in a way that says nothing."""

    probe: str


class LeaseAsked(msgspec.Struct, frozen=True):
    """A worker would probe."""

    worker: str


class LeaseRenewed(msgspec.Struct, frozen=True):
    """The holder is alive; ``in_use``: its probe runs."""

    worker: str
    in_use: bool


class ByHand(msgspec.Struct, frozen=True):
    """A person opens the circuit, until a person closes it; or closes it."""

    open: bool


Event = Succeeded | Failed | Opened | Limited | Released | LeaseAsked | LeaseRenewed | ByHand
