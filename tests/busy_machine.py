"""What only a busy machine makes a router say: that its event loop was late, which most tests are not about."""

from __future__ import annotations

import logging

__all__ = ["LAG", "without_lag"]


class _LagFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not hasattr(record, "loop_lag_ms")


LAG = _LagFilter()
"""Keeps those lines out of the logger `lanewise` of this process."""


def without_lag(log: str) -> list[str]:
    """The lines of what a program has logged, less those of a late event loop."""
    return [line for line in log.splitlines() if "the event loop of this process stood still" not in line]
