"""The ``lanewise`` command: its subcommands are listed in ``commands.py``."""

from __future__ import annotations

import click

from lanewise.cli.commands import LazyGroup

__all__ = ["main"]


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lanewise", prog_name="lanewise")
def main() -> None:
    """Keep an app's AI calls answering through rate limits, timeouts and outages."""
