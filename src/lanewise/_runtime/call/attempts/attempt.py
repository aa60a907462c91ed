"""One attempt: a request goes out on a route, and comes back as an answer, an opened stream or a failure."""

from __future__ import annotations

import asyncio
import math
import re
from datetime import UTC, datetime
from typing import Final

import msgspec

from lanewise._failures import failure_table as failures
from lanewise._failures.classification import from_status, from_transport, with_request
from lanewise._failures.error_body import model_name
from lanewise._failures.signals import TransportFailure, TransportSignal
from lanewise._openai.response_check import check_answer, from_answer
from lanewise._openai.streams.stream_accumulator import StreamAccumulator
from lanewise._openai.streams.stream_validator import StreamValidator
from lanewise._openai.usage.entries import with_cost
from lanewise._runtime.call.attempts.attempt_types import AttemptRequest, AttemptResult, CompleteResponse, StreamStarted
from lanewise._runtime.call.record_fields import AttemptFields
from lanewise._runtime.call.reply_headers import as_json, as_stream
from lanewise._runtime.call.streams.upstream_stream import Chunk, UpstreamStream
from lanewise._runtime.upstreams import KeyUnavailable
from lanewise._transport import Exchange
from lanewise.types import Api, Attempt, Failure, FailureKind

__all__ = ["CONNECT_TIMEOUT", "ERROR_BODY", "run"]

_NAMES: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
CONNECT_TIMEOUT: Final = 10.0
"""Seconds for name, TCP and TLS together; a route's own timeout may be shorter."""
_COST_HEADER: Final = "x-litellm-response-cost"
"""In which LiteLLM's proxy says what an answer cost, in US dollars."""
ERROR_BODY: Final = 256 * 1024
"""Bytes of an error's body that are read."""
_ASKS_FOR_BASE64: Final = re.compile(rb'"encoding_format"\s*:\s*"base64"').search
"""As the SDK asks for embeddings that it decodes itself. Within a text of the app's, each quotation mark is escaped."""
_NO_EVENTS: Final = (b"{", b"[", b"<")
"""How JSON and pages begin, and no event: what a body calls itself does not make it one."""
_MOST_SPACE: Final = 64 * 1024
ERROR_BODY_WAIT: Final = 2.0
"""Seconds for which an error's body is waited for once the status has come: the next route could answer by then."""

HELD_SILENCE: Final = 60.0
"""Seconds of silence within a stream that is held back to its end: models that reason are silent for long."""


async def run(request: AttemptRequest, record: Attempt) -> AttemptResult:
    """Make the attempt, and write its times and its status into ``record``."""
    request.lag.enter()
    try:
        result = await _exchange(request, record)
    finally:
        request.lag.leave()
    if isinstance(result, Failure):
        return with_request(result, added=request.added, has_attachments=request.has_attachments)
    return result


async def _exchange(request: AttemptRequest, record: Attempt) -> AttemptResult:
    loop = asyncio.get_running_loop()
    started = loop.time()
    deadline = started + request.timeout
    begins_by = (
        deadline if request.first_token is None or not request.stream else min(deadline, started + request.first_token)
    )
    status_by = begins_by if request.first_byte is None else min(begins_by, started + request.first_byte)
    try:
        headers = (*request.headers, *await request.upstream.key_headers(deadline))
        exchange = await request.transport.send(
            request.target,
            headers,
            request.body,
            stream=request.stream,
            deadline=status_by,
            connect_timeout=min(CONNECT_TIMEOUT, request.timeout),
            latest=request.latest,
            fresh=request.fresh,
        )
    except KeyUnavailable as reason:
        return failures.KEY_UNAVAILABLE.failure(cause=str(reason))
    except TransportFailure as failure:
        if failure.signal is TransportSignal.TIMEOUT and status_by < deadline:
            return failures.NO_CONTENT.failure()
        return _unsent(request, failure)
    exchange.bound_reads(deadline, request.latest)
    request.on_bytes()
    AttemptFields.first_byte_ms(record, (loop.time() - started) * 1000)
    AttemptFields.http_status(record, exchange.status)
    opened = False
    try:
        if not 200 <= exchange.status <= 299:
            return await _refused(request, exchange, deadline)
        if not request.stream:
            result: AttemptResult = await _whole(request, exchange)
        else:
            result = await _open(request, exchange, record, started, begins_by, deadline)
            opened = isinstance(result, StreamStarted)
        return _as_answered(result, exchange, record)
    except TransportFailure as failure:
        return _unsent(request, failure)
    finally:
        if not opened:
            exchange.release()


def _unsent(request: AttemptRequest, failure: TransportFailure) -> Failure:
    return from_transport(
        failure.signal,
        cause=failure.detail,
        trouble=failure.trouble,
        half_of_normal_timeout=request.timeout * 2 >= request.upstream.route.timeout,
    )


async def _refused(request: AttemptRequest, exchange: Exchange, deadline: float) -> Failure:
    exchange.bound_reads(min(deadline, asyncio.get_running_loop().time() + ERROR_BODY_WAIT), request.latest)
    try:
        body = await exchange.read(ERROR_BODY)
    except TransportFailure:
        body = b""  # the status alone speaks
    return from_status(
        exchange.status,
        exchange.headers,
        body,
        now=datetime.now(UTC),
        bound=request.bound,
        model=request.upstream.route.model,
        sent=lambda: _NAMES.decode(request.body),
    )


