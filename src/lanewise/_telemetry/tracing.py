"""The sink of OpenTelemetry: a span a call, a child span an attempt, and metrics. Needs only ``opentelemetry-api``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from lanewise._telemetry import semconv as names
from lanewise.types import Attempt, Call, Outcome, Score
from lanewise.types.health import BreakerChange
from lanewise.version import __version__

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

__all__ = ["Traced", "TracingSink", "current_trace"]

_Value = str | bool | int | float | Sequence[str]
_SCOPE: Final = "lanewise"
_COUNTED_BY: Final = frozenset({names.TASK, names.ROUTE, names.LANE, names.OUTCOME, names.ERROR})
_ENDED_WELL: Final = frozenset({Outcome.ANSWERED, Outcome.PENDING_REVIEW})


class Traced(msgspec.Struct, frozen=True):
    """A call that has ended, and the context in which it was made: its span belongs under the request's."""

    call: Call
    parent: Context


def current_trace() -> Context:
    """The context of the span that is current here. About 1 us."""
    from opentelemetry.context import get_current

    return get_current()


class TracingSink:
    """Makes the spans after the fact, with the times of the records: the calls don't wait for an exporter.

    The providers of spans and metrics are OpenTelemetry's global ones unless given.
    """

    def __init__(
        self, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
    ) -> None:
        from opentelemetry.metrics import get_meter
        from opentelemetry.trace import get_tracer

        self._tracer = get_tracer(_SCOPE, __version__, tracer_provider)
        meter = get_meter(_SCOPE, __version__, meter_provider)
        seconds: list[float] = list(names.SECONDS)
        tokens: list[float] = list(names.TOKENS)
        self._call_duration = meter.create_histogram(
            names.CALL_DURATION, "s", "Duration of calls: attempts and waits.",
            explicit_bucket_boundaries_advisory=seconds,
        )  # fmt: skip
        self._duration = meter.create_histogram(
            names.DURATION, "s", "Duration of attempts.", explicit_bucket_boundaries_advisory=seconds
        )
        self._first_chunk = meter.create_histogram(
            names.TIME_TO_FIRST_CHUNK, "s", "Time to a stream's first content.",
            explicit_bucket_boundaries_advisory=seconds,
        )  # fmt: skip
        self._tokens = meter.create_histogram(
            names.TOKEN_USAGE, "{token}", "Tokens in and out.", explicit_bucket_boundaries_advisory=tokens
        )
        self._cost = meter.create_counter(
            names.COST, "USD", "What attempts cost, where it is told, known or estimated."
        )
        self._breaker_changes = meter.create_counter(
            names.BREAKER_CHANGES, "{change}", "Breakers that became open, throttled or closed."
        )
        self._score = meter.create_histogram(names.SCORE, "1", "What the app found answers to be worth.")

    def write(self, batch: Sequence[Traced | Score | BreakerChange]) -> None:
        """Make the spans of the calls, and count everything."""
        for record in batch:
            if isinstance(record, Score):
                self._score.record(record.value, {names.SCORE_NAME: record.name})
            elif isinstance(record, BreakerChange):
                self._breaker_changes.add(1, _of_breaker(record))
            else:
                self._call(record.call, record.parent)

    def close(self) -> None:
        """Do nothing: exporters are the app's."""

    def _call(self, call: Call, parent: Context) -> None:
        from opentelemetry.trace import SpanKind, set_span_in_context

        attributes = _of_call(call)
        span = self._tracer.start_span(
            f"call {call.task}", parent, SpanKind.INTERNAL, attributes, start_time=_nanoseconds(call.started_at)
        )
        inside = set_span_in_context(span, parent)
        for attempt in call.attempts:
            self._attempt(call, attempt, inside)
        if call.outcome not in _ENDED_WELL:
            _fail(span, call.failure or call.outcome or "")
        span.end(_nanoseconds(call.started_at, call.total_ms))
        labels = {name: value for name, value in attributes.items() if name in _COUNTED_BY}
        self._call_duration.record((call.total_ms or 0.0) / 1000, labels, parent)

    def _attempt(self, call: Call, attempt: Attempt, inside: Context) -> None:
        from opentelemetry.trace import SpanKind

        common = _of_exchange(call, attempt)
        operation = names.OPERATIONS[call.api]
        span = self._tracer.start_span(
            f"{operation} {attempt.model_asked}",
            inside,
            SpanKind.CLIENT,
            {**common, **_of_attempt(call, attempt)},
            start_time=_nanoseconds(attempt.started_at),
        )
        if attempt.failure is not None:
            _fail(span, attempt.failure)
        span.end(_nanoseconds(attempt.started_at, attempt.total_ms))
        self._duration.record((attempt.total_ms or 0.0) / 1000, common, inside)
        if attempt.first_content_ms is not None:
            self._first_chunk.record(attempt.first_content_ms / 1000, common, inside)
        if not attempt.tokens_estimated:
            self._count(attempt.input_tokens, "input", common, inside)
            self._count(attempt.output_tokens, "output", common, inside)
        if attempt.cost_usd:
            self._cost.add(attempt.cost_usd, common, inside)

    def _count(self, tokens: int | None, kind: str, common: dict[str, _Value], inside: Context) -> None:
        if tokens is not None:
            self._tokens.record(tokens, {**common, names.TOKEN_TYPE: kind}, inside)


