"""Log lines of requests, made and handled in a thread of their own, with the context and the time of their request.

The request only queues an event: making the record, and all that the app's factories, filters and handlers do with it,
takes ten times as long, and may raise.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import Context, copy_context
from typing import Final, NamedTuple

__all__ = ["LogEvent", "LogEventSink", "LogText", "log_event"]

_log: Final = logging.getLogger("lanewise")
_STDERR_HANDLER: Final = logging.Handler()
"""Reports a handler that raised on stderr, as the standard library's handlers do for themselves."""


class LogText(NamedTuple):
    """The text of one log line; ``fields`` become its ``extra=`` fields."""

    level: int
    message: str
    arguments: tuple[object, ...]
    fields: Mapping[str, object]


class LogEvent(NamedTuple):
    """A line to log, and where it comes from: the context, the thread, seconds since the epoch."""

    make_texts: Callable[[], Iterable[LogText]]
    context: Context
    thread: int
    thread_name: str
    at: float


def log_event(make_texts: Callable[[], Iterable[LogText]]) -> LogEvent:
    """An event of this thread, now. ``make_texts`` is called later, in the writer's thread: what it reads must stay."""
    thread = threading.current_thread()
    return LogEvent(make_texts, copy_context(), thread.ident or 0, thread.name, time.time())


class LogEventSink:
    """A sink that hands log events to the app's own handlers."""

    def write(self, batch: Sequence[LogEvent]) -> None:
        """Handle each line; what a handler raises doesn't keep the next one from being handled."""
        for event in batch:
            for text in event.make_texts():
                _handle(event, text)

    def close(self) -> None:
        """Do nothing: handlers are the app's to close."""


def _handle(event: LogEvent, text: LogText) -> None:
    try:
        event.context.run(lambda: _log.handle(_record(event, text)))
    except BaseException:  # noqa: BLE001 - the border of the app's factories, filters and handlers
        plain = logging.LogRecord(_log.name, text.level, __file__, 0, text.message, text.arguments, None)
        _STDERR_HANDLER.handleError(plain)


def _record(event: LogEvent, text: LogText) -> logging.LogRecord:
    """The record, with the time and the thread of its event."""
    record = _log.makeRecord(_log.name, text.level, __file__, 0, text.message, text.arguments, None, None, text.fields)
    record.relativeCreated -= (record.created - event.at) * 1000
    record.created = event.at
    record.msecs = float(int(event.at % 1 * 1000))
    record.thread, record.threadName = event.thread, event.thread_name
    return record
