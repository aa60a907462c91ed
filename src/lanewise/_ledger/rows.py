"""A call, its attempts and its scores as rows of the ledger, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
from sqlalchemy import Row

from lanewise.types import (
    Api,
    Attempt,
    Call,
    CostStatus,
    FailureKind,
    LaneName,
    Move,
    Outcome,
    Score,
    Send,
    Stop,
    Switch,
    Wait,
)

__all__ = ["Columns", "attempt_rows", "call_of", "call_row", "score_row"]

Columns = Mapping[str, object]
"""A row: each column's name, and what goes there."""

_AND: Final = "; "
MOST_TOKENS: Final = 2**53
"""A larger number is no count of tokens, and does not fit a database's integer."""

_moves: Final = msgspec.json.Decoder(tuple[tuple[float, Send | Switch | Wait | Stop], ...])
_notes: Final = msgspec.json.Decoder(tuple[tuple[float, str], ...])
_encode: Final = msgspec.json.Encoder().encode


def call_row(call: Call) -> Columns:
    """The row of a call that has ended."""
    return {
        "id": call.id,
        "request_id": call.request_id,
        "task": call.task,
        "api": call.api.value,
        "stream": call.stream,
        "sensitive": ",".join(call.sensitive),
        "subject_hash": call.subject_hash,
        "labels": _labels(call.labels) if call.labels else "{}",
        "route": call.route,
        "lane": call.lane,
        "outcome": call.outcome or Outcome.CANCELLED,
        "failure": call.failure,
        "attempts": len(call.attempts),
        "started_at": call.started_at,
        "total_ms": call.total_ms,
        "moves": _encode([(round(at_ms, 3), move) for at_ms, move in call.moves]).decode(),
        "notes": _encode([(round(at_ms, 3), note) for at_ms, note in call.notes]).decode(),
        "replayed_from": call.replayed_from,
    }


def attempt_rows(call: Call) -> Iterator[Columns]:
    """The rows of a call's attempts."""
    answered = call.outcome is Outcome.ANSWERED
    answering = call.attempts[-1] if answered and call.attempts else None
    routes: set[str] = set()
    lanes: set[str] = set()
    asked = call.draft_of is None  # a draft's call is none of the app's: the report counts what it costs
    for attempt in call.attempts:
        yield {
            "call_id": call.id,
            "attempt_number": attempt.attempt_number,
            "request_id": call.request_id,
            "subject_hash": call.subject_hash,
            "task": call.task,
            "route": attempt.route,
            "lane": attempt.lane,
            "model_asked": attempt.model_asked,
            "model_answered": _storable(attempt.model_answered),
            "provider_host": attempt.provider_host,
            "http_status": attempt.http_status,
            "timed_out": attempt.timed_out,
            "provider_error_code": attempt.provider_error_code,
            "failure": attempt.failure,
            "detail": attempt.detail,
            "idempotency_key": attempt.idempotency_key,
            "dropped": ",".join(attempt.dropped),
            "adapted": _AND.join(attempt.adapted),
            "lenient": ",".join(attempt.lenient) or None,
            "input_tokens": _count(attempt.input_tokens),
            "output_tokens": _count(attempt.output_tokens),
            "cached_tokens": _count(attempt.cached_tokens),
            "cache_write_tokens": _count(attempt.cache_write_tokens),
            "cache_write_lifetimes": _counts(attempt.cache_write_lifetimes),
            "reasoning_tokens": _count(attempt.reasoning_tokens),
            "input_audio_tokens": _count(attempt.input_audio_tokens),
            "output_audio_tokens": _count(attempt.output_audio_tokens),
            "input_image_tokens": _count(attempt.input_image_tokens),
            "output_image_tokens": _count(attempt.output_image_tokens),
            "tokens_estimated": attempt.tokens_estimated,
            "tool_calls": _counts(attempt.tool_calls),
            "service_tier": _storable(attempt.service_tier),
            "reported_cost_usd": attempt.reported_cost_usd,
            "upstream_cost_usd": attempt.upstream_cost_usd,
            "cost_usd": attempt.cost_usd,
            "cost_status": attempt.cost_status,
            "cost_upper_usd": attempt.cost_upper_usd,
            "first_byte_ms": attempt.first_byte_ms,
            "first_content_ms": attempt.first_content_ms,
            "total_ms": attempt.total_ms,
            "started_at": attempt.started_at,
            "answered": attempt is answering,
            "absorbed": answered and attempt is not answering and attempt.failure is not None,
            "first_on_route": asked and attempt.route not in routes,
            "first_in_lane": asked and attempt.lane not in lanes,
        }
        routes.add(attempt.route)
        lanes.add(attempt.lane)


