"""The geometry of charts: where each bar, column, line and cell of a heat map lies. ``charts.html`` draws them.

Places along the width are percentages, so that a chart is as wide as its place on the page and its texts keep their
size; heights are pixels. Nothing here knows HTML: texts are escaped where they are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log10
from typing import Final

__all__ = [
    "Bar",
    "Cell",
    "Column",
    "ColumnChart",
    "HeatCell",
    "HeatMap",
    "Line",
    "LineChart",
    "Part",
    "Segment",
    "Tick",
    "bars",
    "column_chart",
    "heat_map",
    "line_chart",
]

HEIGHT: Final = 120
"""Pixels of the area that columns and lines are drawn in."""
HOUR_HEIGHT: Final = 11
"""Pixels of an hour in the heat map."""
GAP: Final = 0.2
"""The part of a column's place that is left free beside it."""
MOST_TICKS: Final = 5
_MOST: Final = 1e300
"""The largest value that is drawn: sums of larger ones overflow a float."""
SHADES: Final = 5
"""Shades of the heat map."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a bar or column: ``kind`` names its colour, ``shown`` is its tooltip."""

    kind: str
    value: float
    shown: str


@dataclass(frozen=True, slots=True)
class Segment:
    """A part as it is drawn. ``start`` and ``size`` are percentages in a bar, pixels from the top in a column."""

    kind: str
    start: float
    size: float
    shown: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A horizontal bar, with its name before it and its figure behind."""

    label: str
    segments: tuple[Segment, ...]
    figure: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A name on an axis: ``at`` is a percentage of the width, ``anchor`` how SVG's text lies to it."""

    at: float
    label: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Column:
    """A vertical column, in percentages of the width."""

    left: float
    width: float
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class ColumnChart:
    """Columns side by side; ``top`` is the value at the upper edge."""

    columns: tuple[Column, ...]
    ticks: tuple[Tick, ...]
    top: float


@dataclass(frozen=True, slots=True)
class Line:
    """One line: ``runs`` are its unbroken pieces, each as the points of an SVG polyline in a box of 100 by HEIGHT;
    ``dots`` are the values that stand alone."""

    kind: str
    label: str
    runs: tuple[str, ...]
    dots: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class LineChart:
    """Lines over the same axis; ``top`` is the value at the upper edge, ``bottom`` at the lower."""

    lines: tuple[Line, ...]
    ticks: tuple[Tick, ...]
    bottom: float
    top: float


@dataclass(frozen=True, slots=True)
class Cell:
    """What a place of the heat map stands for. ``column`` and ``row`` count from 0."""

    column: int
    row: int
    value: float
    shown: str


