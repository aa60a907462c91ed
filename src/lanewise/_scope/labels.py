"""The labels of a scope: the app's own words, few and short, since they are kept with each of its calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["checked_labels"]

MOST: Final = 64
LONGEST: Final = 256
"""Characters of a name, and of a value."""


def checked_labels(labels: Mapping[str, str], more: Mapping[str, str] | None = None) -> dict[str, str]:
    """A copy of ``labels``, with ``more`` over them.

    Raises TypeError: a name or a value is no text. ValueError: they are too many, or one is too long or can't be
    written as UTF-8. What was given as a value is in neither.

    Example::

        checked_labels({"size": "short"}, {"tier": "free"})
    """
    added = labels if more is None else more
    if not isinstance(added, Mapping):
        raise TypeError(f'labels are names with texts, as in {{"size": "short"}}, and not {type(added).__name__}')
    for name, value in added.items():
        if not isinstance(name, str):
            raise TypeError(f"the name of a label is a text, and not {type(name).__name__}")
        if not isinstance(value, str):
            raise TypeError(
                f"the label {name[:LONGEST]!r} is {type(value).__name__}, and labels are texts: give str(...)"
            )
        for part, text in (("name", name), ("text", value)):
            if len(text) > LONGEST:
                raise ValueError(
                    f"the {part} of the label {name[:40]!r} has {len(text)} characters, and may have {LONGEST}: labels "
                    "are words for rules and records, such as a tier or a size"
                )
            if not text.isascii() and not _is_unicode(text):
                raise ValueError(f"the {part} of the label {name[:40]!r} has half of a character in it (a surrogate)")
    found = dict(labels) if more is None else {**labels, **more}
    if len(found) > MOST:
        raise ValueError(f"a scope has {MOST} labels at most, and these would be {len(found)}")
    return found


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
