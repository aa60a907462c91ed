"""One attempt: a request goes out on a route, and comes back as an answer, an opened stream or a failure."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import msgspec

from lanewise._failures import failure_table as failures
from lanewise._failures.classification import from_status, from_transport
from lanewise._failures.error_body import model_name
from lanewise._failures.sent_request import of_attempt
from lanewise._failures.signals import TransportFailure, TransportSignal
from lanewise._openai.choices import Gathered
from lanewise._openai.response_check import Answer, check_answer, from_answer
from lanewise._openai.stream_validator import StreamJudge
from lanewise._openai.usage_entries import with_cost
from lanewise._runtime.call.reply_headers import as_json, as_stream
from lanewise._runtime.call.upstream_stream import Flow, Piece
from lanewise._runtime.upstreams import KeyUnavailable, Way
from lanewise._transport import Exchange, Headers, Target, Transport
from lanewise._transport.loop_lag import LoopLag
from lanewise.types import Api, Attempt, Failure, FailureKind, note

__all__ = ["Job", "Limits", "Opened", "Whole", "run"]

_NAMES: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
CONNECT_TIMEOUT: Final = 10.0
"""Seconds for name, TCP and TLS together; a route's own timeout may be shorter."""
_COST_HEADER: Final = "x-litellm-response-cost"
"""In which LiteLLM's proxy says what an answer cost, in US dollars."""
ERROR_BODY: Final = 256 * 1024
"""Bytes of an error's body that are read."""
_FIELDS: Final = (b"data", b"event", b"id", b"retry", b":", b"\xef\xbb\xbf")
"""What a stream of events begins with."""
_NO_EVENTS: Final = (b"{", b"[", b"<")
"""How JSON and pages begin, and no event: what a body calls itself does not make it one."""
_MOST_SPACE: Final = 64 * 1024
ERROR_BODY_WAIT: Final = 2.0
"""Seconds for which an error's body is waited for once the status has come: the next route could answer by then."""

HELD_SILENCE: Final = 60.0
"""Seconds of silence within a stream that is held back to its end: models that reason are silent for long."""


class Limits(msgspec.Struct, frozen=True):
    """Caps in decoded bytes."""

    answer: int
    embeddings: int
    event: int


class Job(msgspec.Struct, frozen=True):
    """Everything that one attempt needs. ``timeout`` and ``first_token`` are in seconds, ``latest`` is the call's
    deadline by the loop's clock; without a ``first_token`` no other route could be used, and a stream may be silent
    for as long.
    """

    transport: Transport
    way: Way
    api: Api
    target: Target
    headers: Headers
    body: bytes
    stream: bool
    hide_usage: bool
    hold_all: bool
    choices: int
    bound: bool
    fresh: bool
    timeout: float
    latest: float
    first_token: float | None
    limits: Limits
    lag: LoopLag
    heard: Callable[[], None]
    """Is told of bytes of the answer."""
    has_attachments: Callable[[], bool]
    """Whether pictures, sound or files go out, which a server may have no eyes or ears for."""
    first_byte: float | None = None
    """Seconds for the answer to begin, where it is the probe of a route that hung."""
    accepts: Callable[[str], bool] | None = None
    """Whether a model may answer, where not each may."""
    gather: bool = False
    """Keep what a stream says: it will be checked."""
    added: tuple[str, ...] = ()
    """What the app did not write and the request holds."""

    def __repr__(self) -> str:
        return f"Job({self.way.route.name})"


class Whole(msgspec.Struct, frozen=True):
    """An answer that has come whole."""

    headers: list[tuple[bytes, bytes]]
    body: bytes
    answer: Answer
    status: int = 200
    lenient: tuple[str, ...] = ()
    """What was odd in it and was let pass."""


class Opened(msgspec.Struct, frozen=True):
    """A stream that has begun to answer: ``held`` is what came so far, ``ended`` whether that is all."""

    headers: list[tuple[bytes, bytes]]
    flow: Flow
    held: bytes
    ended: bool
    status: int = 200


