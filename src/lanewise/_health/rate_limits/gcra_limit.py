"""Our own caps for a provider: requests and tokens a minute, and requests at a time. Pure: time is an argument.

A rate is held by a virtual schedule (GCRA, as in ATM's I.371 and Cloudflare's and Stripe's limiters): a minute's worth
may go out at once, and what comes after that as fast as the minute goes by.
"""

from __future__ import annotations

import msgspec

__all__ = ["Caps", "GcraLimit"]

_MINUTE = 60.0


class GcraLimit:
    """A limit of so much a minute.

    Example::

        rate = GcraLimit(600)
        if (wait := rate.wait(1, now)) == 0.0:
            rate.take(1, now)
    """

    __slots__ = ("_each", "_free_at")

    def __init__(self, per_minute: float) -> None:
        self._each = _MINUTE / per_minute
        self._free_at = 0.0

    def become(self, per_minute: float) -> None:
        """Hold to another rate from now on; what went out already counts as it did."""
        self._each = _MINUTE / per_minute

    def wait(self, amount: float, now: float) -> float:
        """The seconds until so much may go out; more than a minute's worth is let out when all of it is free."""
        fits = _MINUTE - min(amount * self._each, _MINUTE)
        return max(0.0, self._free_at - now - fits)

    def take(self, amount: float, now: float) -> None:
        """Note that so much goes out; a negative amount gives back what was noted too much."""
        self._free_at = max(self._free_at, now) + amount * self._each


class Caps(msgspec.Struct, frozen=True):
    """What a provider's account allows this process. ``None``: no cap."""

    rpm: float | None = None
    tpm: float | None = None
    max_concurrency: int | None = None

    def shared_by(self, workers: int) -> Caps:
        """The part of each of so many workers; of requests at a time, one at least.

        Example::

            assert Caps(rpm=600).shared_by(4).rpm == 150
        """
        if workers <= 1:
            return self
        at_once = self.max_concurrency
        return Caps(
            None if self.rpm is None else self.rpm / workers,
            None if self.tpm is None else self.tpm / workers,
            None if at_once is None else max(1, at_once // workers),
        )