def _of_breaker(change: BreakerChange) -> dict[str, _Value]:
    return _known({
        names.BREAKER_STATE: change.state,
        names.ROUTE: change.route,
        names.API: change.api,
        names.ACCOUNT: change.account,
        names.ERROR: change.failure,
    })  # fmt: skip


def _of_call(call: Call) -> dict[str, _Value]:
    return _known({
        names.CALL_ID: call.id,
        names.REQUEST_ID: call.request_id,
        names.TASK: call.task,
        names.ROUTE: call.route,
        names.LANE: call.lane,
        names.OUTCOME: call.outcome,
        names.ERROR: None if call.outcome in _ENDED_WELL else call.failure or call.outcome,
        names.ATTEMPTS: len(call.attempts),
        names.REQUEST_STREAM: call.stream,
        names.SENSITIVE: call.sensitive or None,
        names.SUBJECT_HASH: call.subject_hash,
        names.REPLAYED_FROM: call.replayed_from,
        names.COST_USD: call.cost_usd,
        **{names.LABEL + name: value for name, value in call.labels},
    })  # fmt: skip


def _of_exchange(call: Call, attempt: Attempt) -> dict[str, _Value]:
    """The attributes that metrics have as labels: those with few values."""
    return _known({
        names.OPERATION: names.OPERATIONS[call.api],
        names.PROVIDER: names.system_of(attempt.provider_host),
        names.REQUEST_MODEL: attempt.model_asked,
        names.SERVER: attempt.provider_host,
        names.ERROR: attempt.failure,
        names.TASK: call.task,
        names.ROUTE: attempt.route,
        names.LANE: attempt.lane,
    })  # fmt: skip


def _of_attempt(call: Call, attempt: Attempt) -> dict[str, _Value]:
    return _known({
        names.CALL_ID: call.id,
        names.ATTEMPT_NUMBER: attempt.attempt_number,
        names.REQUEST_STREAM: call.stream,
        names.RESPONSE_MODEL: attempt.model_answered,
        names.STATUS: attempt.http_status,
        names.ERROR_CODE: attempt.provider_error_code,
        names.DETAIL: attempt.detail or None,
        names.DROPPED: attempt.dropped or None,
        names.INPUT_TOKENS: attempt.input_tokens,
        names.OUTPUT_TOKENS: attempt.output_tokens,
        names.CACHED_TOKENS: attempt.cached_tokens,
        names.CACHE_WRITE_TOKENS: attempt.cache_write_tokens,
        names.REASONING_TOKENS: attempt.reasoning_tokens,
        names.TOKENS_ESTIMATED: attempt.tokens_estimated or None,
        names.FIRST_CHUNK: None if attempt.first_content_ms is None else attempt.first_content_ms / 1000,
        names.COST_USD: attempt.cost_usd,
        names.REPORTED_COST_USD: attempt.reported_cost_usd,
        names.COST_UPPER_USD: attempt.cost_upper_usd,
        names.COST_STATUS: attempt.cost_status,
    })  # fmt: skip


def _known(attributes: dict[str, _Value | None]) -> dict[str, _Value]:
    """Those that have a value, enums as the texts that they are."""
    return {
        name: str(value) if isinstance(value, str) else value for name, value in attributes.items() if value is not None
    }


def _fail(span: Span, reason: str) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_status(Status(StatusCode.ERROR, str(reason)))


def _nanoseconds(start: datetime, after_ms: float | None = None) -> int:
    return int(start.timestamp() * 1e6) * 1000 + int((after_ms or 0.0) * 1e6)