async def run(job: Job, record: Attempt) -> Whole | Opened | Failure:
    """Make the attempt, and write its times and its status into ``record``."""
    job.lag.enter()
    try:
        result = await _exchange(job, record)
    finally:
        job.lag.leave()
    if isinstance(result, Failure):
        return of_attempt(result, added=job.added, has_attachments=job.has_attachments)
    return result


async def _exchange(job: Job, record: Attempt) -> Whole | Opened | Failure:
    loop = asyncio.get_running_loop()
    started = loop.time()
    deadline = started + job.timeout
    begins_by = deadline if job.first_token is None or not job.stream else min(deadline, started + job.first_token)
    status_by = begins_by if job.first_byte is None else min(begins_by, started + job.first_byte)
    try:
        headers = (*job.headers, *await job.way.key_headers(deadline))
        exchange = await job.transport.send(
            job.target,
            headers,
            job.body,
            stream=job.stream,
            deadline=status_by,
            connect_timeout=min(CONNECT_TIMEOUT, job.timeout),
            latest=job.latest,
            fresh=job.fresh,
        )
    except KeyUnavailable as reason:
        return failures.KEY_UNAVAILABLE.failure(cause=str(reason))
    except TransportFailure as failure:
        if failure.signal is TransportSignal.TIMEOUT and status_by < deadline:
            return failures.NO_CONTENT.failure()
        return _unsent(job, failure)
    exchange.bound_reads(deadline, job.latest)
    job.heard()
    note(record, "first_byte_ms", (loop.time() - started) * 1000)
    note(record, "http_status", exchange.status)
    opened = False
    try:
        if not 200 <= exchange.status <= 299:
            return await _refused(job, exchange, deadline)
        if not job.stream:
            result: Whole | Opened | Failure = await _whole(job, exchange)
        else:
            result = await _open(job, exchange, record, started, begins_by, deadline)
            opened = isinstance(result, Opened)
        return _as_answered(result, exchange, record)
    except TransportFailure as failure:
        return _unsent(job, failure)
    finally:
        if not opened:
            exchange.release()


def _unsent(job: Job, failure: TransportFailure) -> Failure:
    return from_transport(
        failure.signal,
        cause=failure.detail,
        trouble=failure.trouble,
        half_of_normal_timeout=job.timeout * 2 >= job.way.route.timeout,
    )


async def _refused(job: Job, exchange: Exchange, deadline: float) -> Failure:
    exchange.bound_reads(min(deadline, asyncio.get_running_loop().time() + ERROR_BODY_WAIT), job.latest)
    try:
        body = await exchange.read(ERROR_BODY)
    except TransportFailure:
        body = b""  # the status alone speaks
    return from_status(
        exchange.status,
        exchange.headers,
        body,
        now=datetime.now(UTC),
        bound=job.bound,
        model=job.way.route.model,
        sent=lambda: _NAMES.decode(job.body),
    )


def _as_answered(result: Whole | Opened | Failure, exchange: Exchange, record: Attempt) -> Whole | Opened | Failure:
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
    odd = exchange.lenient + (result.flow.judge.lenient if isinstance(result, Opened) else result.lenient)
    if (b"event-stream" if isinstance(result, Opened) else b"json") not in _content_type(exchange):
        odd += ("content_type",)
    if exchange.status == 200:
        if odd:
            note(record, "lenient", odd)
        return result
    note(record, "lenient", (*odd, "status"))
    return msgspec.structs.replace(result, status=exchange.status)


def _content_type(exchange: Exchange) -> bytes:
    return next((value.lower() for name, value in exchange.raw_headers if name.lower() == b"content-type"), b"")


