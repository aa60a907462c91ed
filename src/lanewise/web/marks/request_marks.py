"""The categories of the endpoint that a request goes to: read from the app once, and again after each new mark."""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable, Iterable
from typing import Final, NamedTuple

from lanewise.config import Config
from lanewise.web.marks.endpoint_report import Endpoint
from lanewise.web.marks.mark_search import STANDARD, marks_version

__all__ = ["RequestMarks", "marks_of"]

_MOST: Final = 10_000
"""How many are kept: where an endpoint takes every method, a caller makes up as many as it likes."""

Report = Callable[[], Iterable[Endpoint]]


class _Known(NamedTuple):
    part: object
    version: int
    marks: frozenset[str] | None


class RequestMarks:
    """The marks of an app's endpoints. Hidden ones count: a category that is in doubt holds."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._known: dict[Hashable, _Known] = {}
        self._parts: tuple[object, ...] = ()

    def of(self, key: Hashable, part: object, report: Report) -> frozenset[str] | None:
        """The categories of the endpoints in ``report``; ``None`` where none of them has a mark.

        It is asked again once a mark was put on anything, or where ``part``, of which it was read, is another.
        """
        known = self._known.get(key)
        version = marks_version()
        if known is None or known.version != version or known.part is not part:
            if len(self._known) >= _MOST:
                self._known.clear()
            known = self._known[key] = _Known(part, version, marks_of(report(), self._config))
        return known.marks

    def of_all(self, parts: tuple[object, ...], report: Report) -> frozenset[str] | None:
        """Where nothing tells to which endpoint a request goes, it counts as sensitive where any of the app is."""
        known = self._parts
        if len(parts) != len(known) or not all(map(operator.is_, parts, known)):
            known = self._parts = parts  # another thread may have others: what was read goes with what it was read of
        return self.of("", known, report) or None


def marks_of(report: Iterable[Endpoint], config: Config) -> frozenset[str] | None:
    """The categories of endpoints, and of the path rules for them; ``None`` where nothing says what they are."""
    found = {source.category for each in report for source in (each.with_rules(config) if each.path else each).sources}
    return frozenset(found - {STANDARD}) if found else None
