"""The config of a command: the FILE argument and the --config option, and an exit with its mistakes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from lanewise.config import Config, ConfigError

__all__ = [
    "FileGroup",
    "config_argument",
    "config_option",
    "last_file_argument",
    "look_here_for_modules",
    "read_config",
]

config_argument = click.argument("file", type=click.Path(path_type=Path), default="lanewise.toml")
"""The config's path; ``lanewise.toml`` if it is left out."""

config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    default="lanewise.toml",
    show_default=True,
    help="The app's config.",
)
"""The config's path where a command takes something else as its argument."""

last_file_argument = click.argument("file", required=False, type=click.Path(path_type=Path))
"""The config's path as the last argument of a command in a group; the group's own if it is left out."""


class FileGroup(click.Group):
    """A group of commands whose FILE may stand right behind its name, too: ``ledger lanewise.toml status``.

    With nothing behind it FILE goes to the command called ``alone``, or to the group itself as its --config.
    """

    def __init__(self, *args: Any, alone: str | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self._alone = alone

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put FILE where click expects it."""
        position = self._first_word(args)
        if position is not None and args[position] not in self.commands and _is_path(args[position]):
            file = args.pop(position)
            if self._first_word(args) is not None:
                args.append(file)
            elif self._alone is not None:
                args[position:position] = [self._alone]
                args.append(file)
            else:
                args[:0] = ["--config", file]
        return super().parse_args(ctx, args)

    def _first_word(self, args: list[str]) -> int | None:
        """The position of the first argument that is neither an option nor the value of one."""
        position = 0
        while position < len(args) and args[position].startswith("-"):
            position += 2 if args[position] == "--config" else 1
        return position if position < len(args) else None


def _is_path(word: str) -> bool:
    """Whether a word is meant as a file, and not as a misspelt command."""
    return bool(Path(word).suffix) or "/" in word or Path(word).exists()


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
