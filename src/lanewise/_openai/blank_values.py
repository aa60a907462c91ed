"""Whether a value of an answer holds anything: null or empty, no error, perhaps an error, a call of nothing."""

from __future__ import annotations

import re
from typing import Final

import msgspec

__all__ = ["calls_something", "is_blank", "is_no_error", "may_hold_error"]

_BLANK: Final = frozenset({b"null", b'""', b"[]", b"{}", b"false"})
_LONGEST_BLANK: Final = 64
_BRACKETS: Final = (b"[", b"{")
_SPACE: Final = b" \t\r\n"
_SUCCESS: Final = frozenset({"", "0", "200", "ok", "success", "succeeded", "none", "null", "no error", "no_error"})
_OK: Final = 200
_TELLS: Final = re.compile("(?i)err|fault|exception|fail|denied|message|msg|detail|title|reason").search
_FRAME: Final = frozenset({"index", "type"})


def is_blank(value: msgspec.Raw) -> bool:
    """Whether a raw value is null or empty."""
    written = bytes(value)
    if written in _BLANK:
        return True
    return len(written) < _LONGEST_BLANK and written[:1] in _BRACKETS and written.translate(None, _SPACE) in _BLANK


def is_no_error(value: object) -> bool:
    """Whether an ``error`` that stands beside an answer says that there is none: empty, or words of success only."""
    if isinstance(value, dict):
        return all(is_no_error(inner) for inner in value.values())
    if isinstance(value, list):
        return all(is_no_error(inner) for inner in value)
    if isinstance(value, str):
        return value.strip().lower() in _SUCCESS
    return not value or value == _OK


def may_hold_error(value: object) -> bool:
    """Whether a value that is no answer may be an error in words that nobody knows.

    Example::

        may_hold_error({"fault": {"faultstring": "no"}})  # True
    """
    if isinstance(value, dict):
        return any(
            not is_no_error(inner) if isinstance(name, str) and _TELLS(name) else may_hold_error(inner)
            for name, inner in value.items()
        )
    return isinstance(value, list) and any(may_hold_error(item) for item in value)


def calls_something(value: object) -> bool:
    """Whether calls of functions hold more than their frame: an id, a name or arguments."""
    if isinstance(value, dict):
        return any(calls_something(inner) for name, inner in value.items() if name not in _FRAME)
    if isinstance(value, list):
        return any(calls_something(item) for item in value)
    return value is not None and value != ""
