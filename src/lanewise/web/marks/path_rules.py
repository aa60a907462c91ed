"""The path rules under ``[endpoints]``: a safety net under the marks in the code."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

__all__ = ["PathRules", "may_match", "normalised"]

_PARAMETERS: Final = re.compile(r";[^/]*")
"""Of a segment, as in ``/payments;v=1/7`` (RFC 3986, 3.3)."""
_UNSEEN: Final = "".join(map(chr, range(0x21))) + "\x7f\x85\xa0"
"""Control characters and blanks. At the end of a path a router may not see them: the ``$`` of a regular expression also
matches before a last newline (Starlette, FastAPI), and a mounted prefix may go on with anything (Litestar)."""
_PLACEHOLDER: Final = re.compile(r"\{[^{}]*\}|<[^<>]*>|\*")
"""In a route's path: of Starlette and Litestar, of Flask, and of what is mounted."""


class PathRules:
    """Matches paths against patterns. ``*`` stands for anything, slashes included; all rules that match add up.

    A pattern that ends in ``/*`` also matches the path above it. Case, doubled slashes, dots, a slash or what can't be
    seen at the end, parameters of segments, and the ways to write the same number or the same Unicode text make no
    difference: a rule only ever adds sensitivity, so in doubt it matches.

    Example::

        PathRules({"/payments/*": "payment"}).match("/app/payments//7/../8", root_path="/app")  # {"payment"}
    """

    def __init__(self, rules: Mapping[str, str]) -> None:
        self._rules = tuple((_globs(pattern), category) for pattern, category in rules.items())
        self._match = lru_cache(maxsize=1024)(self._matching)

    def match(self, path: str, root_path: str = "") -> frozenset[str]:
        """The categories of a decoded path, matched with and without the root path that the app is mounted under."""
        if not self._rules:
            return frozenset()
        if len(path) > 2048:  # not worth a place in the cache
            return self._matching(path, root_path)
        return self._match(path, root_path)

    def _matching(self, path: str, root_path: str) -> frozenset[str]:
        forms: set[str] = set()
        for form in (normalised, _literal):
            for each in (path, _PARAMETERS.sub("", path)):
                root, full = form(root_path), form(each)
                forms |= {full, form(f"{root}/{full}"), form(full.removeprefix(root))}
        forms |= {bare for form in forms if (bare := form.rstrip(_UNSEEN + "/") or "/") != form}
        forms |= {_composed(form) for form in forms}
        forms |= {_numbered(form) for form in forms}
        return frozenset(
            category for globs, category in self._rules if any(_matches(glob, form) for glob in globs for form in forms)
        )


def normalised(path: str) -> str:
    """A decoded path with one slash at each place, dots resolved, in lower case, without a slash at its end."""
    return posixpath.normpath("/" + path.replace("\\", "/").lstrip("/")).casefold()


def _literal(path: str) -> str:
    """The same, with dots as they are: most routers don't resolve them, and serve ``/payments/../x`` as a payment."""
    return "/" + "/".join(part for part in path.replace("\\", "/").split("/") if part).casefold()


def _composed(path: str) -> str:
    """The same, with characters that look or mean the same written in one way (NFKC): an accent, a wide letter."""
    return path if path.isascii() else unicodedata.normalize("NFKC", path).casefold()


def _numbered(path: str) -> str:
    """The same, with each whole number written in one way: ``/users/007`` is served as ``/users/7``."""
    return "/".join(_number(segment) for segment in path.split("/"))


def _number(segment: str) -> str:
    if len(segment) > 40 or not any(map(str.isdigit, segment)):
        return segment
    try:
        return str(int(segment))
    except ValueError:
        return segment


def may_match(pattern: str, route: str) -> bool:
    """Whether any path that a route serves may be under a pattern. A route's parameters stand for anything.

    Example::

        may_match("/users/*/card", "/users/{id}/{rest:path}")  # True
    """
    served = tuple(normalised(_PLACEHOLDER.sub("\0", route)).split("\0"))
    return any(_overlap("\0".join(glob), "\0".join(served)) for glob in _globs(pattern))


def _overlap(one: str, other: str) -> bool:
    """Whether two patterns, in which a NUL stands for anything, have a text in common."""
    reached = _past_stars(other, {0})
    for character in one:
        if character == "\0":
            reached = set(range(min(reached), len(other) + 1)) if reached else reached
            continue
        beyond = {
            place if other[place] == "\0" else place + 1
            for place in reached
            if place < len(other) and other[place] in ("\0", character)
        }
        reached = _past_stars(other, beyond)
    return len(other) in reached


def _past_stars(text: str, places: set[int]) -> set[int]:
    """The places, and those that are reached from them where a star stands for nothing."""
    found = set(places)
    for place in sorted(places):
        while place < len(text) and text[place] == "\0":
            place += 1
            found.add(place)
    return found


def _globs(pattern: str) -> tuple[tuple[str, ...], ...]:
    """What a pattern matches, each cut at its stars: the path itself, and of ``.../*`` also the path above."""
    found: list[tuple[str, ...]] = []
    plain = normalised(pattern.replace("*", "\0"))
    for form in dict.fromkeys((plain, _composed(plain))):
        found.append(tuple(form.split("\0")))
        if form.endswith("/\0"):
            found.append(tuple(form.removesuffix("/\0").split("\0")))
    return tuple(found)


def _matches(glob: tuple[str, ...], path: str) -> bool:
    """Whether the pieces stand in the path in order, the first at its start and the last at its end. In linear time."""
    first, *middle = glob
    if not middle:
        return path == first
    last = middle.pop()
    if not path.startswith(first) or not path.endswith(last):
        return False
    position, end = len(first), len(path) - len(last)
    for piece in middle:
        found = path.find(piece, position, end)
        if found < 0:
            return False
        position = found + len(piece)
    return position <= end
