"""Numbers and moments as pages show them: rounded, with their units, never broken between the two."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["ago", "clock", "count", "day_and_time", "dollars", "iso", "milliseconds", "share", "span"]

_NARROW = "\N{NO-BREAK SPACE}"


def milliseconds(ms: float | None) -> str:
    """A time: ``85 ms``, ``1.25 s``, ``12.3 s``, ``2 min 5 s``; a dash for none."""
    if ms is None:
        return "–"
    if ms < 999.5:
        return f"{ms:.0f}{_NARROW}ms" if ms >= 9.95 or ms == 0 else f"{ms:.1f}{_NARROW}ms"
    seconds = ms / 1000
    if seconds < 9.995:
        return f"{seconds:.2f}{_NARROW}s"
    if seconds < 99.95:
        return f"{seconds:.1f}{_NARROW}s"
    return span(seconds)


def span(seconds: float) -> str:
    """A span of time in its two greatest units: ``45 s``, ``12 min``, ``3 h 20 min``, ``2 d 4 h``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}{_NARROW}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}{_NARROW}min" + (f"{_NARROW}{rest}{_NARROW}s" if minutes < 10 and rest else "")
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}{_NARROW}h" + (f"{_NARROW}{minutes}{_NARROW}min" if minutes else "")
    days, hours = divmod(hours, 24)
    return f"{days}{_NARROW}d" + (f"{_NARROW}{hours}{_NARROW}h" if hours else "")


def ago(moment: datetime | None, now: datetime) -> str:
    """For how long something has been so, or how far off it is."""
    return "" if moment is None else span(abs((now - moment).total_seconds()))


def dollars(amount: float | None) -> str:
    """An amount of money: ``$12.50``, ``$0.0042``; a dash for none that is known."""
    if amount is None:
        return "–"
    if amount == 0:
        return "$0"
    if abs(amount) >= 1:
        return f"${amount:,.2f}"
    return f"${amount:.4f}" if abs(amount) >= 0.0001 else "< $0.0001"


def share(part: float | None) -> str:
    """A share in percent: ``99.8 %``; never rounded up to all, nor down to none."""
    if part is None:
        return "–"
    percent = part * 100
    if 99.95 <= percent < 100:
        return f"99.9{_NARROW}%"
    if 0 < percent < 0.05:
        return f"< 0.1{_NARROW}%"
    return f"{percent:.0f}{_NARROW}%" if percent in (0, 100) else f"{percent:.1f}{_NARROW}%"


def count(number: int) -> str:
    """A number of things: ``12,345``."""
    return f"{number:,}"


def clock(moment: datetime | None) -> str:
    """A time of the day in UTC: ``14:05:09``."""
    return "" if moment is None else f"{moment.astimezone(UTC):%H:%M:%S}"


def day_and_time(moment: datetime | None) -> str:
    """A day and a time in UTC: ``2026-11-30 14:05:09``."""
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def iso(moment: datetime | None) -> str:
    """A moment for a ``<time>`` element."""
    return "" if moment is None else moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
