"""``lanewise explain``: why a request, or one call, was answered as it was, from the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

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
    place = ledger_of(file)
    from lanewise._ledger.explaining import calls_of, scores_of
    from lanewise._ledger.stats import span

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
        told.append(f"{about}{attempt.input_tokens or 0:,} tokens in{_of_them(attempt, _INPUT)}")
        told.append(f"{attempt.output_tokens or 0:,} out{_of_them(attempt, _OUTPUT)}")
    told += [f"{count:,} {plain(tool)}" for tool, count in attempt.tool_calls]
    if attempt.service_tier is not None:
        told.append(f"service tier {plain(attempt.service_tier)}")
    if attempt.cost_usd is not None:
        about = "about " if attempt.cost_status is CostStatus.ESTIMATED else ""
        whose = " as the provider says" if attempt.cost_status is CostStatus.REPORTED else ""
        told.append(f"{about}${attempt.cost_usd:.6f}{whose}")
    elif attempt.cost_status is CostStatus.UNKNOWN and attempt.cost_upper_usd is not None:
        told.append(f"may be billed, ${attempt.cost_upper_usd:.6f} at the most")
    elif attempt.cost_status is CostStatus.UNKNOWN and attempt.failure is not None:
        told.append("may be billed, nobody knows how much")
    return f"attempt {attempt.attempt_number} ({attempt.route}): {', '.join(told)}" if told else ""


_INPUT: Final = {
    "cached_tokens": "cached",
    "cache_write_tokens": "written to the cache",
    "input_audio_tokens": "audio",
    "input_image_tokens": "images",
}
_OUTPUT: Final = {"reasoning_tokens": "reasoning", "output_audio_tokens": "audio", "output_image_tokens": "images"}


def _of_them(attempt: Attempt, names: Mapping[str, str]) -> str:
    """The parts of a count that are told apart."""
    parts = [f"{count:,} {what}" for name, what in names.items() if (count := getattr(attempt, name))]
    return f" ({', '.join(parts)})" if parts else ""
