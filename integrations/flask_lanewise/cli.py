"""``flask lanewise``: the core's commands, and the list of the app's endpoints."""

from __future__ import annotations

import click
from flask import current_app
from flask.cli import with_appcontext

from flask_lanewise.audit import endpoints_of
from lanewise import Config
from lanewise.cli.app import app_commands, show_endpoints

__all__ = ["commands"]


def commands(config: Config) -> click.Group:
    """The group ``lanewise`` for an app's ``cli``."""
    return app_commands(config, endpoints)


@click.command()
@with_appcontext
def endpoints() -> None:
    """Show every endpoint of this app, whether it is sensitive, and why.

    Exit code 1 if marks can't hold: the app would refuse every request.
    """
    show_endpoints(*endpoints_of(current_app))
