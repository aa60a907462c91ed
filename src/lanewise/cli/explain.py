"""``lanewise explain``: why a request, or one call, was answered as it was, from the ledger."""

from __future__ import annotations

from pathlib import Path

import click

from lanewise.cli.ledger_access import ledger_argument, ledger_of
from lanewise.cli.plain_text import plain
from lanewise.types import Attempt, Call, CostStatus

__all__ = ["explain"]


@click.command()
@click.argument("wanted", metavar="REQUEST_OR_CALL_ID")
@ledger_argument
def explain(wanted: str, file: Path) -> None:
    """Explain the calls of a request, or one call, from the ledger of the config in FILE (lanewise.toml).

    A request's id is the one in its X-Request-ID header and in the log's `request_id`; a call's id is in the
    x-lanewise-call-id header of its answer. Exit code 1 if the ledger knows neither.
    """
    from lanewise._ledger.explaining import calls_of, scores_of
    from lanewise._ledger.stats import span

    place = ledger_of(file)
    with place.filled() as connection:
        found = [(call, scores_of(connection, call.id)) for call in calls_of(connection, wanted)]
        held = None if found else span(connection)
    if not found:
        has = "is empty" if held is None else f"has calls from {held.oldest:%Y-%m-%d} to {held.newest:%Y-%m-%d}"
        raise click.ClickException(
            f"no request and no call has the id {wanted!r}. The ledger {place.shown} {has}; a call gets there within "
            "a second of its end."
        )
    for number, (call, scores) in enumerate(found):
        if number:
            click.echo()
        click.echo(call.explain())
        for line in (_when(call), *_usage(call), *(f"score {score.name}: {score.value:g}" for score in scores)):
            click.echo(f"   {line}")


def _when(call: Call) -> str:
    labels = "".join(f", {plain(name)}={plain(value)}" for name, value in call.labels)
    kinds = [call.api.value, *(["stream"] if call.stream else []), *(f"sensitive: {name}" for name in call.sensitive)]
    return f"began {call.started_at:%Y-%m-%d %H:%M:%S} UTC ({', '.join(kinds)}{labels})"


def _usage(call: Call) -> list[str]:
    return [told for attempt in call.attempts if (told := _used(attempt))]


def _used(attempt: Attempt) -> str:
    told = []
    if attempt.input_tokens is not None or attempt.output_tokens is not None:
        about = "about " if attempt.tokens_estimated else ""
        told.append(f"{about}{attempt.input_tokens or 0:,} tokens in, {attempt.output_tokens or 0:,} out")
    if attempt.cost_usd is not None:
        about = "about " if attempt.cost_status is CostStatus.ESTIMATED else ""
        told.append(f"{about}${attempt.cost_usd:.6f}")
    elif attempt.cost_status is CostStatus.UNKNOWN and attempt.cost_upper_usd is not None:
        told.append(f"may be billed, ${attempt.cost_upper_usd:.6f} at the most")
    elif attempt.cost_status is CostStatus.UNKNOWN and attempt.failure is not None:
        told.append("may be billed, nobody knows how much")
    return f"attempt {attempt.attempt_number} ({attempt.route}): {', '.join(told)}" if told else ""
