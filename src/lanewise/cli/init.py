"""``lanewise init``: a commented config to start from."""

from __future__ import annotations

from pathlib import Path

import click

from lanewise.config.starter import starter_text

__all__ = ["init"]


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
