"""``lanewise estimate``: what a task's calls would cost on each route of each lane, before any is sent."""

from lanewise.cli.estimate.command import estimate

__all__ = ["estimate"]
