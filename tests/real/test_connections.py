"""Connections that die or that never close, under TLS as in life: the app gets its answer, and nothing hangs."""

from __future__ import annotations

import time
from collections.abc import Callable

import anyio
import pytest

from lanewise import FailureKind, Router
from lanewise._runtime.call.attempts import attempt
from lanewise.testing import Answer, Behaviour, Close, FakeProvider, Raw, Reset, Silence, StreamOf
from real.pair import FIRST, pair
from router.driving import FORMS, Form, Got, ask, waits_of

pytestmark = pytest.mark.anyio

MakeRouter = Callable[[dict[str, object]], Router]
forms = pytest.mark.parametrize("form", FORMS, ids=str)
waiting = pytest.mark.parametrize("form", [Form("async"), Form("sync", stream=True)], ids=str)
"""For tests that wait for a timeout: two forms show what four would."""
streams = pytest.mark.parametrize("form", [form for form in FORMS if form.stream], ids=str)

ENDLESS_ERROR = (
    b'HTTP/1.1 529 Busy\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"error": {"code": "'
)
ENDLESS_ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"choices": [{"index": 0, "mess'


def kinds(got: Got) -> list[FailureKind | None]:
    return [each.failure for each in got.call.attempts]


async def closed(provider: FakeProvider) -> None:
    await anyio.to_thread.run_sync(provider.wait_until, lambda: provider.open_connections == 0, 1.0)


# -- a kept connection that died ---------------------------------------------------------------------------------------


@forms
async def test_a_connection_closed_while_idle_is_replaced_unseen(
    make_router: MakeRouter, secure: FakeProvider, fake_provider: FakeProvider, form: Form
) -> None:
    """The provider lets an idle connection go: the next call has one attempt, on a fresh connection."""
    async with make_router(pair(secure.base_url, fake_provider, timeout="30s", deadline="60s")) as router:
        assert (await ask(router, form)).routes == ["first"]
        secure.drop_connections()
        await closed(secure)
        await anyio.sleep(0.02)  # for the router's loop to see it
        got = await ask(router, form)
    assert (got.error, kinds(got), got.routes) == (None, [None], ["first"])
    assert [received.connection for received in secure.journal] == [1, 2]


@forms
@pytest.mark.parametrize("death", [Close(), Reset()], ids=["closed", "reset"])
async def test_a_connection_that_dies_under_the_next_request_is_replaced_on_the_same_route(
    make_router: MakeRouter, secure: FakeProvider, fake_provider: FakeProvider, form: Form, death: Behaviour
) -> None:
    """The request crosses with the close: it goes again at once, under the same key, and only the record tells."""
    answer: Behaviour = StreamOf() if form.stream else Answer("Hello.")
    secure.script(FIRST, answer, death, answer)
    async with make_router(pair(secure.base_url, fake_provider, timeout="30s", deadline="60s")) as router:
        assert (await ask(router, form)).routes == ["first"]
        got = await ask(router, form)
    assert (got.error, got.routes) == (None, ["first", "first"])
    assert kinds(got) == [FailureKind.UNREACHABLE, None]
    assert [received.connection for received in secure.journal] == [1, 1, 2]
    keys = [received.headers["idempotency-key"] for received in secure.journal]
    assert keys[1] == keys[2]
    assert waits_of(got.call) == []  # no back-off
    assert fake_provider.request_count == 0


@waiting
async def test_a_connection_that_died_without_a_word_is_left_for_the_next_route(
    make_router: MakeRouter, secure: FakeProvider, fake_provider: FakeProvider, form: Form
) -> None:
    """Nothing comes over it any more, not even a close: the next route answers, and nobody is sent that way again."""
    answer: Behaviour = StreamOf() if form.stream else Answer("Hello.")
    secure.script(FIRST, answer, Silence(deaf=True), answer)
    async with make_router(pair(secure.base_url, fake_provider, timeout="1500ms")) as router:
        got = [await ask(router, form) for _ in range(3)]
    assert [each.error for each in got] == [None, None, None]
    assert [each.routes for each in got] == [["first"], ["first", "second"], ["first"]]
    assert kinds(got[1]) == [FailureKind.TIMEOUT, None]
    assert [received.connection for received in secure.journal] == [1, 1, 2]


# -- a peer that never closes ------------------------------------------------------------------------------------------


@forms
async def test_a_whole_answer_does_not_wait_for_the_close_that_was_announced(
    make_router: MakeRouter, secure: FakeProvider, fake_provider: FakeProvider, form: Form
) -> None:
    """``Connection: close``, and then the peer leaves it open: we close."""
    body = (
        b'data: {"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
        if form.stream
        else b'{"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}'
    )
    kind = b"text/event-stream" if form.stream else b"application/json"
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (kind, len(body))
    secure.script(FIRST, Raw(head + body, keep=True))
    async with make_router(pair(secure.base_url, fake_provider, timeout="30s", deadline="60s")) as router:
        began = time.monotonic()
        got = await ask(router, form)
        took = time.monotonic() - began
        assert (got.error, got.text, got.routes) == (None, "Hi", ["first"])
        assert took < 15
        await closed(secure)


@waiting
async def test_an_answer_whose_end_would_be_the_close_times_out(
    make_router: MakeRouter, secure: FakeProvider, fake_provider: FakeProvider, form: Form
) -> None:
    """Nobody can know whether more is to come, so the route has its timeout and no more."""
    secure.script(FIRST, Raw(ENDLESS_ANSWER, keep=True))
    async with make_router(pair(secure.base_url, fake_provider, timeout="1500ms")) as router:
        got = await ask(router, form)
        assert (got.error, got.routes) == (None, ["first", "second"])
        assert kinds(got) == [FailureKind.TIMEOUT, None]
        await closed(secure)


@forms
async def test_an_errors_body_is_not_waited_for_in_full(
    make_router: MakeRouter,
    secure: FakeProvider,
    fake_provider: FakeProvider,
    monkeypatch: pytest.MonkeyPatch,
    form: Form,
) -> None:
    """The status alone speaks when the body does not come: the next route answers long before the route's timeout."""
    monkeypatch.setattr(attempt, "ERROR_BODY_WAIT", 0.1)
    secure.script(FIRST, Raw(ENDLESS_ERROR, keep=True))
    async with make_router(pair(secure.base_url, fake_provider, timeout="30s", deadline="60s")) as router:
        began = time.monotonic()
        got = await ask(router, form)
        took = time.monotonic() - began
        assert (got.error, got.routes) == (None, ["first", "second"])
        assert kinds(got) == [FailureKind.OUTAGE, None]
        assert took < 15
        await closed(secure)


@streams
async def test_a_stream_ends_with_its_last_event(
    make_router: MakeRouter, secure: FakeProvider, fake_provider: FakeProvider, form: Form
) -> None:
    """``[DONE]`` has come, the end of the response never does: the app's loop ends, and the connection is closed."""
    secure.script(FIRST, StreamOf(never_ends=True))
    async with make_router(pair(secure.base_url, fake_provider, timeout="30s", deadline="60s")) as router:
        began = time.monotonic()
        got = await ask(router, form)
        took = time.monotonic() - began
        assert (got.error, got.text, got.routes) == (None, "Hello from the stream", ["first"])
        assert took < 15
        await closed(secure)


@waiting
async def test_closing_the_router_does_not_wait_for_a_deaf_peer(
    make_router: MakeRouter, secure: FakeProvider, fake_provider: FakeProvider, form: Form
) -> None:
    """A peer that never says farewell, with a kept connection beside it, holds nothing up."""
    secure.script(FIRST, Answer("Hello."), Silence(deaf=True))
    async with make_router(pair(secure.base_url, fake_provider, timeout="1500ms")) as router:
        await ask(router, Form(form.client))
        assert (await ask(router, form)).routes == ["first", "second"]
        began = time.monotonic()
    assert time.monotonic() - began < 15
