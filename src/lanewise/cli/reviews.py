"""``lanewise reviews``: the cases that wait for a person, shown and decided."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import click
import msgspec
from rich.table import Table
from rich.text import Text

from lanewise.cli.access.config_file import FileGroup, last_file_argument, read_config
from lanewise.cli.formatting import plain
from lanewise.cli.terminal import print_table
from lanewise.config.environment.credentials import look_up_keys

if TYPE_CHECKING:
    from lanewise._reviews import Case, Review, ReviewQueue

__all__ = ["reviews"]

_STATUSES: Final = ("pending", "approved", "rejected", "expired", "all")
_OF_THE_QUEUE: Final = ("router.ledger", "router.storage_key_env")


@click.group(cls=FileGroup, alone="list")
@click.option(
    "--config", "config_file", type=click.Path(path_type=Path), default="lanewise.toml", show_default=True,
    help="The config, which names the ledger and the storage key.",
)  # fmt: skip
@click.pass_context
def reviews(context: click.Context, config_file: Path) -> None:
    """Show and decide the cases that wait for a person."""
    context.obj = config_file


@reviews.command("list")
@last_file_argument
@click.option("--status", type=click.Choice(_STATUSES), default="pending", show_default=True, help="Which cases.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="The latest so many.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def list_cases(config_file: Path, file: Path | None, status: str, limit: int, as_json: bool) -> None:
    """List the cases, newest first, without their texts."""
    from lanewise._reviews import ReviewStatus

    with _queue(file or config_file) as queue:
        found = queue.latest(None if status == "all" else ReviewStatus(status), limit)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        return
    if not found:
        click.echo("no case waits for a person" if status == "pending" else f"no case is {status}")
        return
    print_table(_table(found, datetime.now(UTC)))


@reviews.command()
@click.argument("review_id", metavar="ID")
@last_file_argument
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def show(config_file: Path, file: Path | None, review_id: str, as_json: bool) -> None:
    """Show a case with its texts: what was asked, and the draft if there is one."""
    with _queue(file or config_file) as queue:
        case = queue.case(review_id)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(case), indent=2).decode())
        return
    for line in _shown(case):
        click.echo(line)


@reviews.command()
@click.argument("review_id", metavar="ID")
@last_file_argument
@click.option("--answer", help="The answer, in place of the draft.")
@click.option(
    "--answer-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The answer, in a file."
)
@click.option(
    "--by", help="Who decides; kept with the case. [default: asked at a terminal, else the user of this computer]"
)
@click.pass_obj
def approve(
    config_file: Path,
    file: Path | None,
    review_id: str,
    answer: str | None,
    answer_file: Path | None,
    by: str | None,
) -> None:
    """Let the caller have an answer: the one given here, or else the draft."""
    if answer is not None and answer_file is not None:
        raise click.UsageError("give --answer or --answer-file, not both")
    if answer_file is not None:
        answer = answer_file.read_text(encoding="utf-8")
    with _queue(file or config_file) as queue:
        decided = queue.approve(review_id, by=by or _who(), answer=answer)
    click.echo(f"{decided.id}: approved by {decided.decided_by}")


@reviews.command()
@click.argument("review_id", metavar="ID")
@last_file_argument
@click.option(
    "--by", help="Who decides; kept with the case. [default: asked at a terminal, else the user of this computer]"
)
@click.pass_obj
def reject(config_file: Path, file: Path | None, review_id: str, by: str | None) -> None:
    """Let the caller have no answer."""
    with _queue(file or config_file) as queue:
        decided = queue.reject(review_id, by=by or _who())
    click.echo(f"{decided.id}: rejected by {decided.decided_by}")


@contextmanager
def _queue(config_file: Path) -> Iterator[ReviewQueue]:
    """The queue that the config names. What goes wrong with it ends the command with exit code 1."""
    from lanewise._reviews import ReviewError, ReviewQueue

    config = read_config(config_file)
    credentials, findings = look_up_keys(config, os.environ)
    wrong = [mistake for mistake in findings.found if mistake.place in _OF_THE_QUEUE]
    if wrong or credentials.ledger is None or credentials.seal is None:
        reasons = [str(mistake) for mistake in wrong] or [
            "the reviews need `ledger` and `storage_key_env` under [router]"
        ]
        _end("\n".join(reasons))
    queue = ReviewQueue(credentials.ledger, credentials.seal)
    try:
        yield queue
    except (ReviewError, ValueError) as error:
        problem = str(error)
    else:
        return
    finally:
        queue.close()
    _end(problem)


def _end(problem: str) -> NoReturn:
    click.echo(problem, err=True)
    raise click.exceptions.Exit(1)


def _who() -> str:
    """Who decides: asked at a terminal, since several people may share one login."""
    if not _at_a_terminal():
        return _user()
    return str(click.prompt("Who decides?", default=_user()))


def _at_a_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise click.UsageError("say who decides: --by NAME") from None


def _table(found: list[Review], now: datetime) -> Table:
    table = Table("id", "task", "sensitive", "status")
    table.add_column("since", no_wrap=True)
    table.add_column("left", no_wrap=True)
    table.add_column("draft")
    table.add_column("nobody answered")
    for review in found:
        decided = f"{review.status} by {review.decided_by}" if review.decided_by else review.status.value
        left = _span((review.expires_at - now).total_seconds()) if review.status == "pending" else ""
        cells = (
            review.id,
            review.task,
            ", ".join(review.sensitive),
            decided,
            f"{review.created_at:%Y-%m-%d %H:%M}",
            left,
            "yes" if review.has_draft else "",
            review.why,
        )
        table.add_row(*(Text(plain(cell)) for cell in cells))
    return table


def _span(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return "< 1 min"


def _shown(case: Case) -> Iterator[str]:
    from lanewise._reviews.conversation import conversation

    review = case.review
    yield f"case      {review.id}"
    yield f"status    {review.status}" + (f" by {plain(review.decided_by)}" if review.decided_by else "")
    yield f"task      {review.task} ({', '.join(review.sensitive)})"
    yield f"request   {review.request_id}, call {review.call_id}"
    yield f"since     {review.created_at:%Y-%m-%d %H:%M} UTC, until {review.expires_at:%Y-%m-%d %H:%M} UTC"
    yield f"why       {plain(review.why)}"
    if review.data is not None:
        yield f"data      {plain(msgspec.json.encode(review.data).decode())}"
    if case.question is None:
        yield "texts     deleted"
        return
    yield ""
    for who, text in conversation(case.question):
        yield f"[{plain(who)}]"
        yield plain(text)
        yield ""
    if review.answer is not None:
        yield "[the answer]"
        yield plain(review.answer)
    elif case.draft is not None:
        yield f"[a draft by {case.draft.route}]"
        yield plain(case.draft.text)
    else:
        yield "There is no draft: approve it with --answer or --answer-file."
