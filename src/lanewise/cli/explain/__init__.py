"""``lanewise explain``: why a request was answered as it was, on a terminal or as an HTML file."""

from lanewise.cli.explain.command import explain

__all__ = ["explain"]
