"""``lanewise check``: all that is wrong with a config, what is probably not meant, and what its routes answer."""

from lanewise.cli.check.command import check

__all__ = ["check"]
