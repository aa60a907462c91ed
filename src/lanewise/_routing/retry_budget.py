"""The retry budget of a provider: retries on the same route can't avalanche when all calls fail at once.

As in gRPC's retry throttling (gRFC A6): a retry takes a token, a success gives a part of one back, and at half of the
tokens or fewer nothing is retried. Here tokens come back by time too, so that a quiet app may retry again.
"""

from __future__ import annotations

from typing import Final

import msgspec

from lanewise.config import HealthSettings

__all__ = ["RetryBudget", "RetryBudgetSettings"]

_DEFAULTS: Final = HealthSettings()


class RetryBudgetSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers, in tokens; ``per_second`` in tokens a second."""

    tokens: float = _DEFAULTS.retry_tokens
    kept: float = _DEFAULTS.retry_tokens_kept
    """No retry while so many are left, or fewer."""
    per_success: float = _DEFAULTS.retry_tokens_per_success
    per_second: float = _DEFAULTS.retry_tokens_per_second


class RetryBudget:
    """The tokens of one provider, in one worker. A plan's ``charged`` says which moves take one.

    Example::

        retry_budget = RetryBudget(RetryBudgetSettings(), now)
        if retry_budget.permits(now):
            retry_budget.spend(now)
    """

    __slots__ = ("_at", "_settings", "full", "tokens")

    def __init__(self, settings: RetryBudgetSettings, now: float) -> None:
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
