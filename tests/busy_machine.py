"""What only a busy machine makes a router say or do: that its event loop was late, that it gives up what takes seconds.

Most tests are about neither; those that are set the limits themselves. Here is too how long tests wait for an event.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from lanewise._runtime.call import escalation
from lanewise._runtime.call.attempts import attempt_runner
from lanewise.testing import FakeProvider
from lanewise.testing.journal import Journal
from lanewise.web.dashboard import ledger_calls

__all__ = ["LAG", "LONG_ENOUGH", "until", "wait_longer", "without_lag"]

LONG_ENOUGH = 45.0
"""Seconds within which whatever has to come has come, on the busiest machine.

What should not come by itself meanwhile, as the deadline of a call that a hang-up should end, is well beyond.
"""


def wait_longer() -> None:
    """In this process: for a database that takes a case or a question, for the check of an answer, and for requests."""
    for module, limit in ((escalation, "OPEN_WAIT"), (attempt_runner, "LONGEST"), (ledger_calls, "PATIENCE")):
        setattr(module, limit, 60.0)
    (unless_told_otherwise,) = FakeProvider.wait_until.__defaults__ or ()
    plain = Journal.wait_until

    def patient(journal: Journal, predicate: Callable[[], bool], timeout: float) -> bool:
        return plain(journal, predicate, LONG_ENOUGH if timeout == unless_told_otherwise else timeout)

    Journal.wait_until = patient  # type: ignore[method-assign]


class _LagFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not hasattr(record, "loop_lag_ms")


LAG = _LagFilter()
"""Keeps those lines out of the logger `lanewise` of this process."""


def without_lag(log: str) -> list[str]:
    """The lines of what a program has logged, less those of a late event loop."""
    return [line for line in log.splitlines() if "the event loop of this process stood still" not in line]


def until(true: Callable[[], object]) -> None:
    """Return once it is so. It blocks; a failure says that it never was."""
    end = time.monotonic() + LONG_ENOUGH
    while not true():
        assert time.monotonic() < end, f"it was not so within {LONG_ENOUGH:g} s"
        time.sleep(0.005)
