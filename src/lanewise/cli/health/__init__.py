"""``lanewise health``: the health of routes that all workers share, and opening and closing one by hand."""

from lanewise.cli.health.command import health

__all__ = ["health"]
