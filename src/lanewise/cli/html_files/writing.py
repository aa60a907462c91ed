"""Writing an HTML page as one file, with its styles inlined, and never over another file without --force."""

from __future__ import annotations

import hashlib
import os
from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from lanewise.cli.formatting import plain
from lanewise.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["force_option", "html_option", "require_place", "write_page"]

_TEMPLATES: Final = Path(__file__).parent / "templates"

html_option = click.option(
    "--html",
    "html_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="OUT.html",
    help="Write it to a file: one page that needs nothing else, to look at, print or send.",
)
force_option = click.option("--force", is_flag=True, help="With --html: write over a file that is already there.")


def require_place(file: Path, *, force: bool) -> None:
    """End the command, and say why, if the page can't be made or is already there: before anything is read for it."""
    try:
        import jinja2  # noqa: F401
    except ImportError:
        raise click.ClickException(
            "--html: the package jinja2 is not installed. pip install 'lanewise[dashboard]'"
        ) from None
    if os.path.exists(file) and not force:
        raise click.ClickException(_there(file))
    if not file.parent.is_dir():
        raise click.ClickException(f"{file} can't be written: there is no directory {file.parent}")


def _there(file: Path) -> str:
    return f"{file} is already there. Use --force to write over it."


def write_page(file: Path, template: str, content: object, *, force: bool) -> None:
    """Render a template with its content and write the page. What can't be written ends the command."""
    page = _rendered(template, content)
    made = False
    try:
        # "x" makes the check and the making one step: a file that appears in between is not lost.
        with file.open("w" if force else "x", encoding="utf-8", errors="replace", newline="\n") as handle:
            made = not force
            handle.write(page)
    except FileExistsError:
        raise click.ClickException(_there(file)) from None
    except OSError as error:
        if made:
            file.unlink(missing_ok=True)  # half a page is of no use
        raise click.ClickException(f"{file} can't be written: {error.strerror}") from None


def _rendered(template: str, content: object) -> str:
    styles = _styles()
    return (
        _environment()
        .get_template(template)
        .render(
            content=content,
            styles=styles,
            styles_hash=b64encode(hashlib.sha256(styles.encode()).digest()).decode(),
            made_at=datetime.now(UTC),
            version=__version__,
        )
    )


def _styles() -> str:
    """The dashboard's shared styles, and the files' own."""
    from lanewise.web import dashboard

    shared = Path(dashboard.__file__).parent / "static" / "shared.css"
    return "\n".join(file.read_text(encoding="utf-8") for file in (shared, _TEMPLATES / "styles.css"))


def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )


def _shown(value: object) -> object:
    """The value of a template's expression, without control characters and marks of writing direction."""
    return plain(value) if type(value) is str else value
