"""The text of ``Call.explain()``: each move and what came of it, in a line or more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lanewise.types.attempts import Attempt
from lanewise.types.moves import Move, Stop, Wait

__all__ = ["explain_move", "left_out_by", "steps_of"]

_VERBS: Final = {
    "first": "tries",
    "retry": "tries again",
    "switch": "switches to",
    "drop": "tries again with less",
    "restart": "starts over on",
    "hedge": "hedges with",
    "repair": "asks to mend the answer of",
}


_ADDED: Final = {"response_format": 'stand_in = { response_format = "prompt" }', "system_suffix": "no system_suffix"}
"""The format of a task's contract (the app's own is never left out), and a message for a route's suffix."""


def steps_of(
    moves: Sequence[tuple[float, Move]], notes: Sequence[tuple[float, str]], attempts: Sequence[Attempt]
) -> list[tuple[float, str]]:
    """What happened in a call by its moves, notes and attempts, each with its milliseconds from the start."""
    by_number = {attempt.attempt_number: attempt for attempt in attempts}
    events = [(at_ms, text) for at_ms, move in moves for text in explain_move(move, by_number)]
    return sorted([*notes, *events], key=lambda step: step[0])


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
        saving = ", ".join(left_out_by(attempt.dropped))
        lines.append(f"hint: {saving} under [routes.{move.route}] saves such an attempt")
    what = f"{_VERBS[move.cause]} {move.route} ({move.lane}), {move.timeout:.1f} s at most{taken}{adapted}"
    return [*lines, f"{what}: {result}{took}"]


def left_out_by(names: tuple[str, ...]) -> list[str]:
    """What of the config has a route get none of these: parameters of the app's, and what was added to its request.

    Example::

        left_out_by(("seed", "system_suffix"))  # ['drop = ["seed"]', "no system_suffix"]
    """
    parameters = ", ".join(f'"{name}"' for name in names if name not in _ADDED)
    lines = [f"drop = [{parameters}]"] if parameters else []
    return lines + [_ADDED[name] for name in names if name in _ADDED]
