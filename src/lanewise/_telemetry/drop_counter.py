"""What a writer has lost: counted to the record, and told in the log once a minute."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import Final

__all__ = ["Drops"]

TOLD_EVERY: Final = 60.0
"""Seconds between two lines."""

_log: Final = logging.getLogger("lanewise")


class Drops:
    """The count of one writer. Methods may be called from any thread."""

    def __init__(self, name: str) -> None:
        self.count = 0
        self._name = name
        self._why = ""
        self._told = 0
        self._tell_at = 0.0
        self._lock = threading.RLock()

    def add(self, count: int, why: str) -> None:
        """Count records that are lost. Doesn't wait for the log, whose own handlers may be what is slow."""
        now = time.monotonic()
        with self._lock:
            self.count += count
            self._why = why
            due = now >= self._tell_at
            if due:
                self._tell_at = now + TOLD_EVERY
        if due:
            with contextlib.suppress(RuntimeError):  # at the interpreter's end no thread starts: closing tells
                threading.Thread(target=self.tell_now, name="lanewise-drops", daemon=True).start()

    def tell_if_due(self) -> None:
        """Log what was not told yet, if the last line is a minute old."""
        if self.count != self._told and time.monotonic() >= self._tell_at:
            self.tell_now()

    def tell_now(self) -> None:
        """Log what was not told yet, if there is any."""
        with self._lock:
            untold = self.count - self._told
            self._told = self.count
            if untold:
                self._tell_at = time.monotonic() + TOLD_EVERY
        if untold:
            _log.warning(
                "%d record%s did not get into %s (%s), %d since the process started; the calls were not affected",
                untold,
                "" if untold == 1 else "s",
                self._name,
                self._why,
                self.count,
                extra={"sink": self._name, "dropped": untold, "dropped_in_all": self.count},
            )