async def _whole(job: Job, exchange: Exchange) -> Whole | Failure:
    limit = job.limits.embeddings if job.api is Api.EMBEDDINGS else job.limits.answer
    cut: TransportFailure | None = None
    try:
        body = await exchange.read(limit)
    except TransportFailure as failure:
        if not failure.partial:
            raise
        cut, body = failure, failure.partial
    checked = check_answer(job.api, body, exchange.headers.get("content-type"), sensitive=job.accepts is not None)
    judged = checked.result
    if isinstance(judged, Failure):
        return judged if cut is None else _unsent(job, cut)
    if judged.usage.reported_cost_usd is None and (cost := exchange.headers.get(_COST_HEADER)) is not None:
        judged = msgspec.structs.replace(judged, usage=with_cost(judged.usage, cost))
    headers = as_json(exchange.raw_headers, rewritten=bool(checked.lenient))
    return Whole(headers, checked.body, judged, lenient=checked.lenient)


async def _open(
    job: Job, exchange: Exchange, record: Attempt, started: float, begins_by: float, deadline: float
) -> Whole | Opened | Failure:
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
        is_page = "html" in declared and not any(first.startswith(name) or name.startswith(first) for name in _FIELDS)
        if not first or first.startswith(_NO_EVENTS) or is_page:
            exchange.bound_reads(deadline)
            return await _not_a_stream(job, exchange, begun)
    gathered = Gathered(job.api, job.limits.answer) if job.gather else None
    judge = StreamJudge(job.api, hide_usage=job.hide_usage, choices=job.choices, accepts=job.accepts, gathered=gathered)
    flow = Flow(exchange, judge, job.limits.event, job.heard, begun)
    silent_until = begins_by
    limit = job.limits.answer if job.hold_all else job.limits.event
    held: list[bytes] = []
    size = 0
    while True:
        exchange.bound_reads(silent_until, job.latest)
        piece = await _next(job, flow, deadline)
        if piece.failure is not None:
            note(record, "model_answered", model_name(judge.model))
            return piece.failure
        held.append(piece.data)
        size += len(piece.data)
        if judge.committed and record.first_content_ms is None:
            note(record, "first_content_ms", (loop.time() - started) * 1000)
        commits = judge.committed and not job.hold_all
        if size > limit and not commits:
            return judge.broken(TransportSignal.TOO_LARGE)
        if piece.ended or commits:
            return Opened(as_stream(exchange.raw_headers), flow, b"".join(held), piece.ended)
        if piece.alive:
            silent_until = min(deadline, loop.time() + _longest_silence(job, committed=judge.committed))


def _longest_silence(job: Job, *, committed: bool) -> float:
    """How long a stream that has shown a sign of life may be silent while another route could still be asked.

    One that is held back to its end may have ``committed``, and is not left as easily as one that has said nothing.
    """
    declared = job.way.route.stall
    if declared is not None or job.first_token is None:
        return math.inf if declared is None else declared
    return max(job.first_token, HELD_SILENCE) if committed else job.first_token


async def _next(job: Job, flow: Flow, deadline: float) -> Piece:
    try:
        return await flow.next_piece()
    except TransportFailure as failure:
        if asyncio.get_running_loop().time() >= deadline:
            return Piece(failure=_unsent(job, failure))
        return Piece(failure=flow.judge.stalled())


async def _beginning(exchange: Exchange) -> bytes:
    """What a body begins with, as far as its first character that is no space."""
    begun = b""
    while not begun.strip():
        data = await exchange.read_some()
        if not data:
            break
        begun = data if begun.isspace() and len(begun) > _MOST_SPACE else begun + data
    return begun


async def _not_a_stream(job: Job, exchange: Exchange, begun: bytes) -> Failure:
    """A stream was asked for and JSON or a page came: an error inside a 200, or what the app could not read."""
    body = begun + await exchange.read(job.limits.answer)
    judged = from_answer(job.api, body, exchange.headers.get("content-type"))
    return judged if isinstance(judged, Failure) else failures.NOT_JSON.failure(http_status=200)