def _as_answered(result: AttemptResult, exchange: Exchange, record: Attempt) -> AttemptResult:
    """What the status and the encoding of an answer change in it: any 2xx counts that has an answer in it.

    What was odd is noted; of a stream also at its end.
    """
    if isinstance(result, Failure):
        if result.kind is not FailureKind.BAD_RESPONSE:
            return result
        if exchange.status != 200:
            return failures.ODD_STATUS.failure(http_status=exchange.status)
        if "content_encoding" in exchange.lenient:
            return failures.CUT.failure(http_status=200, cause="the body is not what its encoding says")
        return result
    odd = exchange.lenient + (result.flow.validator.lenient if isinstance(result, StreamStarted) else result.lenient)
    declared = exchange.headers.get("content-type", "").lower()
    if ("event-stream" if isinstance(result, StreamStarted) else "json") not in declared:
        odd += ("content_type",)
    if exchange.status == 200:
        if odd:
            AttemptFields.lenient(record, odd)
        return result
    AttemptFields.lenient(record, (*odd, "status"))
    return msgspec.structs.replace(result, status=exchange.status)


async def _whole(request: AttemptRequest, exchange: Exchange) -> CompleteResponse | Failure:
    limit = request.limits.embeddings if request.api is Api.EMBEDDINGS else request.limits.answer
    cut: TransportFailure | None = None
    try:
        body = await exchange.read(limit)
    except TransportFailure as failure:
        if not failure.partial:
            raise
        cut, body = failure, failure.partial
    checked = check_answer(
        request.api,
        body,
        exchange.headers.get("content-type"),
        sensitive=request.accepts is not None,
        sdk_decodes=request.api is not Api.EMBEDDINGS or _ASKS_FOR_BASE64(request.body) is not None,
    )
    judged = checked.result
    if isinstance(judged, Failure):
        return judged if cut is None else _unsent(request, cut)
    if judged.usage.reported_cost_usd is None and (cost := exchange.headers.get(_COST_HEADER)) is not None:
        judged = msgspec.structs.replace(judged, usage=with_cost(judged.usage, cost))
    headers = as_json(exchange.raw_headers, rewritten=bool(checked.lenient))
    return CompleteResponse(headers, checked.body, judged, lenient=checked.lenient)


async def _open(
    request: AttemptRequest, exchange: Exchange, record: Attempt, started: float, begins_by: float, deadline: float
) -> AttemptResult:
    """Read a stream until its first real content (or its end), so that every failure before can still switch."""
    loop = asyncio.get_running_loop()
    begun = b""
    declared = exchange.headers.get("content-type", "").lower()
    if "event-stream" not in declared:
        exchange.bound_reads(begins_by)
        try:
            begun = await _beginning(exchange)
        except TransportFailure as failure:
            if failure.signal is TransportSignal.TIMEOUT and begins_by < deadline and loop.time() < deadline:
                return failures.NO_CONTENT.failure()
            raise
        first = begun.lstrip()
        if not first or first.startswith(_NO_EVENTS):
            exchange.bound_reads(deadline)
            return await _not_a_stream(request, exchange, begun)
    accumulator = StreamAccumulator(request.api, request.limits.answer) if request.keep_content else None
    validator = StreamValidator(
        request.api,
        hide_usage=request.hide_usage,
        choices=request.choices,
        accepts=request.accepts,
        accumulator=accumulator,
    )
    flow = UpstreamStream(exchange, validator, request.limits.event, request.on_bytes, begun)
    silent_until = begins_by
    limit = request.limits.answer if request.hold_all else request.limits.event
    held: list[bytes] = []
    size = 0
    while True:
        exchange.bound_reads(silent_until, request.latest)
        piece = await _next(request, flow, deadline)
        if piece.failure is not None:
            AttemptFields.model_answered(record, model_name(validator.model))
            return piece.failure
        held.append(piece.data)
        size += len(piece.data)
        if validator.committed and record.first_content_ms is None:
            AttemptFields.first_content_ms(record, (loop.time() - started) * 1000)
        commits = validator.committed and not request.hold_all
        if size > limit and not commits:
            return validator.broken(TransportSignal.TOO_LARGE)
        if piece.ended or commits:
            return StreamStarted(as_stream(exchange.raw_headers), flow, b"".join(held), piece.ended)
        if piece.alive:
            silent_until = min(deadline, loop.time() + _longest_silence(request, committed=validator.committed))


def _longest_silence(request: AttemptRequest, *, committed: bool) -> float:
    """How long a stream that has shown a sign of life may be silent while another route could still be asked.

    One that is held back to its end may have ``committed``, and is not left as easily as one that has said nothing.
    """
    declared = request.upstream.route.stall
    if declared is not None or request.first_token is None:
        return math.inf if declared is None else declared
    return max(request.first_token, HELD_SILENCE) if committed else request.first_token


async def _next(request: AttemptRequest, flow: UpstreamStream, deadline: float) -> Chunk:
    try:
        return await flow.next_piece()
    except TransportFailure as failure:
        if asyncio.get_running_loop().time() >= deadline:
            return Chunk(failure=_unsent(request, failure))
        return Chunk(failure=flow.validator.stalled())


async def _beginning(exchange: Exchange) -> bytes:
    """What a body begins with, as far as its first character that is no space."""
    begun = b""
    while not begun.strip():
        data = await exchange.read_some()
        if not data:
            break
        begun = data if begun.isspace() and len(begun) > _MOST_SPACE else begun + data
    return begun


async def _not_a_stream(request: AttemptRequest, exchange: Exchange, begun: bytes) -> Failure:
    """A stream was asked for and JSON or a page came: an error inside a 200, or what the app could not read."""
    body = begun + await exchange.read(request.limits.answer)
    judged = from_answer(request.api, body, exchange.headers.get("content-type"))
    return judged if isinstance(judged, Failure) else failures.NOT_JSON.failure(http_status=200)
