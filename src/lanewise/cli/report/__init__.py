"""``lanewise report``: the calls of some days, on a terminal, as CSV, as JSON or as an HTML file."""

from lanewise.cli.report.command import report

__all__ = ["report"]
