"""``lanewise explain``: why a request, or one call, was answered as it was, from the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from lanewise.cli.access.ledger import ledger_argument, ledger_of
from lanewise.cli.explain.call_texts import usage, when
from lanewise.cli.html_files.writing import force_option, html_option, require_place, write_page
from lanewise.cli.terminal import print_line
from lanewise.types import Call, Score

__all__ = ["explain"]


@click.command()
@click.argument("wanted", metavar="REQUEST_OR_CALL_ID")
@ledger_argument
@html_option
@force_option
def explain(wanted: str, file: Path, html_file: Path | None, force: bool) -> None:
    """Explain the calls of a request, or one call, from the ledger of the config in FILE (lanewise.toml).

    A request's id is the one in its X-Request-ID header and in the log's `request_id`; a call's id is in the
    x-lanewise-call-id header of its answer. Exit code 1 if the ledger knows neither.
    """
    if html_file is not None:
        require_place(html_file, force=force)
    place = ledger_of(file)
    from lanewise._ledger.queries.single_calls import calls_of, scores_of
    from lanewise._ledger.queries.stats import span

    with place.up_to_date() as connection:
        found = [(call, scores_of(connection, call.id)) for call in calls_of(connection, wanted)]
        ledger_span = None if found else span(connection)
    if not found:
        has = (
            "is empty"
            if ledger_span is None
            else f"has calls from {ledger_span.oldest:%Y-%m-%d} to {ledger_span.newest:%Y-%m-%d}"
        )
        raise click.ClickException(
            f"no request and no call has the id {wanted!r}. The ledger {place.shown} {has}; a call gets there within "
            "a second of its end."
        )
    if html_file is None:
        _print(found)
        return
    from lanewise.cli.explain.html_page import explained_page

    write_page(html_file, "explain.html", explained_page(wanted, found), force=force)
    click.echo(f"Wrote {html_file}: one page that needs nothing else, to look at, print or send.")


def _print(found: Sequence[tuple[Call, Sequence[Score]]]) -> None:
    for number, (call, scores) in enumerate(found):
        if number:
            click.echo()
        print_line(call.explain(), column=14)
        for line in (when(call), *_usage(call), *(f"score {score.name}: {score.value:g}" for score in scores)):
            print_line(f"   {line}")


def _usage(call: Call) -> list[str]:
    return [
        f"attempt {attempt.attempt_number} ({attempt.route}): {', '.join(used)}"
        for attempt in call.attempts
        if (used := usage(attempt))
    ]
