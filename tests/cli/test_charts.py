"""The charts of the reports' files: where things lie, whatever the figures are."""

from __future__ import annotations

import itertools
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanewise.cli.html_files.charts import (
    HEIGHT,
    SHADES,
    Cell,
    Part,
    bars,
    column_chart,
    heat_map,
    line_chart,
)
from lanewise.cli.report.time_axis import axis

figures = st.floats(min_value=0, max_value=1e12, allow_nan=False, allow_subnormal=False)
stacks = st.lists(st.lists(figures, max_size=4), min_size=1, max_size=70)


def parts(values: list[float]) -> list[Part]:
    return [Part("primary", value, str(value)) for value in values]


@given(stacks)
def test_bars_stay_within_their_place_and_keep_their_proportions(rows: list[list[float]]) -> None:
    """Each part follows the one before it, and the longest bar takes all."""
    drawn = bars([(str(number), parts(values), "") for number, values in enumerate(rows)])
    most = max(sum(values) for values in rows)
    for bar, values in zip(drawn, rows, strict=True):
        assert sum(segment.size for segment in bar.segments) <= 100.01
        if most:
            assert sum(segment.size for segment in bar.segments) == pytest.approx(sum(values) / most * 100, abs=0.01)
        place = 0.0
        for segment in bar.segments:
            assert segment.start == pytest.approx(place, abs=0.01)
            place += segment.size


@given(stacks)
def test_columns_stand_within_the_chart(rows: list[list[float]]) -> None:
    """On the floor, below the upper edge, side by side."""
    chart = column_chart([str(number) for number in range(len(rows))], [parts(values) for values in rows])
    right = 0.0
    for column, values in zip(chart.columns, rows, strict=True):
        assert column.left >= right - 0.01
        right = column.left + column.width
        height = sum(value / chart.top * HEIGHT for value in values)
        assert height <= HEIGHT * 1.0001
        for segment in column.segments:
            assert -0.01 <= segment.start <= HEIGHT
    assert right <= 100.01
    assert chart.top > 0


@given(st.lists(st.none() | st.floats(allow_nan=False, allow_subnormal=False), min_size=1, max_size=70))
def test_every_value_of_a_line_is_drawn_once(values: list[float | None]) -> None:
    """In a run or as a dot, within the chart; what is not known, or beyond all measure, breaks the line."""
    chart = line_chart([str(number) for number in range(len(values))], [("score", "score", values)], bottom=None)
    (line,) = chart.lines
    points = [tuple(map(float, point.split(","))) for run in line.runs for point in run.split()]
    assert len(points) + len(line.dots) == sum(value is not None and abs(value) <= 1e300 for value in values)
    for x, y in [*points, *line.dots]:
        assert 0 <= x <= 100
        assert -0.01 <= y <= HEIGHT + 0.01


@given(st.lists(st.integers(min_value=0, max_value=10**9), min_size=1, max_size=40))
def test_the_more_failures_the_darker(counts: list[int]) -> None:
    """None is no cell; each has a shade of the legend, and never a lighter one than fewer failures have."""
    drawn = heat_map(["1 Nov"], [Cell(0, number % 24, count, str(count)) for number, count in enumerate(counts)])
    assert len(drawn.cells) == sum(count > 0 for count in counts)
    shades = sorted((int(cell.shown), cell.shade) for cell in drawn.cells)
    assert [shade for _, shade in shades] == sorted(shade for _, shade in shades)
    assert all(1 <= shade <= len(drawn.bounds) <= SHADES for _, shade in shades)
    assert list(drawn.bounds) == sorted(set(drawn.bounds))


@given(st.dates(date(2000, 1, 1), date(2050, 1, 1)), st.integers(min_value=0, max_value=36_500))
def test_every_day_has_its_place(first: date, days: int) -> None:
    """Also over decades, for which the places are weeks, months or years: in order, and not too many to see."""
    last = first + timedelta(days=days)
    made = axis(first, last)
    places = [made.places[str(first + timedelta(days=number))] for number in range(days + 1)]
    assert places[0] == 0
    assert all(after - before in (0, 1) for before, after in itertools.pairwise(places))
    assert places[-1] + 1 == len(made.names) == len(made.spans) <= 101


@pytest.mark.parametrize("places", range(1, 80))
def test_names_on_the_axis_are_few_and_apart(places: int) -> None:
    """The first and the last are there."""
    names = [str(number) for number in range(places)]
    ticks = column_chart(names, [[] for _ in names]).ticks
    assert len(ticks) <= 5
    assert (ticks[0].label, ticks[-1].label) == ("0", names[-1])
    distances = [after.at - before.at for before, after in itertools.pairwise(ticks)]
    assert all(distance > 15 for distance in distances)
