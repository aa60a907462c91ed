"""The retry budget of a provider: retries on the same route can't avalanche when all calls fail at once.

As in gRPC's retry throttling (gRFC A6): a retry takes a token, a success gives a part of one back, and at half of the
tokens or fewer nothing is retried. Here tokens come back by time too, so that a quiet app may retry again.
"""

from __future__ import annotations

import msgspec

from lanewise.types import Failure, Move, Send, Wait

__all__ = ["Allowance", "AllowanceSettings", "is_charged"]


class AllowanceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers, in tokens; ``per_second`` in tokens a second."""

    tokens: float = 10.0
    kept: float = 5.0
    """No retry while so many are left, or fewer."""
    per_success: float = 0.1
    per_second: float = 0.1


class Allowance:
    """The tokens of one provider, in one worker. :func:`is_charged` says what takes one.

    Example::

        allowance = Allowance(AllowanceSettings(), now)
        if allowance.permits(now):
            allowance.spend(now)
    """

    __slots__ = ("_at", "_settings", "full", "tokens")

    def __init__(self, settings: AllowanceSettings, now: float) -> None:
        self._settings = settings
        self._at = now
        self.tokens = settings.tokens
        self.full = True
        """Whether nothing is missing, so that a success need not be counted."""

    def permits(self, now: float) -> bool:
        """Whether a retry may be made. Asking has no effect."""
        return self._tokens_at(now) > self._settings.kept

    def spend(self, now: float) -> None:
        """Note a retry."""
        self._set(self._tokens_at(now) - 1.0, now)

    def succeeded(self, now: float) -> None:
        """Note a success."""
        self._set(self._tokens_at(now) + self._settings.per_success, now)

    def _tokens_at(self, now: float) -> float:
        return min(self.tokens + max(0.0, now - self._at) * self._settings.per_second, self._settings.tokens)

    def _set(self, tokens: float, now: float) -> None:
        self.tokens = min(max(tokens, 0.0), self._settings.tokens)
        self.full = self.tokens >= self._settings.tokens
        self._at = max(now, self._at)


def is_charged(move: Move, failure: Failure) -> bool:
    """Whether the move after a failure takes a token: the same route again, at once or after a wait, also to mend.

    Switching to another route, a fresh connection in place of a stale one, a learned parameter drop, and a try after
    trouble of this process cost nothing.

    Example::

        if is_charged(move, failure):
            allowance.spend(now)
    """
    if failure.trouble is not None:
        return False  # nothing was sent: no provider has to be spared
    if isinstance(move, Wait):
        return True
    if not isinstance(move, Send):
        return False
    return move.cause == "repair" or (move.cause == "retry" and not failure.stale_connection)
