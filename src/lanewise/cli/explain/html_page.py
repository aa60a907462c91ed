"""The content of ``lanewise explain --html``: each call with its steps and attempts, their tokens and cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lanewise.cli.explain.call_texts import usage, when
from lanewise.cli.formatting import dollars, duration, plain
from lanewise.types import Attempt, Call, Score
from lanewise.types.explaining import steps_of
from lanewise.web.dashboard.templates import Html
from lanewise.web.dashboard.timeline import timeline

__all__ = ["ExplainedAttempt", "ExplainedCall", "ExplainedPage", "explained_page"]

_Fields = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ExplainedAttempt:
    """One attempt with its fields by name; ``failure`` is empty if there was none."""

    title: str
    failure: str
    fields: _Fields


@dataclass(frozen=True, slots=True)
class ExplainedCall:
    """One call. ``steps`` are those of ``Call.explain()``, each with its time, ``ending`` is its last line;
    ``picture`` is its timeline, to scale."""

    call: Call
    picture: Html
    fields: _Fields
    steps: _Fields
    ending: str
    attempts: tuple[ExplainedAttempt, ...]


@dataclass(frozen=True, slots=True)
class ExplainedPage:
    """The calls of the request, or the one call, whose id was asked for."""

    wanted: str
    calls: tuple[ExplainedCall, ...]


def explained_page(wanted: str, found: Sequence[tuple[Call, Sequence[Score]]]) -> ExplainedPage:
    """The page of the calls that were found, with their scores."""
    return ExplainedPage(wanted, tuple(_explained(call, scores) for call, scores in found))


def _explained(call: Call, scores: Sequence[Score]) -> ExplainedCall:
    return ExplainedCall(
        call=call,
        picture=_picture(call),
        fields=tuple(_call_fields(call, scores)),
        steps=tuple((f"{at_ms:,.0f} ms", text) for at_ms, text in steps_of(call.moves, call.notes, call.attempts)),
        ending=call.explain().rsplit("\n=> ", 1)[-1],
        attempts=tuple(_attempt(attempt) for attempt in call.attempts),
    )


def _picture(call: Call) -> Html:
    """The timeline, without control characters and marks of writing direction."""
    from markupsafe import Markup

    return Markup(plain(str(timeline(call))))  # noqa: S704 - what the timeline's template has escaped


def _call_fields(call: Call, scores: Sequence[Score]) -> Iterator[tuple[str, str]]:
    yield "Task", call.task
    yield "Request", call.request_id
    yield "Call", call.id
    yield "When", when(call).removeprefix("began ")
    if call.total_ms is not None:
        yield "Took", duration(call.total_ms)
    if call.cost_usd is not None:
        yield "Cost", dollars(call.cost_usd)
    if call.replayed_from is not None:
        yield "Given again from call", call.replayed_from
    for score in scores:
        yield f"Score {score.name}", f"{score.value:g}"


def _attempt(attempt: Attempt) -> ExplainedAttempt:
    fields = tuple((name, value) for name, value in _attempt_fields(attempt) if value)
    title = f"{attempt.attempt_number}. {attempt.route} ({attempt.lane})"
    return ExplainedAttempt(title, attempt.failure or "", fields)


def _attempt_fields(attempt: Attempt) -> Iterator[tuple[str, str]]:
    status = "" if attempt.http_status is None else str(attempt.http_status)
    yield "HTTP status", f"{status} (timed out)" if attempt.timed_out else status
    yield "Provider's code", attempt.provider_error_code or ""
    yield "Detail", attempt.detail
    yield "Model asked", attempt.model_asked
    yield "Model that answered", attempt.model_answered or ""
    yield "Provider", attempt.provider_host
    yield "First byte after", _time(attempt.first_byte_ms)
    yield "First content after", _time(attempt.first_content_ms)
    yield "Took", _time(attempt.total_ms)
    yield "Used", ", ".join(usage(attempt))
    yield "Left out", ", ".join(attempt.dropped)
    yield "Stood in", "; ".join(attempt.adapted)
    yield "Let pass", ", ".join(attempt.lenient)


def _time(milliseconds: float | None) -> str:
    return "" if milliseconds is None else duration(milliseconds)
