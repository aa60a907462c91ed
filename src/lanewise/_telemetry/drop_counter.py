"""Counts the records that a writer has dropped, and logs the count once a minute."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import Final

__all__ = ["Drops"]

REPORT_EVERY: Final = 60.0
"""Seconds between two lines."""

_log: Final = logging.getLogger("lanewise")


class Drops:
    """The count of one writer. Methods may be called from any thread."""

    def __init__(self, name: str) -> None:
        self.count = 0
        self._name = name
        self._reason = ""
        self._reported = 0
        self._report_at = 0.0
        self._lock = threading.RLock()

    def add(self, count: int, reason: str) -> None:
        """Count records that are lost. Doesn't wait for the log, whose own handlers may be what is slow."""
        now = time.monotonic()
        with self._lock:
            self.count += count
            self._reason = reason
            due = now >= self._report_at
            if due:
                self._report_at = now + REPORT_EVERY
        if due:
            with contextlib.suppress(RuntimeError):  # at the interpreter's end no thread starts: closing logs it
                threading.Thread(target=self.report_now, name="lanewise-drops", daemon=True).start()

    def report_if_due(self) -> None:
        """Log what is not in the log yet, if the last line is a minute old."""
        if self.count != self._reported and time.monotonic() >= self._report_at:
            self.report_now()

    def report_now(self) -> None:
        """Log what is not in the log yet, if there is any."""
        with self._lock:
            unreported = self.count - self._reported
            self._reported = self.count
            if unreported:
                self._report_at = time.monotonic() + REPORT_EVERY
        if unreported:
            _log.warning(
                "%d record%s did not get into %s (%s), %d since the process started; the calls were not affected",
                unreported,
                "" if unreported == 1 else "s",
                self._name,
                self._reason,
                self.count,
                extra={"sink": self._name, "dropped": unreported, "dropped_in_all": self.count},
            )