def score_row(score: Score) -> Columns:
    """The row of a score."""
    return {"call_id": score.call_id, "name": _storable(score.name), "at": score.at, "value": score.value}


def call_of(row: Row[tuple[object, ...]], attempt_rows: Sequence[Row[tuple[object, ...]]]) -> Call:
    """The call of a row, with its attempts: ``explain()`` gives the same text as when it had ended."""
    columns = row._mapping
    return Call(
        id=columns["id"],
        request_id=columns["request_id"],
        task=columns["task"],
        api=Api(columns["api"]),
        started_at=columns["started_at"],
        stream=columns["stream"],
        sensitive=_listed(columns["sensitive"]),
        subject_hash=columns["subject_hash"],
        labels=tuple(msgspec.json.decode(columns["labels"], type=dict[str, str]).items()),
        route=columns["route"],
        lane=None if columns["lane"] is None else LaneName(columns["lane"]),
        outcome=Outcome(columns["outcome"]),
        failure=None if columns["failure"] is None else FailureKind(columns["failure"]),
        attempts=tuple(_attempt_of(attempt) for attempt in attempt_rows),
        moves=_moves_of(columns["moves"]),
        notes=_notes.decode(columns["notes"]),
        replayed_from=columns["replayed_from"],
        total_ms=columns["total_ms"],
    )


def _attempt_of(row: Row[tuple[object, ...]]) -> Attempt:
    columns = {name: value for name, value in row._mapping.items() if name in _ATTEMPT_FIELDS}
    return Attempt(
        **{
            **columns,
            "lane": LaneName(columns["lane"]),
            "failure": None if columns["failure"] is None else FailureKind(columns["failure"]),
            "cost_status": CostStatus(columns["cost_status"]),
            "cache_write_lifetimes": _counted(columns["cache_write_lifetimes"]),
            "tool_calls": _counted(columns["tool_calls"]),
            "dropped": _listed(columns["dropped"]),
            "adapted": _listed(columns["adapted"], _AND),
            "lenient": _listed(columns["lenient"]),
        }
    )


_ATTEMPT_FIELDS: Final = frozenset(Attempt.__struct_fields__)


def _moves_of(text: str) -> tuple[tuple[float, Move], ...]:
    try:
        return _moves.decode(text)
    except msgspec.ValidationError:
        return ()  # of a release that knew other moves: the attempts still tell what happened


def _labels(labels: tuple[tuple[str, str], ...]) -> str:
    return _encode({_storable(name): _storable(value) for name, value in labels}).decode()


def _listed(text: str | None, between: str = ",") -> tuple[str, ...]:
    return tuple(text.split(between)) if text else ()


def _counts(counts: tuple[tuple[str, int], ...]) -> str | None:
    """Counts by name as an object of JSON; ``None`` without any."""
    return _encode({_storable(name): count for name, count in counts}).decode() if counts else None


def _counted(text: str | None) -> tuple[tuple[str, int], ...]:
    return tuple(msgspec.json.decode(text, type=dict[str, int]).items()) if text else ()


def _count(tokens: int | None) -> int | None:
    return tokens if tokens is None or 0 <= tokens <= MOST_TOKENS else None


def _storable(text: str | None) -> str | None:
    """A text from outside as both databases take it: without NUL and half surrogates."""
    if text is None or (text.isascii() and "\0" not in text):
        return text
    return text.replace("\0", "").encode("utf-8", "replace").decode()
