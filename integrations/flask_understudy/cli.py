"""``flask understudy``: the core's commands, and the list of the app's endpoints."""

from __future__ import annotations

from typing import Final

import click
from flask import current_app
from flask.cli import with_appcontext

from flask_understudy.audit import endpoints_of
from understudy import Config, ConfigError
from understudy.cli import main
from understudy.web import check_endpoints, endpoint_table

__all__ = ["commands"]

_READING: Final = ("check", "routes")
"""The core's commands that read a config file: here, the app's own unless another one is named."""


def commands(config: Config) -> click.Group:
    """The group ``understudy`` for an app's ``cli``."""
    defaults = {} if config.source is None else {name: {"file": str(config.source)} for name in _READING}
    return _Commands(
        "understudy",
        help="Keep this app's AI calls answering through rate limits, timeouts and outages.",
        context_settings={"default_map": defaults},
    )


class _Commands(click.Group):
    """The core's group and one command more. As there, a command is imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the commands, in the order of the help."""
        return [endpoints.name or "", *main.list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name."""
        return endpoints if cmd_name == endpoints.name else main.get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The help's list of commands."""
        with formatter.section("Commands for this app"):
            formatter.write_dl([(endpoints.name or "", endpoints.get_short_help_str())])
        main.format_commands(ctx, formatter)


@click.command()
@with_appcontext
def endpoints() -> None:
    """Show every endpoint of this app, whether it is sensitive, and why.

    Exit code 1 if marks can't hold: the app would refuse every request.
    """
    config, found = endpoints_of(current_app)
    click.echo(endpoint_table(found, config))
    try:
        check_endpoints(found, config)
    except ConfigError as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(1) from None
