"""What only a busy machine makes a router say or do: that its event loop was late, that it gives up what takes seconds.

Most tests are about neither; those that are set the limits themselves.
"""

from __future__ import annotations

import logging

from lanewise._runtime.call import escalation
from lanewise._runtime.call.attempts import attempt_runner
from lanewise.web.dashboard import ledger_calls

__all__ = ["LAG", "wait_longer", "without_lag"]


def wait_longer() -> None:
    """In this process: for a database that takes a case or a question, and for the check of an answer."""
    for module, limit in ((escalation, "OPEN_WAIT"), (attempt_runner, "LONGEST"), (ledger_calls, "PATIENCE")):
        setattr(module, limit, 60.0)


class _LagFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not hasattr(record, "loop_lag_ms")


LAG = _LagFilter()
"""Keeps those lines out of the logger `lanewise` of this process."""


def without_lag(log: str) -> list[str]:
    """The lines of what a program has logged, less those of a late event loop."""
    return [line for line in log.splitlines() if "the event loop of this process stood still" not in line]
