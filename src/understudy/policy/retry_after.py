"""How long a provider asks us to wait, read from an answer's headers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

__all__ = ["LONGEST_RETRY_AFTER", "header", "parse_retry_after", "parse_seconds"]

LONGEST_RETRY_AFTER: Final = 300.0
"""Seconds; a provider that asks for more is read as asking for this."""

_NUMBER = re.compile(r"[0-9]{1,15}(?:\.[0-9]{0,15})?|\.[0-9]{1,15}", re.ASCII)
_LONGEST_DATE: Final = 64


def parse_retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to wait from ``now`` (aware), or ``None`` if no header says so in a way that can be believed.

    ``retry-after-ms`` (OpenAI, Azure) is read first, then ``retry-after`` as fractional seconds, then as an
    HTTP date (RFC 9110, 10.2.3). Values that are negative, not finite or past are ignored.

    Example::

        parse_retry_after({"retry-after": "1.5"}, datetime.now(UTC))  # 1.5
    """
    milliseconds = parse_seconds(header(headers, "retry-after-ms"), unit=0.001)
    if milliseconds is not None:
        return milliseconds
    value = header(headers, "retry-after")
    seconds = parse_seconds(value)
    return seconds if seconds is not None or value is None else _until(value, now)


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


def _until(value: str, now: datetime) -> float | None:
    if len(value) > _LONGEST_DATE:
        return None
    try:
        date = parsedate_to_datetime(value)
        seconds = ((date if date.tzinfo else date.replace(tzinfo=UTC)) - now).total_seconds()
    except (ValueError, TypeError, IndexError, OverflowError):  # what the parser of the standard library lets out
        return None
    return min(seconds, LONGEST_RETRY_AFTER) if seconds >= 0 else None
