"""Which words of a provider's error are shown: known codes, statuses and names of parameters; any other is ``other``.

A code and a parameter come from the provider, who may put anything there: a key, a word of the prompt. They reach
errors, records, traces and other workers, so that only what stands in a table passes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Iterator
from typing import Final

from lanewise._failures.known_parameters import KNOWN_PARAMETERS
from lanewise._failures.provider_error_codes import KNOWN_CODES, squashed

__all__ = ["OTHER", "shown_code", "shown_param"]

OTHER: Final = "other"

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+")
_STATUS: Final = re.compile(r"[45][0-9]{2}", re.ASCII)
_PART: Final = re.compile(r"\.?([A-Za-z0-9_\-]+)|\[([0-9]{1,4})\]", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z0-9_\-]+", re.ASCII)
_INDEX: Final = re.compile(r"[0-9]{1,4}", re.ASCII)


def shown_code(codes: Iterable[str]) -> str | None:
    """The first of an error's codes that is known, in a spelling that is; ``None`` if there is no code at all.

    Example::

        shown_code(["canary", "invalid_request_error"])  # "invalid_request_error"
        shown_code(["canary"])  # "other"
    """
    shown = None
    for code in codes:
        known = KNOWN_CODES.get(squashed(code))
        if known is not None:
            return code if code in _spellings(known) else known
        if _STATUS.fullmatch(code):
            shown = code
        shown = shown or OTHER
    return shown


def _spellings(code: str) -> Iterator[str]:
    """A code in the styles that providers write codes in: one that is written in another could say something by it."""
    words = [word.lower() for word in _WORD.findall(code)]
    yield from (code, code.lower(), code.upper())
    yield from ("_".join(words), "_".join(words).upper(), "".join(word.capitalize() for word in words))


def shown_param(param: str | None, sent: Callable[[], Container[str]] = tuple) -> str | None:
    """A parameter's name as far as it is known; ``sent`` gives the names that the request itself had.

    Example::

        shown_param("tools[0].function.parameters.properties.canary")  # "tools[0].function.parameters.properties"
        shown_param("canary")  # "other"
    """
    if param is None:
        return None
    end, indexed = 0, True
    for part in _PART.finditer(param):
        is_index = part[1] is None or _INDEX.fullmatch(part[1]) is not None
        is_known = not indexed if is_index else part[1] in KNOWN_PARAMETERS  # digits after digits could say anything
        if part.start() != end or not is_known:
            break
        end, indexed = part.end(), is_index
    if end == len(param) or not _NAME.fullmatch(param):
        return param[:end] or OTHER
    return param if param in sent() else OTHER
