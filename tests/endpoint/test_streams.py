"""Streams through the endpoint: the first piece at once, what comes fast together, and what breaks as broken."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import closing, suppress
from itertools import pairwise
from typing import Any

import httpx2
import pytest

from endpoint.stage import MESSAGES, WAYS, Caller, Stage, mounted
from lanewise.scope import Scope
from lanewise.testing import Silence, StreamOf
from lanewise.types import Api
from lanewise.web.openai_endpoint import asgi_endpoint


class Pieces:
    """A stream whose pieces come at these times, by a clock that runs only while it is waited for."""

    def __init__(self, times: list[float]) -> None:
        self.now = 100.0
        self.rests: list[float] = []
        self._times = times

    async def read(self) -> bytes:
        if not self._times:
            return b""
        self.now = max(self.now, 100.0 + self._times.pop(0))
        piece = b"x"
        while self._times and 100.0 + self._times[0] <= self.now:
            piece += b"x"
            del self._times[0]
        return piece

    async def rest(self, seconds: float) -> None:
        self.rests.append(seconds)
        self.now += seconds

    async def aclose(self) -> None: ...

    def drop(self) -> None: ...


def sent_of(stream: Pieces, monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, int]]:
    """When how much of a stream goes out, in milliseconds."""
    sent: list[tuple[float, int]] = []

    async def send(message: Any) -> None:
        sent.append((round((stream.now - 100.0) * 1000, 3), len(message["body"])))

    monkeypatch.setattr(asgi_endpoint, "perf_counter", lambda: stream.now)
    request: Any = object.__new__(asgi_endpoint._Request)
    request._send = send
    scope: Any = object.__new__(Scope)
    assert asyncio.run(request._send_stream(stream, scope, Api.CHAT)) == b""
    return sent


def test_what_comes_fast_goes_on_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the first piece, some 2 ms of it at a time: nothing waits longer than that."""
    sent = sent_of(Pieces([number / 10_000 for number in range(100)]), monkeypatch)
    assert sum(size for _, size in sent) == 100
    assert sent[0] == (0.0, 1)
    assert len(sent) < 8
    assert all(after - before < 2.2 for (before, _), (after, _) in pairwise(sent))


def test_what_comes_slowly_goes_on_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a model writes: each piece for itself, when it comes, and nobody rests but after the first."""
    stream = Pieces([number / 100 for number in range(20)])
    assert sent_of(stream, monkeypatch) == [(number * 10.0, 1) for number in range(20)]
    assert stream.rests == [asgi_endpoint._BURST]


@pytest.mark.parametrize("way", ["starlette", "alone"])
def test_the_end_of_the_server_breaks_what_has_not_ended_by_then(stage: Stage, way: str) -> None:
    """A stream ends with an error event, a call that was not answered yet with a 503 that may be tried again."""
    stage.first.script_all(StreamOf(chunks=["word"], stall_after=1))
    stage.second.script_all(Silence())
    answers: dict[int, str] = {}

    def ask(url: str, model: str, *, stream: bool) -> None:
        body = {"model": model, "messages": MESSAGES, "stream": stream}
        with closing(Caller(url)) as caller, caller.http.stream("POST", "chat/completions", json=body) as answer:
            answers[answer.status_code] = ""
            with suppress(httpx2.RemoteProtocolError):  # in an app nothing ends that was taken away
                for text in answer.iter_text():
                    answers[answer.status_code] += text

    with mounted(way, stage.router()) as endpoint:
        streaming = threading.Thread(target=ask, args=(endpoint.base_url, "alone"), kwargs={"stream": True})
        waiting = threading.Thread(target=ask, args=(endpoint.base_url, "backup"), kwargs={"stream": False})
        for thread in (streaming, waiting):
            thread.start()
        stage.first.wait_for(1)
        stage.second.wait_for(1)
    for thread in (streaming, waiting):
        thread.join()
    assert json.loads(answers[503])["error"]["code"] == "unavailable"
    assert "[DONE]" not in answers[200]
    assert json.loads(answers[200].rpartition("data: ")[2])["error"]["code"] == "stream_broken"


@pytest.mark.parametrize("way", WAYS)
def test_a_fast_stream_is_whole(stage: Stage, way: str) -> None:
    """Nothing is lost or turned round on the way, whoever serves it, and the next call may follow on the connection."""
    words = [f"{number} " for number in range(400)]
    stage.first.script_all(StreamOf(chunks=words))
    with mounted(way, stage.router()) as endpoint:
        for _ in range(3):
            answer = endpoint.post(stream=True)
            assert answer.text.endswith("data: [DONE]\n\n")
            places = [answer.text.find(f'"{word}"') for word in words]
            assert places == sorted(places)
            assert min(places) > 0
