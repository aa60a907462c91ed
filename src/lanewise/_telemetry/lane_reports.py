"""Counts the calls that passed an open route over, and logs once a minute and lane where they went instead."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextvars import Context
from typing import Final

from lanewise._telemetry.deferred_log import LogText
from lanewise.types import Call, FailureKind, LaneName, Send

__all__ = ["LaneReports"]

EVERY: Final = 60.0
"""Seconds that one line is about."""


class _Count:
    """The calls of one task that passed a lane over, since its minute began."""

    def __init__(self, began: float) -> None:
        self.began = began
        self.calls = 0
        self.passed: dict[str, None] = {}
        self.reasons: dict[FailureKind, None] = {}
        self.went: Counter[tuple[str, LaneName]] = Counter()


class LaneReports:
    """Of one router. ``put`` gets the line of each minute that had such a call: when it is over, or the router closes.

    What ends a minute is a timer of the loop in which its first call ran, so that there is none before; where that loop
    has ended, the next call does. All methods are for any thread.
    """

    def __init__(self, put: Callable[[LogText], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._put = put
        self._clock = clock
        self._lock = threading.RLock()
        self._of: dict[tuple[str, LaneName], _Count] = {}

    def passed_over(self, call: Call, move: Send) -> None:
        """Count a call whose first attempt goes out by ``move``, if that passes an open route over."""
        passed = [(skip.route, skip.lane, skip.failure.kind) for skip in move.skipped if skip.failure is not None]
        if not passed:
            return
        key = call.task, passed[0][1]
        now = self._clock()
        with self._lock:
            count = self._of.get(key)
            if count is not None and now - count.began >= EVERY:
                self._report(key, count, now)
                count = None
            if count is None:
                count = self._of[key] = _Count(now)
                self._schedule_report(key, count)
            count.calls += 1
            count.went[move.route, move.lane] += 1
            for route, lane, reason in passed:
                if lane is key[1]:
                    count.passed[route] = None
                    count.reasons[reason] = None

    def stop(self) -> None:
        """Log what has been counted: nothing will end its minute."""
        with self._lock:
            for key, count in tuple(self._of.items()):
                self._report(key, count, self._clock())

    def close(self) -> None:
        """Log what has been counted, like :meth:`stop`: there is no thread to end."""
        self.stop()

    def after_fork(self) -> None:
        """In the child of a fork: what was counted is the parent's to log."""
        self._lock = threading.RLock()
        self._of = {}

    def _schedule_report(self, key: tuple[str, LaneName], count: _Count) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        loop.call_later(EVERY, self._is_over, key, count, context=Context())  # or the call's context would live as long

    def _is_over(self, key: tuple[str, LaneName], count: _Count) -> None:
        with self._lock:
            if self._of.get(key) is count:
                self._report(key, count, self._clock())

    def _report(self, key: tuple[str, LaneName], count: _Count, now: float) -> None:
        del self._of[key]
        task, lane = key
        where = [f"{route} ({into})" for (route, into), _ in count.went.most_common()]
        (route, into), _ = count.went.most_common(1)[0]
        seconds = max(1.0, now - count.began)
        self._put(
            LogText(
                logging.WARNING,
                "the backup is on: %d call%s of %s in %.0f s went to %s, past %s (%s), after %s",
                (
                    count.calls,
                    "" if count.calls == 1 else "s",
                    task,
                    seconds,
                    " and ".join(where),
                    " and ".join(count.passed),
                    lane,
                    " and ".join(count.reasons),
                ),
                {
                    "task": task,
                    "calls": count.calls,
                    "left_lane": lane,
                    "lane": into,
                    "route": route,
                    "failure": next(iter(count.reasons)),
                },
            )
        )
