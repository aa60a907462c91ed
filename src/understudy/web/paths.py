"""The path rules under ``[endpoints]``: a safety net under the marks in the code."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from functools import lru_cache

__all__ = ["PathRules", "normalised"]


class PathRules:
    """Matches paths against patterns. ``*`` stands for anything, slashes included; all rules that match add up.

    A pattern that ends in ``/*`` also matches the path above it. Case, doubled slashes, dots and a slash at the end
    make no difference: a rule only ever adds sensitivity, so in doubt it matches.

    Example::

        PathRules({"/payments/*": "payment"}).match("/app/payments//7/../8", root_path="/app")  # {"payment"}
    """

    def __init__(self, rules: Mapping[str, str]) -> None:
        self._rules = tuple((_compiled(pattern), category) for pattern, category in rules.items())
        self._match = lru_cache(maxsize=1024)(self._matching)

    def match(self, path: str, root_path: str = "") -> frozenset[str]:
        """The categories of a decoded path, matched with and without the root path that the app is mounted under."""
        if not self._rules:
            return frozenset()
        if len(path) > 2048:  # not worth a place in the cache
            return self._matching(path, root_path)
        return self._match(path, root_path)

    def _matching(self, path: str, root_path: str) -> frozenset[str]:
        root = normalised(root_path) if root_path else "/"
        full = normalised(path)
        forms = {full, normalised(root + "/" + full)}
        if root != "/" and full.startswith(root):
            forms.add(normalised(full[len(root) :]))
        return frozenset(
            category for pattern, category in self._rules if any(pattern.fullmatch(form) for form in forms)
        )


def normalised(path: str) -> str:
    """A decoded path with one slash at each place, dots resolved, in lower case, without a slash at its end."""
    return posixpath.normpath("/" + path.replace("\\", "/").lstrip("/")).casefold()


def _compiled(pattern: str) -> re.Pattern[str]:
    plain = normalised(pattern.replace("*", "\0"))
    text = ".*".join(re.escape(part) for part in plain.split("\0"))
    if text.endswith("/.*"):
        text = text.removesuffix("/.*") + "(?:/.*)?"
    return re.compile(text, re.DOTALL)
