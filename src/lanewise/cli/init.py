"""``lanewise init``: a commented config to start from."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import click

__all__ = ["init", "starter_text"]


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), default="lanewise.toml")
@click.option("--force", is_flag=True, help="Write over a file that is already there.")
def init(file: Path, force: bool) -> None:
    """Write a commented config to FILE (lanewise.toml)."""
    try:
        # "x" makes the check and the making one step: a file that appears in between is not lost.
        with file.open("w" if force else "x", encoding="utf-8") as handle:
            handle.write(starter_text())
    except FileExistsError:
        raise click.ClickException(f"{file} is already there. Use --force to write over it.") from None
    except OSError as error:
        raise click.ClickException(f"{file} can't be written: {error.strerror}") from None
    click.echo(f"Wrote {file}. Next: set OPENAI_API_KEY, then `lanewise check {file}`.")


def starter_text() -> str:
    """The commented config that a new app starts from."""
    return files("lanewise.config").joinpath("starter.toml").read_text(encoding="utf-8")