@dataclass(frozen=True, slots=True)
class HeatCell:
    """A cell as it is drawn: ``shade`` from 1 to SHADES, ``left`` and ``width`` in percentages."""

    left: float
    width: float
    top: float
    shade: int
    shown: str


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Cells by column and row; ``bounds`` are the least value of each shade."""

    cells: tuple[HeatCell, ...]
    ticks: tuple[Tick, ...]
    bounds: tuple[int, ...]


def bars(rows: Sequence[tuple[str, Sequence[Part], str]], most: float | None = None) -> tuple[Bar, ...]:
    """Bars of names, parts and figures: the longest has the full width, or one of the value ``most`` would.

    Example::

        (chat,) = bars([("chat", [Part("primary", 3, "3 calls"), Part("failed", 1, "1 call")], "75 %")])
        assert [segment.size for segment in chat.segments] == [75.0, 25.0]
    """
    whole = most or max((sum(map(_size, parts)) for _, parts, _ in rows), default=0.0)
    return tuple(Bar(label, _stacked(parts, whole), figure) for label, parts, figure in rows)


def _stacked(parts: Sequence[Part], whole: float) -> tuple[Segment, ...]:
    segments, start = [], 0.0
    for part in parts:
        size = _size(part) / whole * 100 if whole > 0 else 0.0
        if size > 0:
            segments.append(Segment(part.kind, _short(start), _short(size), part.shown))
        start += size
    return tuple(segments)


def _size(part: Part) -> float:
    """The value of a part, or 0 where it is negative, not finite, or too large to be added up."""
    return part.value if 0 < part.value <= _MOST else 0.0


def column_chart(names: Sequence[str], stacks: Sequence[Sequence[Part]]) -> ColumnChart:
    """A column for each name, of parts that stand on each other, the first at the bottom."""
    top = _round_up(max((sum(map(_size, parts)) for parts in stacks), default=0.0))
    place = 100 / max(len(names), 1)
    columns = []
    for number, parts in enumerate(stacks):
        segments, foot = [], float(HEIGHT)
        for part in parts:
            size = _size(part) / top * HEIGHT
            foot -= size
            if size > 0:
                segments.append(Segment(part.kind, _short(foot), _short(max(size, 0.5)), part.shown))
        left = number * place + place * GAP / 2
        columns.append(Column(_short(left), _short(place * (1 - GAP)), tuple(segments)))
    return ColumnChart(tuple(columns), _ticks(names), top)


def line_chart(
    names: Sequence[str], values: Sequence[tuple[str, str, Sequence[float | None]]], bottom: float | None = 0.0
) -> LineChart:
    """A line for each kind, label and values by name; ``None`` breaks it. ``bottom`` ``None`` begins at the least."""
    values = [(kind, label, [_drawable(value) for value in line]) for kind, label, line in values]
    known = [value for _, _, line in values for value in line if value is not None]
    least = bottom if bottom is not None else min([*known, 0.0])
    top = least + max(_round_up(max(known, default=0.0) - least), abs(least) / 1e9)
    place = 100 / max(len(names), 1)
    drawn = []
    for kind, label, line in values:
        points = [
            None if value is None else ((number + 0.5) * place, HEIGHT * (1 - (value - least) / (top - least)))
            for number, value in enumerate(line)
        ]
        runs, alone = _runs(points)
        drawn.append(Line(kind, label, runs, alone))
    return LineChart(tuple(drawn), _ticks(names), least, top)


def _drawable(value: float | None) -> float | None:
    return value if value is not None and abs(value) <= _MOST else None


def _runs(points: Sequence[tuple[float, float] | None]) -> tuple[tuple[str, ...], tuple[tuple[float, float], ...]]:
    runs: list[str] = []
    alone: list[tuple[float, float]] = []
    run: list[tuple[float, float]] = []
    for point in [*points, None]:
        if point is not None:
            run.append((_short(point[0]), _short(point[1])))
            continue
        if len(run) == 1:
            alone += run
        elif run:
            runs.append(" ".join(f"{x},{y}" for x, y in run))
        run = []
    return tuple(runs), tuple(alone)


def heat_map(names: Sequence[str], cells: Sequence[Cell]) -> HeatMap:
    """Cells in columns of these names, the more the darker: by squares, so that one outage leaves others visible."""
    place = 100 / max(len(names), 1)
    most = max((cell.value for cell in cells), default=0.0)
    drawn = tuple(
        HeatCell(
            _short(cell.column * place + place * GAP / 4),
            _short(place * (1 - GAP / 2)),
            cell.row * HOUR_HEIGHT + 0.5,
            _shade(cell.value, most),
            cell.shown,
        )
        for cell in cells
        if cell.value > 0
    )
    return HeatMap(drawn, _ticks(names), _bounds(most))


def _shade(value: float, most: float) -> int:
    return sum(value >= bound for bound in _bounds(most))


def _bounds(most: float) -> tuple[int, ...]:
    """The least value of each shade: whole numbers that differ, so fewer than SHADES where there is little."""
    found = {max(1, round(most * (shade / SHADES) ** 2)) for shade in range(SHADES)}
    return tuple(sorted(found)) if most else ()


def _ticks(names: Sequence[str]) -> tuple[Tick, ...]:
    """The first, the last and some between, as far from each other as each other's."""
    last = len(names) - 1
    if last < 0:
        return ()
    if last == 0:
        return (Tick(50.0, names[0], "middle"),)
    steps = next((n for n in range(min(MOST_TICKS - 1, last), 1, -1) if last % n == 0), None)
    steps = steps or min(MOST_TICKS - 1, max(last // 2, 1))
    places = sorted({round(last * step / steps) for step in range(steps + 1)})
    return tuple(
        Tick(
            0.0 if at == 0 else 100.0 if at == last else _short((at + 0.5) * 100 / (last + 1)),
            names[at],
            "start" if at == 0 else "end" if at == last else "middle",
        )
        for at in places
    )


def _round_up(value: float) -> float:
    """The least of 1, 2, 2.5, 5 and 10 times a power of ten that is not below it; 1 for nothing."""
    if value <= 0:
        return 1.0
    power = 10.0 ** floor(log10(value))
    return next((step * power for step in (1.0, 2.0, 2.5, 5.0) if step * power >= value), 10 * power)


def _short(number: float) -> float:
    return round(number, 3)
