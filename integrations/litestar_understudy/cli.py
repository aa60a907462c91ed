"""``litestar understudy ...``: the core's commands, and the app's endpoints."""

from __future__ import annotations

import click
from litestar import Litestar

from litestar_understudy.audit import endpoints_of
from understudy.cli import LazyGroup
from understudy.web import endpoint_table

__all__ = ["understudy_group"]


class _Group(LazyGroup):
    """The core's commands, with an ``endpoints`` that knows the app already."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The core's commands and those that are added here."""
        return [*dict.fromkeys(("endpoints", *super().list_commands(ctx)))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by its name."""
        return self.commands.get(cmd_name) or super().get_command(ctx, cmd_name)


def understudy_group() -> click.Group:
    """The group that the plugin adds to Litestar's command line."""
    group = _Group("understudy", help="Understudy: the app's endpoints, and the config's checks.")
    group.add_command(click.Command("endpoints", callback=_endpoints, help="Show every endpoint and its sensitivity."))
    return group


@click.pass_obj
def _endpoints(env: object) -> None:
    app = getattr(env, "app", env)
    if not isinstance(app, Litestar):
        raise click.ClickException(f"this command needs a Litestar app, and got {type(app).__name__}")
    config, found = endpoints_of(app)
    click.echo(endpoint_table(found, config))
