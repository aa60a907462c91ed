"""Odd but harmless HTTP around a good answer: what the plain SDK takes, the app gets; and no foreign error leaves."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from typing import Any

import httpx2
import openai
import pytest

from lanewise import Outcome, Router, RoutingError
from lanewise._openai.streams.stream_validator import StreamValidator
from lanewise.testing import Raw
from router.driving import FORMS, MESSAGES, PROMPT, STREAMS, WHOLE, Form, Stage, ask, config

pytestmark = pytest.mark.anyio

ANSWER = json.dumps({
    "id": "c", "object": "chat.completion", "created": 1, "model": "model-one",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
}).encode()  # fmt: skip
CHUNK = {"id": "c", "object": "chat.completion.chunk", "model": "model-one"}
EVENTS = b"".join(
    b"data: " + json.dumps({**CHUNK, **fields}).encode() + b"\n\n"
    for fields in (
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hel"}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {"content": "lo"}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    )
) + b"data: [DONE]\n\n"  # fmt: skip


def answer(
    form: Form, *fields: bytes, status: bytes = b"HTTP/1.1 200 OK", length: bool = True, body: bytes = b""
) -> Raw:
    """A good answer in the form, with these header fields beside the usual ones."""
    body = body or (EVENTS if form.stream else ANSWER)
    typed = b"Content-Type: " + (b"text/event-stream" if form.stream else b"application/json")
    usual = [typed, b"Connection: close", *([b"Content-Length: %d" % len(body)] if length else [])]
    return Raw(b"\r\n".join([status, *usual, *fields]) + b"\r\n\r\n" + body)


async def all_are_answered(stage: Stage, form: Form, raws: Mapping[Any, Raw], **options: Any) -> None:
    async with Router.from_mapping(config(stage), **options) as router:
        for name, raw in raws.items():
            stage.first.script_all(raw)
            got = await ask(router, form, "alone")
            assert got.error is None, (name, got.error)
            assert got.text == "Hello", name
            assert got.call.outcome is Outcome.ANSWERED, name
            assert len(got.call.attempts) == 1, f"{name}: an answer is paid once"


HEADERS = {
    "latin-1": b"X-Region: Z\xfcrich",
    "utf-8": "X-Region: Zürich".encode(),
    "neither": b"X-Region: \xff\xfe\x80",
    "ratelimit": b"x-ratelimit-remaining-requests: \xe9",
    "retry-after": b"Retry-After: \xe9",
    "cookie": b"Set-Cookie: a=\xe9",
    "long": b"X-Long: " + b"a" * 80_000,
    "many": b"\r\n".join(b"X-H%d: v" % number for number in range(300)),
}


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("handed", [False, True], ids=["own", "handed"])
async def test_headers_are_bytes(form: Form, handed: bool, stage: Stage) -> None:
    """A header that is no ASCII, long ones and many: the app gets the answer, and the header as it came."""
    options = {"http_client": httpx2.AsyncClient} if handed else {}
    await all_are_answered(stage, form, {name: answer(form, HEADERS[name]) for name in HEADERS}, **options)


@pytest.mark.parametrize("value", [b"r\xe9q-1", "réq-1".encode(), b"", b"  ", b"a\r\nx-request-id: b"])
async def test_a_reply_is_known_by_its_request_id_as_the_sdk_reads_it(value: bytes, stage: Stage) -> None:
    """Also where it is no ASCII, comes twice or says nothing."""
    stage.first.script_all(answer(WHOLE[0], b"x-request-id: " + value))
    async with Router.from_mapping(config(stage)) as router:
        scope = router.scope()
        reply = await scope.async_openai.chat.completions.create(model="alone", messages=MESSAGES)
        assert reply._request_id
        assert scope.call_for(reply) is scope.calls[-1]


async def test_the_app_gets_the_bytes_that_came(stage: Stage) -> None:
    """As the plain SDK would show them."""
    stage.first.script_all(answer(WHOLE[0], b"X-Region: Z\xfcrich"))
    async with Router.from_mapping(config(stage)) as router:
        raw = await router.scope().async_openai.chat.completions.with_raw_response.create(
            model="alone", messages=MESSAGES
        )
    assert (b"X-Region", b"Z\xfcrich") in raw.headers.raw


HEADS = {
    "201": b"HTTP/1.1 201 Created",
    "202": b"HTTP/1.1 202 Accepted",
    "206": b"HTTP/1.1 206 Partial Content",
    "299": b"HTTP/1.1 299 Whatever",
    "no reason": b"HTTP/1.1 200",
    "HTTP/1.2": b"HTTP/1.2 200 OK",
    "HTTP/1.0": b"HTTP/1.0 200 OK",
    "early hints": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK",
}


@pytest.mark.parametrize("form", FORMS, ids=str)
async def test_any_2xx_with_an_answer_in_it_is_an_answer(form: Form, stage: Stage) -> None:
    """Whatever its number, and however its line is written."""
    await all_are_answered(stage, form, {name: answer(form, status=HEADS[name]) for name in HEADS})


async def test_a_status_goes_to_the_app(stage: Stage) -> None:
    """201 stays 201."""
    stage.first.script_all(answer(WHOLE[0], status=b"HTTP/1.1 201 Created"))
    async with Router.from_mapping(config(stage)) as router:
        raw = await router.scope().async_openai.chat.completions.with_raw_response.create(
            model="alone", messages=MESSAGES
        )
    assert raw.status_code == 201


@pytest.mark.parametrize("form", FORMS, ids=str)
async def test_a_2xx_without_an_answer_is_none(form: Form, stage: Stage) -> None:
    """204, and a 202 that only says that something was begun."""
    stage.first.script_all(Raw(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"))
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form)
        assert got.routes == ["first", "second"]
        assert got.call.attempts[0].failure is not None


@pytest.mark.parametrize("form", FORMS, ids=str)
async def test_a_length_that_is_said_oddly_is_the_length(form: Form, stage: Stage) -> None:
    """Twice the same, as a list of the same, beside a chunked body, and a body with something after its end."""
    body = EVENTS if form.stream else ANSWER
    size = b"%d" % len(body)
    raws = {
        "twice": answer(form, b"Content-Length: " + size),
        "as a list": answer(form, b"Content-Length: " + size + b", " + size, length=False),
        "beside chunks": answer(
            form, b"Transfer-Encoding: chunked", body=b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
        ),
        "with more after it": answer(form, b"Content-Length: " + size, length=False, body=body + b"\nmore"),
    }
    await all_are_answered(stage, form, raws)


@pytest.mark.parametrize("form", FORMS, ids=str)
async def test_two_lengths_are_none(form: Form, stage: Stage) -> None:
    """Nobody knows where such a body ends."""
    stage.first.script_all(answer(form, b"Content-Length: 5"))
    async with Router.from_mapping(config(stage)) as router:
        assert (await ask(router, form)).routes[-1] == "second"


ENCODINGS: dict[bytes, Any] = {
    b"none": bytes, b"identity": bytes, b"utf-8": bytes, b"br": bytes, b"aws-chunked": bytes, b"gzip": bytes,
    b"deflate": bytes, b"gzip, identity": gzip.compress, b"identity,gzip": gzip.compress,
    b"gzip, gzip": lambda body: gzip.compress(gzip.compress(body)), b"x-gzip": gzip.compress,
    b"gzip ": lambda body: gzip.compress(body)[:-8],
}  # fmt: skip
"""What the header says, and how the body comes: ``bytes`` is as it is, the last lacks its check sum."""


@pytest.mark.parametrize("form", FORMS, ids=str)
async def test_an_encoding_that_is_none_is_passed_over(form: Form, stage: Stage) -> None:
    """Names that nobody knows, several of them, and a body that is not what they say."""
    plain = EVENTS if form.stream else ANSWER
    raws = {
        name: answer(form, b"Content-Encoding: " + name, body=encoded(plain)) for name, encoded in ENCODINGS.items()
    }
    await all_are_answered(stage, form, raws)


class Strange(Exception):
    """What nobody foresaw."""


@pytest.mark.parametrize("form", FORMS, ids=str)
async def test_what_nobody_foresaw_is_a_routing_error(
    form: Form, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no route is left; and the call has failed, not been answered."""

    def broken(*_: Any, **__: Any) -> Any:
        raise Strange(PROMPT)

    monkeypatch.setattr("lanewise._runtime.call.runner.reply_headers", broken)
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form, "alone")
    assert isinstance(got.error, RoutingError)
    assert isinstance(got.error, openai.APIError)
    assert PROMPT not in str(got.error)
    assert got.call.outcome is Outcome.FAILED


@pytest.mark.parametrize("form", STREAMS, ids=str)
async def test_what_nobody_foresaw_breaks_a_stream(form: Form, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its first content it is a StreamBroken like others."""
    feed = StreamValidator.feed

    def broken(validator: StreamValidator, *args: Any) -> Any:
        if validator.committed:
            raise Strange(PROMPT)
        return feed(validator, *args)

    monkeypatch.setattr(StreamValidator, "feed", broken)
    async with Router.from_mapping(config(stage)) as router:
        got = await ask(router, form, "alone")
    assert isinstance(got.error, RoutingError)
    assert PROMPT not in str(got.error)
    assert got.call.outcome is Outcome.FAILED
