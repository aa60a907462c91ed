"""What the fake provider remembers of the requests and connections that it had."""

from __future__ import annotations

import contextlib
import socket
from contextlib import closing

import anyio.to_thread
import openai
import pytest

from lanewise.testing import Answer, Asked, Behaviour, FakeProvider, Silence, Status, StreamOf
from lanewise.testing.journal import Journal, Received, ReceivedHeaders

from .conftest import chat_request


def test_a_request_is_kept_as_it_came(fake_provider: FakeProvider, client: openai.OpenAI) -> None:
    """Method, path, query, headers, body, model, and that its answer was taken."""
    client.chat.completions.create(
        model="m", messages=[], temperature=0.2, extra_query={"api-version": "1"}, extra_headers={"X-Twice": "a"}
    )
    (received,) = fake_provider.journal
    assert (received.method, received.path, received.query) == ("POST", "/v1/chat/completions", {"api-version": "1"})
    assert (received.asked, received.model, received.stream) == (Asked.CHAT, "m", False)
    assert received.json["temperature"] == 0.2
    assert received.headers["authorization"] == "Bearer k"
    assert (received.headers.get("x-twice"), "x-none" in received.headers) == ("a", False)
    assert received.client_gone is False
    assert received.finished_at is not None
    assert received.finished_at >= received.at
    assert received.behaviour == Answer()


def test_headers_keep_order_case_and_repetitions() -> None:
    """And are found without regard to case."""
    headers = ReceivedHeaders([("X-A", "1"), ("x-a", "2"), ("B", "3")])
    assert (headers.all("x-A"), list(headers), len(headers)) == (["1", "2"], ["X-A", "x-a", "B"], 3)
    with pytest.raises(KeyError):
        headers["c"]


def test_a_repr_has_no_header_and_no_body(fake_provider: FakeProvider, client: openai.OpenAI) -> None:
    """Keys and prompts don't get into a failing test's log."""
    client.chat.completions.create(model="m", messages=[{"role": "user", "content": "my secret"}])
    shown = repr(fake_provider.journal)
    assert "secret" not in shown
    assert "Bearer" not in shown
    assert repr(fake_provider.journal[0].headers).endswith("headers>")


def test_a_kept_connection_has_one_number(fake_provider: FakeProvider, client: openai.OpenAI) -> None:
    """So a test can tell whether a connection was reused."""
    for _ in range(3):
        client.chat.completions.create(model="m", messages=[])
    assert [received.connection for received in fake_provider.requests("m")] == [1, 1, 1]
    assert (fake_provider.connections, fake_provider.open_connections) == (1, 1)
    client.close()
    fake_provider.wait_until(lambda: fake_provider.open_connections == 0)


@pytest.mark.parametrize("answer", [Answer(), Answer(delay=0.001), Status(500), StreamOf(interval=0.001)])
def test_an_answer_is_finished_once_the_client_has_it(
    fake_provider: FakeProvider, client: openai.OpenAI, answer: Behaviour
) -> None:
    """A test may look into the journal as soon as its call has returned."""
    fake_provider.script("m", answer)
    for _ in range(30):
        with contextlib.suppress(openai.InternalServerError):
            list(client.chat.completions.create(model="m", messages=[], stream=True))
        assert (fake_provider.in_flight, fake_provider.journal[-1].client_gone) == (0, False)


@pytest.mark.anyio
async def test_a_peer_that_goes_is_noticed(fake_provider: FakeProvider) -> None:
    """A cancelled request shows as in flight, then as gone."""
    fake_provider.script("m", Silence())
    async with (
        openai.AsyncOpenAI(base_url=fake_provider.base_url, api_key="k", max_retries=0) as client,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(lambda: client.chat.completions.create(model="m", messages=[]))
        await anyio.to_thread.run_sync(fake_provider.wait_for, 1)
        assert (fake_provider.in_flight, fake_provider.journal[0].client_gone) == (1, None)
        tasks.cancel_scope.cancel()
    await anyio.to_thread.run_sync(fake_provider.wait_until, lambda: fake_provider.in_flight == 0)
    assert fake_provider.journal[0].client_gone is True


def test_a_peer_that_takes_nothing_of_a_large_answer_is_noticed(fake_provider: FakeProvider) -> None:
    """What is still to be sent when the peer goes was not an answer."""
    fake_provider.script("m", Answer("x" * 20_000_000))
    with closing(socket.create_connection(("127.0.0.1", fake_provider.port))) as raw:
        raw.sendall(chat_request())
        raw.recv(1000)
    fake_provider.wait_until(lambda: fake_provider.in_flight == 0)
    assert fake_provider.journal[0].client_gone is True


def test_waiting_for_what_does_not_come_is_a_timeout(fake_provider: FakeProvider) -> None:
    """The message says what there was instead."""
    with pytest.raises(TimeoutError, match="0 requests, 0 in flight, 0 connections"):
        fake_provider.wait_for(1, timeout=0.01)


def test_only_the_latest_requests_are_kept() -> None:
    """The counts go on."""
    journal = Journal(limit=10)
    for _ in range(95):
        number = journal.next_number()
        received = Received(number, number, 1, "GET", "/v1/models", ReceivedHeaders([]), b"")
        journal.add(received)
        journal.finish(received, client_gone=False)
    assert journal.count == 95
    assert 10 <= len(journal.entries) < 20
    assert journal.entries[-1].number == 95
