"""How the commands take a config: the FILE argument, and the end of a command whose config has mistakes."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from lanewise.config import Config, ConfigError

__all__ = ["config_argument", "look_here_for_modules", "read_config"]

config_argument = click.argument("file", type=click.Path(path_type=Path), default="lanewise.toml")
"""The config's path; ``lanewise.toml`` if it is left out."""


def look_here_for_modules() -> None:
    """Let the app's modules be found in the working directory, as the app's own server does."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)


def read_config(file: Path) -> Config:
    """Read a config, or print its mistakes and end the command with exit code 1."""
    try:
        return Config.from_file(file)
    except ConfigError as error:
        click.echo(str(error), err=True)
        raise click.exceptions.Exit(1) from None
