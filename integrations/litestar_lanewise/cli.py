"""``litestar lanewise``: the core's commands, and the list of the app's endpoints."""

from __future__ import annotations

import click
from litestar import Litestar

from lanewise import Config
from lanewise.cli.app import app_commands, show_endpoints
from litestar_lanewise.audit import endpoints_of

__all__ = ["commands"]


def commands(config: Config) -> click.Group:
    """The group ``lanewise`` for Litestar's command line."""
    return app_commands(config, endpoints)


@click.command()
@click.pass_obj
def endpoints(env: object) -> None:
    """Show every endpoint of this app, whether it is sensitive, and why.

    Exit code 1 if marks can't hold: the app would not start.
    """
    app = getattr(env, "app", None)
    if not isinstance(app, Litestar):
        raise click.ClickException("there is no Litestar app: name it, as in `litestar --app shop.web:app ...`")
    show_endpoints(*endpoints_of(app))
