"""Lines of the log that wait for the thread that makes and handles them, as if they were written where they come from.

The request leaves only what is to be said: making the record, and all that the app's factories, filters and handlers do
with it, takes ten times as long, and may raise.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import Context, copy_context
from typing import Final, NamedTuple

__all__ = ["LogEvent", "LogEventSink", "LogText", "line"]

_log: Final = logging.getLogger("lanewise")
_NOBODYS: Final = logging.Handler()
"""Tells on stderr of a handler that raised, as the handlers of the standard library do of themselves."""


class LogText(NamedTuple):
    """What one line says; ``facts`` become its ``extra=`` fields."""

    level: int
    message: str
    arguments: tuple[object, ...]
    facts: Mapping[str, object]


class LogEvent(NamedTuple):
    """Something to be said, and where and when that was: the context, the thread, seconds since the epoch."""

    say: Callable[[], Iterable[LogText]]
    context: Context
    thread: int
    thread_name: str
    at: float


def line(say: Callable[[], Iterable[LogText]]) -> LogEvent:
    """A line, or a few, that come from here and now. What they say is asked for later: it must not change meanwhile."""
    thread = threading.current_thread()
    return LogEvent(say, copy_context(), thread.ident or 0, thread.name, time.time())


class LogEventSink:
    """The sink of the lines: the app's own handlers."""

    def write(self, batch: Sequence[LogEvent]) -> None:
        """Handle each line; what a handler raises doesn't keep the next one from being handled."""
        for waiting in batch:
            for said in waiting.say():
                _handle(waiting, said)

    def close(self) -> None:
        """Nothing is held."""


def _handle(waiting: LogEvent, said: LogText) -> None:
    try:
        waiting.context.run(lambda: _log.handle(_record(waiting, said)))
    except BaseException:  # noqa: BLE001 - the border of the app's factories, filters and handlers
        plain = logging.LogRecord(_log.name, said.level, __file__, 0, said.message, said.arguments, None)
        _NOBODYS.handleError(plain)


def _record(waiting: LogEvent, said: LogText) -> logging.LogRecord:
    """The record, with the time and the thread of what it tells."""
    record = _log.makeRecord(_log.name, said.level, __file__, 0, said.message, said.arguments, None, None, said.facts)
    record.relativeCreated -= (record.created - waiting.at) * 1000
    record.created = waiting.at
    record.msecs = float(int(waiting.at % 1 * 1000))
    record.thread, record.threadName = waiting.thread, waiting.thread_name
    return record
