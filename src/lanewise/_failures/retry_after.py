"""How long a provider asks us to wait, read from an answer's headers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

__all__ = ["LONGEST_RETRY_AFTER", "header", "parse_reset", "parse_retry_after", "parse_seconds"]

LONGEST_RETRY_AFTER: Final = 300.0
"""Seconds; a provider that asks for more is read as asking for this."""

_NUMBER = re.compile(r"[0-9]{1,15}(?:\.[0-9]{0,15})?|\.[0-9]{1,15}", re.ASCII)
_GO_DURATION = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{1,9})?(?:h|ms|m|s|us|µs|ns))+", re.ASCII)
_GO_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(h|ms|m|s|us|µs|ns)")
_GO_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_LONGEST: Final = 64
_EPOCH: Final = 1e9
"""A number of seconds from which it is a date: nobody is asked to wait for 30 years."""
_EPOCH_MS: Final = 1e12


def parse_retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to wait from ``now`` (aware), or ``None`` if no header says so in a way that can be believed.

    ``retry-after-ms`` (OpenAI, Azure) is read first, then ``retry-after`` as fractional seconds, then as what
    :func:`parse_reset` knows, an HTTP date (RFC 9110, 10.2.3) among it. Negative, not finite and past is ignored.

    Example::

        parse_retry_after({"retry-after": "1.5"}, datetime.now(UTC))  # 1.5
    """
    milliseconds = parse_seconds(header(headers, "retry-after-ms"), unit=0.001)
    if milliseconds is not None:
        return milliseconds
    value = header(headers, "retry-after")
    seconds = parse_seconds(value)
    return parse_reset(value, now) if seconds is None or seconds >= LONGEST_RETRY_AFTER else seconds


def parse_seconds(value: str | None, *, unit: float = 1.0) -> float | None:
    """A plain non-negative number times ``unit`` seconds, at most :data:`LONGEST_RETRY_AFTER`; else ``None``."""
    if value is None:
        return None
    match = _NUMBER.fullmatch(value.strip())
    return min(float(match[0]) * unit, LONGEST_RETRY_AFTER) if match else None


def header(headers: Mapping[str, str], name: str) -> str | None:
    """A header's value, whatever the case of its name, also from a mapping that minds it."""
    value = headers.get(name)
    if value is not None:
        return value
    return next((value for key, value in headers.items() if key.lower() == name), None)


def parse_reset(value: str | None, now: datetime) -> float | None:
    """The seconds until a reset: seconds, a Go duration (``6m0s``), RFC 3339, seconds or milliseconds since 1970, or an
    HTTP date. ``None`` for what is none of these, or over.

    Example::

        assert parse_reset("1m30.5s", now) == 90.5
    """
    if value is None or len(value) > _LONGEST:
        return None
    text = value.strip()
    seconds = _from_number(text, now) if _NUMBER.fullmatch(text) else _from_duration(text) or _from_date(text, now)
    return min(seconds, LONGEST_RETRY_AFTER) if seconds is not None and seconds > 0 else None


def _from_number(text: str, now: datetime) -> float:
    number = float(text)
    if number >= _EPOCH_MS:
        return number / 1000 - now.timestamp()
    return number - now.timestamp() if number >= _EPOCH else number


def _from_duration(text: str) -> float | None:
    if not _GO_DURATION.fullmatch(text):
        return None
    return sum(float(number) * _GO_UNITS[unit] for number, unit in _GO_PART.findall(text))


def _from_date(text: str, now: datetime) -> float | None:
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        try:
            date = parsedate_to_datetime(text)
        except (ValueError, TypeError, IndexError, OverflowError):  # what the parser of the standard library lets out
            return None
    try:
        return ((date if date.tzinfo else date.replace(tzinfo=UTC)) - now).total_seconds()
    except OverflowError:
        return None
