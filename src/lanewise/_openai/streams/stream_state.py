"""What is known of a stream while its events are judged: what it has named, used and finished, and how it failed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum
from typing import Final

import msgspec

from lanewise._failures import failure_table as failures
from lanewise._failures.classification import from_inner_error
from lanewise._failures.failure_table import Row
from lanewise._openai.content import may_hold_error
from lanewise._openai.finish_reasons import CONTENT_FILTER
from lanewise._openai.lenient_json import MALFORMED, read_json
from lanewise._openai.usage.accumulator import UsageAccumulator
from lanewise._openai.usage.usage import Usage
from lanewise.types import BreakerEffect, Failure, FailureKind, LocalTrouble, Retry

__all__ = ["LONGEST_NAME", "StreamState", "StreamVerdict"]


class StreamVerdict(IntEnum):
    """What an event is. Before commit everything but content and ``DONE`` is held, after it everything is passed on."""

    PREAMBLE = 0
    """Hold it: nothing real has come yet. No sign of life."""
    PROGRESS = 1
    """Hold it before commit. The model is at work: a sign of life, but nothing of the answer."""
    CONTENT = 2
    """Real content: commits the stream, and is a sign of life."""
    PASS = 3
    """After commit: pass it on. No sign of life."""
    HIDE = 4
    """The usage that the app did not ask for: account it, and don't pass it on."""
    DONE = 5
    """The last event of a complete answer: pass on what is held, and this."""


LONGEST_NAME: Final = 200
"""Characters of a model's name, an id or a finish reason that are kept: they come from the provider."""
_BUSY: Final = frozenset({FailureKind.RATE_LIMIT, FailureKind.CONFLICT})
"""What says nothing of a route's health before an answer has begun, and breaks one that has."""
_BROKEN: Final = FailureKind.STREAM_BROKEN
_LONGEST_SUSPECT: Final = 64 * 1024
_TOKEN: Final = 5
"""Bytes that a piece counts for at the least: a token, as ``token_estimate.likely`` reckons."""


class StreamState:
    """The state of one attempt's stream, which the events of both dialects (chat, Responses) change.

    ``hide_usage``: the usage chunk was asked for by the router, not by the app. ``accepts`` says of each model that the
    stream names whether it may answer.
    """

    def __init__(self, *, hide_usage: bool, accepts: Callable[[str], bool] | None) -> None:
        self.hide_usage = hide_usage
        self.accepts = accepts
        self.open_choices: set[int] = set()
        self.finished_choices: set[int] = set()
        self.done = False
        """Whether the last event of a complete answer has come."""
        self.suspected_error: bytes | None = None
        """The latest event that may be an error in words that nobody knows."""
        self.failure: Failure | None = None
        self.committed = False
        """Whether real content has come."""
        self.model: str | None = None
        self.response_id: str | None = None
        self.finish_reason: str | None = None
        """Of the choice that finished last, in chat's words."""
        self.refusal = False
        self.content_bytes = 0
        """About the bytes of the content, where the provider reports no tokens."""
        self.usage_so_far = UsageAccumulator()

    @property
    def usage(self) -> Usage:
        """What the answer has used, as far as the stream has reported it."""
        return self.usage_so_far.usage

    @property
    def content_policy(self) -> bool:
        """Whether the model or its filter refused: the app's to read, a failure only where a lane lists it."""
        return self.refusal or self.finish_reason == CONTENT_FILTER

    def without_content(self) -> StreamVerdict:
        """The verdict on an event that holds nothing of the answer."""
        return StreamVerdict.PASS if self.committed else StreamVerdict.PREAMBLE

    def suspect(self, data: bytes) -> None:
        """Keep what may be an error in words that nobody knows: if no end of the answer follows, it was broken off."""
        with suppress(*MALFORMED):
            if len(data) <= _LONGEST_SUSPECT and may_hold_error(read_json(data)):
                self.suspected_error = data

    def count_text(self, text: object) -> None:
        """Count the content, in case that no usage comes: each piece is a token at least."""
        self.content_bytes += max(_TOKEN, len(text)) if isinstance(text, str) else _TOKEN

    def reports_error(self, event_name: str | None, data: bytes, *, known: bool) -> bool:
        """Whether an event that holds nothing of an answer is an error in a shape of its own (vLLM, Gemini)."""
        if event_name == "error":
            return True
        return not known and from_inner_error(data, otherwise=failures.MALFORMED_EVENT).kind is not _BROKEN

    def error(self, error: bytes | msgspec.Raw, otherwise: Row = failures.STREAM_ERROR) -> Failure:
        """An error that the provider reports: as its inner code says before commit, a broken stream after."""
        inner = from_inner_error(error, otherwise=otherwise)
        if not self.committed:
            self.failure = inner
            return inner
        may_be_the_callers = inner.breaker is BreakerEffect.NEUTRAL and inner.kind not in _BUSY
        breaker = BreakerEffect.NEUTRAL if may_be_the_callers else None
        self.failure = failures.STREAM_ERROR_LATE.failure(
            http_status=200,
            code=inner.code,
            param=inner.param,
            retry_after=inner.retry_after,
            breaker=breaker,
            executed=True,
        )
        return self.failure

    def swapped(self, model: str) -> Failure:
        """The failure of a stream that names a model which may not answer."""
        self.model = model[:LONGEST_NAME]
        return self.broken_by(failures.SUBSTITUTED)

    def broken_by(self, row: Row, cause: str = "", trouble: LocalTrouble | None = None) -> Failure:
        """The failure of a row: after commit it ends the call, whatever the row allows."""
        retry = Retry.STOP if self.committed else None
        self.failure = row.failure(http_status=200, retry=retry, cause=cause, trouble=trouble)
        return self.failure
