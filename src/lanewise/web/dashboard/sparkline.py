"""Small charts of the last hour as inline SVG: a line a figure, and bars of what became of a task's calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from lanewise.web.dashboard.templates import Html, render

__all__ = ["outcome_bars", "sparkline"]

WIDTH: Final = 120
HEIGHT: Final = 28
_ROOM: Final = 2.0
BAR_HEIGHT: Final = 64


class _Piece(msgspec.Struct, frozen=True):
    kind: str
    x: float
    y: float
    width: float
    height: float


def sparkline(values: Sequence[float | None]) -> Html:
    """A line over values of equal distance, from 0 to the greatest; a gap where there is ``None``.

    It is for the eye alone: the figure beside it says what it shows.

    Example::

        html = sparkline([0, 2, None, 5])
    """
    most = max((value for value in values if value is not None), default=0.0)
    step = WIDTH / max(1, len(values) - 1)
    lines: list[list[tuple[float, float]]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            lines.append([])
        else:
            height = (HEIGHT - 2 * _ROOM) * (value / most if most else 0.0)
            lines[-1].append((round(place * step, 1), round(HEIGHT - _ROOM - height, 1)))
    paths = [" ".join(f"{x},{y}" for x, y in line) for line in lines if len(line) > 1]
    dots = [line[0] for line in lines if len(line) == 1]
    return render("sparkline.html", width=WIDTH, height=HEIGHT, paths=paths, dots=dots)


def outcome_bars(primary: Sequence[int], fallback: Sequence[int], failed: Sequence[int]) -> Html:
    """A bar a minute: below what the primary lane answered, above it what others did, on top what failed."""
    rows = list(zip(primary, fallback, failed, strict=True))
    most = max((sum(row) for row in rows), default=0) or 1
    width = WIDTH * 5 / max(1, len(rows))
    pieces = []
    for place, row in enumerate(rows):
        bottom = float(BAR_HEIGHT)
        for kind, number in zip(("primary", "fallback", "failed"), row, strict=True):
            height = round(number / most * BAR_HEIGHT, 2)
            if height:
                bottom -= height
                left = round(place * width, 2)
                pieces.append(_Piece(kind, left, round(bottom, 2), round(width * 0.8, 2), height))
    return render("outcome_bars.html", width=WIDTH * 5, height=BAR_HEIGHT, pieces=pieces)
