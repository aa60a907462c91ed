"""``litestar understudy``: the core's commands, and the list of the app's endpoints."""

from __future__ import annotations

from typing import Final

import click
from litestar import Litestar

from litestar_understudy.audit import endpoints_of
from understudy import Config, ConfigError
from understudy.cli import main
from understudy.web import check_endpoints, endpoint_table

__all__ = ["commands"]

_READING: Final = ("check", "routes")
"""The core's commands that read a config file: here, the app's own unless another one is named."""


def commands(config: Config) -> click.Group:
    """The group ``understudy`` for Litestar's command line."""
    defaults = {} if config.source is None else {name: {"file": str(config.source)} for name in _READING}
    return _Commands(
        "understudy",
        help="Keep this app's AI calls answering through rate limits, timeouts and outages.",
        context_settings={"default_map": defaults},
    )


class _Commands(click.Group):
    """The core's group, whose ``endpoints`` knows the app already. As there, a command is imported when called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the commands, in the order of the help."""
        return main.list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name."""
        return endpoints if cmd_name == endpoints.name else main.get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The help's list of commands."""
        main.format_commands(ctx, formatter)


@click.command()
@click.pass_obj
def endpoints(env: object) -> None:
    """Show every endpoint of this app, whether it is sensitive, and why.

    Exit code 1 if marks can't hold: the app would not start.
    """
    app = getattr(env, "app", None)
    if not isinstance(app, Litestar):
        raise click.ClickException("there is no Litestar app: name it, as in `litestar --app shop.web:app ...`")
    config, found = endpoints_of(app)
    click.echo(endpoint_table(found, config))
    try:
        check_endpoints(found, config)
    except ConfigError as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(1) from None
