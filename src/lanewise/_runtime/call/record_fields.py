"""Writes a field of a call's or an attempt's record: the records are frozen for all but the router."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar, cast

from lanewise.types import Attempt, Call

__all__ = ["AttemptFields", "CallFields"]

_Record = TypeVar("_Record", Attempt, Call)
_Value = TypeVar("_Value")


class _NameOfField:
    """Stands in for a record, and gives as a field what the field is called."""

    def __getattr__(self, name: str) -> str:
        return name


def _writer(record: type[_Record], field: Callable[[_Record], _Value]) -> Callable[[_Record, _Value], None]:
    """What writes the field that ``field`` reads: one that the record doesn't have is an error of mypy's, and so is a
    value that is none of the field's. It is the slot's own method, as fast as an attribute is set."""
    name = cast("str", field(cast("_Record", _NameOfField())))
    return cast("Callable[[_Record, _Value], None]", vars(record)[name].__set__)


class CallFields:
    """The fields of a call that change while it runs.

    Example::

        CallFields.route(call, "flagship")
    """

    task: Final = _writer(Call, lambda call: call.task)
    route: Final = _writer(Call, lambda call: call.route)
    lane: Final = _writer(Call, lambda call: call.lane)
    outcome: Final = _writer(Call, lambda call: call.outcome)
    failure: Final = _writer(Call, lambda call: call.failure)
    attempts: Final = _writer(Call, lambda call: call.attempts)
    moves: Final = _writer(Call, lambda call: call.moves)
    notes: Final = _writer(Call, lambda call: call.notes)
    replayed_from: Final = _writer(Call, lambda call: call.replayed_from)
    total_ms: Final = _writer(Call, lambda call: call.total_ms)


class AttemptFields:
    """The fields of an attempt that are known once it has gone out.

    Example::

        AttemptFields.http_status(attempt, 200)
    """

    model_answered: Final = _writer(Attempt, lambda attempt: attempt.model_answered)
    http_status: Final = _writer(Attempt, lambda attempt: attempt.http_status)
    timed_out: Final = _writer(Attempt, lambda attempt: attempt.timed_out)
    provider_error_code: Final = _writer(Attempt, lambda attempt: attempt.provider_error_code)
    failure: Final = _writer(Attempt, lambda attempt: attempt.failure)
    detail: Final = _writer(Attempt, lambda attempt: attempt.detail)
    lenient: Final = _writer(Attempt, lambda attempt: attempt.lenient)
    input_tokens: Final = _writer(Attempt, lambda attempt: attempt.input_tokens)
    output_tokens: Final = _writer(Attempt, lambda attempt: attempt.output_tokens)
    cached_tokens: Final = _writer(Attempt, lambda attempt: attempt.cached_tokens)
    cache_write_tokens: Final = _writer(Attempt, lambda attempt: attempt.cache_write_tokens)
    cache_write_lifetimes: Final = _writer(Attempt, lambda attempt: attempt.cache_write_lifetimes)
    reasoning_tokens: Final = _writer(Attempt, lambda attempt: attempt.reasoning_tokens)
    input_audio_tokens: Final = _writer(Attempt, lambda attempt: attempt.input_audio_tokens)
    output_audio_tokens: Final = _writer(Attempt, lambda attempt: attempt.output_audio_tokens)
    input_image_tokens: Final = _writer(Attempt, lambda attempt: attempt.input_image_tokens)
    output_image_tokens: Final = _writer(Attempt, lambda attempt: attempt.output_image_tokens)
    tokens_estimated: Final = _writer(Attempt, lambda attempt: attempt.tokens_estimated)
    tool_calls: Final = _writer(Attempt, lambda attempt: attempt.tool_calls)
    service_tier: Final = _writer(Attempt, lambda attempt: attempt.service_tier)
    reported_cost_usd: Final = _writer(Attempt, lambda attempt: attempt.reported_cost_usd)
    upstream_cost_usd: Final = _writer(Attempt, lambda attempt: attempt.upstream_cost_usd)
    cost_status: Final = _writer(Attempt, lambda attempt: attempt.cost_status)
    first_byte_ms: Final = _writer(Attempt, lambda attempt: attempt.first_byte_ms)
    first_content_ms: Final = _writer(Attempt, lambda attempt: attempt.first_content_ms)
    total_ms: Final = _writer(Attempt, lambda attempt: attempt.total_ms)
