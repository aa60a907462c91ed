"""Whether a question, and the answer that is asked for, fit a route's context window: estimated before sending.

A question's tokens are estimated, so an estimate alone never makes a call fail. Where a question is too long by the
lowest count that is plausible, a route whose window is declared is left out. Where it is too long by the likeliest
count, a route is passed over only if another one is left that may take it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from lanewise._openai.token_estimate import at_least, at_most, likely
from lanewise._routing.selection.candidates import Candidate

__all__ = ["TokenDemand", "TokenLimits", "fitting", "undecided"]

CLEARLY: Final = 2.5
"""So many times a window, by the likeliest count, is too long without being counted."""

_NO_COUNTS: Final[Mapping[str, int]] = {}


class TokenLimits(msgspec.Struct, frozen=True):
    """What a route can take, in tokens; ``None`` where nobody knows. ``declared``: the window is the config's word."""

    window: int | None = None
    declared: bool = False
    max_output: int | None = None


class TokenDemand(msgspec.Struct, frozen=True):
    """What a call needs, in tokens, by the size of its question: the least that is plausible, the likeliest, the most.

    ``output`` is the most that the app lets the answer have, 0 if it does not say.
    """

    least: int
    likely: int
    most: int
    output: int = 0

    @classmethod
    def estimated(cls, text_bytes: int, output: int | None) -> TokenDemand:
        """The need of a question of so many bytes of text.

        Example::

            assert TokenDemand.estimated(47_000, None).likely == 10_000
        """
        return cls(least=at_least(text_bytes), likely=likely(text_bytes), most=at_most(text_bytes), output=output or 0)


def fitting(
    found: tuple[Candidate, ...],
    need: TokenDemand,
    limits: Mapping[str, TokenLimits],
    counts: Mapping[str, int] = _NO_COUNTS,
) -> tuple[Candidate, ...]:
    """The candidates, with those marked that the call does not fit; the same tuple if all have room.

    ``counts`` are the question's tokens by route, where they were counted.

    Example::

        found = fitting(found, TokenDemand.estimated(text_bytes(body.raw), asked_output(body)), limits)
    """
    reasons = [candidate.incapable or _over_limits(need, limits[candidate.route]) for candidate in found]
    tight = [_tight(need, limits[candidate.route], counts.get(candidate.route)) for candidate in found]
    if any(reason is None and narrow is None for reason, narrow in zip(reasons, tight, strict=True)):
        reasons = [reason or narrow for reason, narrow in zip(reasons, tight, strict=True)]
    if all(reason is candidate.incapable for reason, candidate in zip(reasons, found, strict=True)):
        return found
    return tuple(
        msgspec.structs.replace(
            candidate, incapable=reason, too_small=candidate.incapable is None and reason is not None
        )
        for reason, candidate in zip(reasons, found, strict=True)
    )


def undecided(found: tuple[Candidate, ...], need: TokenDemand, limits: Mapping[str, TokenLimits]) -> tuple[str, ...]:
    """The routes of which the estimate does not tell whether the call fits, if there is another one to go to.

    Example::

        undecided(found, TokenDemand.estimated(47_000, None), limits)  # ("small",)
    """
    able = [candidate.route for candidate in found if candidate.incapable is None]
    if len(able) < 2:
        return ()
    return tuple(route for route in able if _may_be_tight(need, limits[route]))


def _may_be_tight(need: TokenDemand, limits: TokenLimits) -> bool:
    if limits.window is None or need.likely > CLEARLY * limits.window:
        return False
    return limits.window < need.most + need.output


def _over_limits(need: TokenDemand, limits: TokenLimits) -> str | None:
    if limits.max_output is not None and need.output > limits.max_output:
        return f"answers with {limits.max_output} tokens at the most, and {need.output} are asked for"
    if limits.declared and limits.window is not None and need.least > limits.window:
        return f"has a window of {limits.window} tokens, and the question has at least {need.least} by its size"
    return None


def _tight(need: TokenDemand, limits: TokenLimits, count: int | None) -> str | None:
    tokens = need.likely if count is None else count
    if limits.window is None or tokens + need.output <= limits.window:
        return None
    size = f"about {tokens} by its size" if count is None else f"{tokens}"
    answer = f", and {need.output} more are asked for" if need.output else ""
    return f"has a window of {limits.window} tokens, and the question has {size}{answer}"
