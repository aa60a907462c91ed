"""Whether the model that answered is the one that was asked for: a sensitive call counts nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final

__all__ = ["is_substitute"]

_VERSION: Final = re.compile(
    r"[-@:](?:"
    r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"  # 2026-03-01
    r"|\d{4}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"  # 20260301
    r"|(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"  # 0613
    r"|0\d\d"  # 001
    r"|v\d+(?:\.\d+)*(?::\d+)?"  # v1, v1.2, v1:0
    r")"
)
"""What providers add to a model's name for a dated or numbered release of the same model. A bare small number is none:
``claude-3`` and ``claude-3-5`` are two models."""


def is_substitute(asked: str, answered: str | None, answers_as: Sequence[str] = ()) -> bool:
    """Whether ``answered`` may be another model than ``asked``. In doubt it is.

    The same name, the same with a date or version suffix or with a ``vendor/`` prefix, and what a glob of
    ``answers_as`` matches are the model that was asked for; a missing name is not.

    Example::

        is_substitute("gpt-5.5", "gpt-5.5-2026-03-01")  # False
        is_substitute("gpt-5.5", "gpt-5.5-mini")        # True
    """
    if not answered:
        return True
    if answered == asked or any(fnmatchcase(answered, pattern) for pattern in answers_as):
        return False
    asked, answered = _without_vendor(asked, answered)
    if answered == asked:
        return False
    return not (answered.startswith(asked) and _VERSION.fullmatch(answered, len(asked)) is not None)


def _without_vendor(asked: str, answered: str) -> tuple[str, str]:
    """Both names without a ``vendor/`` that only one of them has."""
    if "/" in asked and "/" not in answered:
        return asked.rsplit("/", 1)[1], answered
    if "/" in answered and "/" not in asked:
        return asked, answered.rsplit("/", 1)[1]
    return asked, answered
