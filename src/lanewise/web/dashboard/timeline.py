"""The picture of a call, to scale: its attempts, what it waited for, where it switched, first byte and first content.

:func:`layout` is pure; :func:`timeline` draws it as HTML with inline SVG, whose positions are shares of the width: so
that it fits a phone, a page and paper.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import msgspec

from lanewise.types import Attempt, Call, Send, Wait
from lanewise.web.dashboard.figures import milliseconds
from lanewise.web.dashboard.templates import Html, render

__all__ = ["Bar", "Tick", "TimelineLayout", "layout", "timeline"]

_TICKS: Final = 4
_NICE: Final = (1, 2, 5, 10)
_CAUSES: Final = {
    "retry": "tried again",
    "switch": "switched",
    "drop": "tried again with less",
    "restart": "started over",
    "hedge": "hedged",
    "repair": "asked to mend the answer",
}


class Tick(msgspec.Struct, frozen=True):
    """A mark of the time axis: where, in percent of the width, and what stands there."""

    at: float
    text: str


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """A row: an attempt or a wait. Places are in percent of the width.

    ``kind`` is ``answered``, ``failed``, ``running`` or ``wait``; ``head`` names it, ``result`` says what came of it,
    ``words`` is all of it for those who see no picture.
    """

    kind: str
    head: str
    result: str
    words: str
    start: float
    width: float
    first_byte: float | None = None
    first_content: float | None = None


class TimelineLayout(msgspec.Struct, frozen=True):
    """The rows from the top down, and the axis above them."""

    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    total_ms: float


def layout(call: Call) -> TimelineLayout:
    """Where everything of a call goes. Empty if it came to no attempt.

    Example::

        for bar in layout(call).bars:
            print(bar.kind, bar.words)
    """
    rows = sorted([*_attempts(call), *_waits(call)], key=lambda row: row[0])
    ends = [start + length for start, length, _ in rows]
    total = max([call.total_ms or 0.0, *ends, 1.0])
    bars = tuple(_placed(bar, start, length, total) for start, length, bar in rows)
    return TimelineLayout(bars, _ticks(total), total)


def timeline(call: Call) -> Html:
    """The picture, as a piece of a page. Empty if the call came to no attempt.

    Example::

        html = f"<section>{timeline(call)}</section>"
    """
    return render("timeline.html", timeline=layout(call))


_Row = tuple[float, float, Bar]


def _attempts(call: Call) -> list[_Row]:
    causes = {move.attempt_number: move.cause for _, move in call.moves if isinstance(move, Send)}
    found = []
    for attempt in call.attempts:
        start = max(0.0, (attempt.started_at - call.started_at) / timedelta(milliseconds=1))
        length = attempt.total_ms if attempt.total_ms is not None else max(0.0, (call.total_ms or start) - start)
        found.append((start, length, _bar_of(attempt, causes.get(attempt.attempt_number, "first"), start)))
    return found


def _bar_of(attempt: Attempt, cause: str, start: float) -> Bar:
    head = f"{attempt.attempt_number}. {attempt.route} ({attempt.lane})"
    why = _CAUSES.get(cause)
    if attempt.failure is not None:
        facts = [str(attempt.failure)]
        facts += [f"HTTP {attempt.http_status}"] if attempt.http_status is not None else []
        facts += [attempt.provider_error_code] if attempt.provider_error_code else []
        kind, result = "failed", ", ".join(facts)
    elif attempt.total_ms is None:
        kind, result = "running", "running"
    else:
        kind, result = "answered", "answered"
    if attempt.total_ms is not None:
        result += f" in {milliseconds(attempt.total_ms)}"
    words = f"{head}{f', {why}' if why else ''}, {milliseconds(start)} after the start: {result}"
    for name, at in (("first byte", attempt.first_byte_ms), ("first content", attempt.first_content_ms)):
        words += "" if at is None else f"; {name} after {milliseconds(at)}"
    return Bar(
        kind=kind,
        head=f"{head} · {why}" if why else head,
        result=result,
        words=words,
        start=0.0,
        width=0.0,
        first_byte=attempt.first_byte_ms,
        first_content=attempt.first_content_ms,
    )


def _waits(call: Call) -> list[_Row]:
    """The waits that took place: a wait is over when the next move is made."""
    found = []
    for number, (at_ms, move) in enumerate(call.moves):
        if not isinstance(move, Wait):
            continue
        until = call.moves[number + 1][0] if number + 1 < len(call.moves) else call.total_ms
        length = move.seconds * 1000 if until is None else max(0.0, min(move.seconds * 1000, until - at_ms))
        head = f"waits for {move.route} ({move.lane})"
        words = f"{head}, {milliseconds(at_ms)} after the start, for {milliseconds(length)}: {move.reason}"
        bar = Bar(
            kind="wait", head=head, result=f"{milliseconds(length)}: {move.reason}", words=words, start=0, width=0
        )
        found.append((at_ms, length, bar))
    return found


def _placed(bar: Bar, start: float, length: float, total: float) -> Bar:
    def share(ms: float) -> float:
        return round(min(100.0, max(0.0, ms / total * 100)), 3)

    marks = {
        name: None if at is None else share(start + min(at, length) if length else start + at)
        for name, at in (("first_byte", bar.first_byte), ("first_content", bar.first_content))
    }
    return msgspec.structs.replace(
        bar, start=share(start), width=round(share(start + length) - share(start), 3), **marks
    )


def _ticks(total: float) -> tuple[Tick, ...]:
    rough = total / _TICKS
    size = 10.0 ** (len(str(int(rough))) - 1) if rough >= 1 else 1.0
    step = next((nice * size for nice in _NICE if nice * size >= rough), 10 * size)
    places = [number * step for number in range(int(total / step) + 1)]
    return tuple(Tick(round(place / total * 100, 3), milliseconds(place)) for place in places)
