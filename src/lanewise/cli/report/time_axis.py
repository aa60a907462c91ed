"""The time axis of a report: by days, weeks, months or years, so that no chart has too many places."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from typing import Final

__all__ = ["Axis", "axis"]

MOST: Final = 62
"""Places on an axis: two months of days, or a year of weeks."""


@dataclass(frozen=True, slots=True)
class Axis:
    """``unit`` is day, week, month or year; ``names`` are short, ``spans`` whole, ``places`` has each day's place."""

    unit: str
    names: tuple[str, ...]
    spans: tuple[str, ...]
    places: dict[str, int]


def axis(first: date, last: date) -> Axis:
    """The axis from one day to another. Weeks begin on Monday.

    Example::

        assert axis(date(2026, 11, 1), date(2026, 11, 30)).names[0] == "1 Nov"
    """
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    if len(days) <= MOST:
        return _axis("day", [[day] for day in days], _day)
    weeks = _together(days, lambda day: day - timedelta(days=day.weekday()))
    if len(weeks) <= MOST:
        return _axis("week", weeks, _day)
    months = _together(days, lambda day: day.replace(day=1))
    if len(months) <= MOST:
        return _axis("month", months, lambda day: f"{day:%b %Y}")
    return _axis("year", _together(days, lambda day: day.replace(month=1, day=1)), lambda day: str(day.year))


def _axis(unit: str, groups: Sequence[Sequence[date]], name: Callable[[date], str]) -> Axis:
    return Axis(
        unit,
        tuple(name(days[0]) for days in groups),
        tuple(str(days[0]) if len(days) == 1 else f"{days[0]} to {days[-1]}" for days in groups),
        {str(day): place for place, days in enumerate(groups) for day in days},
    )


def _together(days: Sequence[date], by: Callable[[date], date]) -> list[list[date]]:
    return [list(group) for _, group in groupby(days, by)]


def _day(day: date) -> str:
    return f"{day.day} {day:%b}"
