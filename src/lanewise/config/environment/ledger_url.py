"""The URL of the ledger's database: as the config declares it, and as SQLAlchemy takes it where the app runs."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Strict

from lanewise.config.mistakes import MistakeCollector
from lanewise.config.values.http_fields import ServiceUrl, is_env_name
from lanewise.config.values.scalars import wrong

__all__ = ["LedgerUrl", "ledger_warnings", "look_up_ledger"]

_ENV: Final = "env:"
_FILE: Final = "sqlite:///"
_POSTGRES: Final = ("postgresql+psycopg", "postgresql", "postgres")
_EXAMPLES: Final = (
    'It looks like "sqlite:///lanewise.db", "postgresql+psycopg://host/name" or "env:DATABASE_URL", which names a '
    "variable that has the URL."
)


def _wrong_with_url(url: str) -> str | None:
    """What is wrong with a database's URL. The text holds nothing of it: there may be a password in it."""
    scheme, colon, _ = url.partition("://")
    if not colon:
        return "this is not the URL of a database"
    if scheme == "sqlite":
        # SQLite would keep a ledger without a file in memory, where nobody else can read it.
        fine = url.startswith(_FILE) and url.removeprefix(_FILE).partition("?")[0] not in ("", ":memory:")
        return None if fine else "this names no file for SQLite"
    if scheme not in _POSTGRES:
        return "a ledger is in SQLite or in PostgreSQL"
    try:
        fine = urlsplit(url).port != 0
    except ValueError:
        fine = False
    return None if fine else "this is not the URL of a database"


def _declared(url: str) -> str:
    if not url.startswith(_ENV):
        problem = _wrong_with_url(url)
    else:
        problem = None if is_env_name(url.removeprefix(_ENV)) else "after env: comes the name of a variable"
    if problem is not None:
        raise wrong(problem, _EXAMPLES)
    return url


LedgerUrl = Annotated[ServiceUrl, Strict(), AfterValidator(_declared)]


def look_up_ledger(
    declared: str | None, source: Path | None, environ: Mapping[str, str], findings: MistakeCollector
) -> str | None:
    """The URL of the ledger's database, as SQLAlchemy takes it: it may have a password in it. ``None``: no ledger.

    A path is relative to ``source``, the file of the config. What is missing is noted in ``findings``.

    Example::

        url = look_up_ledger("sqlite:///l.db", Path("/srv/lanewise.toml"), os.environ, findings)
        assert url == "sqlite:////srv/l.db"
    """
    if declared is None:
        return None
    place = ("router", "ledger")
    variable = declared.removeprefix(_ENV) if declared.startswith(_ENV) else None
    url = declared if variable is None else environ.get(variable, "")
    if not url:
        findings.add(place, f"the variable {variable} is not set", _EXAMPLES)
        return None
    if (problem := _wrong_with_url(url)) is not None:
        findings.add(place, f"the URL in {variable} can't be used: {problem}", _EXAMPLES)
        return None
    needed = ("sqlalchemy", "alembic") if url.startswith("sqlite") else ("sqlalchemy", "alembic", "psycopg")
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        fix = "pip install 'lanewise[ledger]'"
        findings.add(place, f"the package {' and '.join(missing)} is not installed", fix)
        return None
    return _resolved(url, None if source is None else source.parent)


def ledger_warnings(url: str | None) -> tuple[str, ...]:
    """A warning if the directory of an SQLite ledger does not exist: no reason to refuse calls.

    ``url`` is what :func:`look_up_ledger` gave.
    """
    if url is None or not url.startswith(_FILE):
        return ()
    directory = Path(url.removeprefix(_FILE).partition("?")[0]).parent
    if directory.is_dir():
        return ()
    return (f"router.ledger: the directory {directory} does not exist, so nothing is recorded until somebody makes it",)


def _resolved(url: str, directory: Path | None) -> str:
    scheme, _, rest = url.partition("://")
    if scheme != "sqlite":
        return f"postgresql+psycopg://{rest}"
    path, question, query = url.removeprefix(_FILE).partition("?")
    return f"{_FILE}{((directory or Path()) / path).absolute()}{question}{query}"
