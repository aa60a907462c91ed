"""Tells a move and what came of it in a line or more: the text of ``Call.explain()``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lanewise.types.moves import Move, Stop, Wait

if TYPE_CHECKING:
    from lanewise.types.calls import Attempt

__all__ = ["explain_move"]

_VERBS: Final = {
    "first": "tries",
    "retry": "tries again",
    "switch": "switches to",
    "drop": "tries again with less",
    "restart": "starts over on",
    "repair": "asks to mend the answer of",
}


def explain_move(move: Move, attempts: dict[int, Attempt]) -> list[str]:
    """The lines of a move; ``attempts`` are the call's, by their numbers."""
    if isinstance(move, Wait):
        return [f"waits {move.seconds * 1000:.0f} ms for {move.route} ({move.lane}): {move.reason}"]
    lines = [f"skips {skip.route} ({skip.lane}): {skip.reason}" for skip in move.skipped]
    if isinstance(move, Stop):
        return [*lines, f"stops: {move.reason}"]
    attempt = attempts.get(move.attempt_number)
    if attempt is None:
        result = "not sent"
    elif attempt.failure is None:
        result = "answered" if attempt.total_ms is not None else "running"
    else:
        result = str(attempt.failure)
        if attempt.http_status is not None:
            result += f", HTTP {attempt.http_status}"
        if attempt.provider_error_code:
            result += f", {attempt.provider_error_code}"
        if attempt.detail:
            result += f" ({attempt.detail})"
    took = "" if attempt is None or attempt.total_ms is None else f" in {attempt.total_ms:.0f} ms"
    adapted = f", standing in: {'; '.join(attempt.adapted)}" if attempt is not None and attempt.adapted else ""
    taken = f", without {', '.join(attempt.dropped)}" if attempt is not None and attempt.dropped else ""
    if move.cause == "drop" and attempt is not None and attempt.dropped:
        dropped = ", ".join(f'"{name}"' for name in attempt.dropped)
        lines.append(f"hint: drop = [{dropped}] under [routes.{move.route}] saves such an attempt")
    what = f"{_VERBS[move.cause]} {move.route} ({move.lane}), {move.timeout:.1f} s at most{taken}{adapted}"
    return [*lines, f"{what}: {result}{took}"]
