"""What a server must not spoil, each as a check over real HTTP: a column of the table in ``docs/servers.md``."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import IncompleteRead

from integrations.asgi_stage import FIRST_TEXT, SECOND_TEXT, Stage
from lanewise.testing import Answer, FakeProvider, Silence, Status, StreamOf
from servers.running import Running

__all__ = ["BEHAVIOURS", "Check", "Unnoticed"]

ID = "req-2026-000042"
CUT = StreamOf(chunks=("one", " two", " three"), cut_after=2, interval=0.05)
STALLED = StreamOf(chunks=["piece "] * 3, stall_after=2)
FLOWING = StreamOf(chunks=["piece "] * 2000, interval=0.01)
NOTICED: float = 15
"""Seconds that a hang-up may take to reach the provider on a busy machine. It takes a tenth of a second."""


class Unnoticed(AssertionError):
    """The caller had gone, and the call upstream went on."""


@dataclass(frozen=True)
class Check:
    """What a server must not spoil: a column of the table."""

    heading: str
    try_it: Callable[[Running, Stage, float], None]
    quiet: bool = False
    """Whether the server's log must have no word of it above INFO."""
    hang_up: bool = False
    """Whether it is about a caller who leaves, of which some servers tell nothing."""

    def run(self, server: Running, stage: Stage, patience: float = NOTICED) -> None:
        """Try it. Raises AssertionError: the server spoils it; Unnoticed: after ``patience`` seconds a call went on."""
        self.try_it(server, stage, patience)


def _ids(server: Running, stage: Stage, _: float) -> None:
    with server.get("/summary", {"X-Request-ID": ID}) as answer:
        assert (answer.status, answer.read().decode()) == (200, FIRST_TEXT)
        assert answer.headers.get_all("x-request-id") == [ID]
    assert stage.first.journal[0].headers["idempotency-key"].startswith(f"{ID}-")
    with server.get("/in_thread", {"X-Request-ID": "odd id\t"}) as answer:
        assert answer.status == 200
        [fresh] = answer.headers.get_all("x-request-id") or []
    assert stage.first.journal[1].headers["idempotency-key"].startswith(f"{fresh}-")
    with server.get("/plain", {"X-Request-ID": ID}) as answer:
        assert answer.headers.get_all("x-request-id") == [ID]


def _switches(server: Running, stage: Stage, _: float) -> None:
    stage.first.script_all(Status(500))
    assert [server.text(path) for path in ("/summary", "/in_thread", "/own_scope")] == [SECOND_TEXT] * 3


def _fails_closed(server: Running, stage: Stage, _: float) -> None:
    stage.first.script_all(Status(500))
    with server.get("/refund") as answer:
        assert (answer.status, answer.headers["content-type"]) == (503, "application/problem+json")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["retry-after"] is not None
        assert len(answer.read()) == int(answer.headers["content-length"])
    assert stage.second.journal == []


def _answers_with_problems(server: Running, stage: Stage, _: float) -> None:
    stage.first.script_all(Status(400))
    for path in ("/summary", "/streamed", "/events"):
        with server.get(path, {"X-Request-ID": ID}) as answer:
            assert (answer.status, answer.headers.get_all("content-type")) == (422, ["application/problem+json"]), path
            assert answer.headers.get_all("x-request-id") == [ID]
            assert ID.encode() in answer.read()


def _breaks(server: Running, stage: Stage, _: float) -> None:
    stage.first.script_all(CUT)
    for path in ("/streamed", "/events"):
        with server.get(path) as answer:
            assert answer.status == 200
            try:
                whole = answer.read()
            except (IncompleteRead, ConnectionError):
                continue
            raise AssertionError(f"a broken stream of {path} looked whole: {whole!r}")


def _flows(server: Running, stage: Stage, _: float) -> None:
    stage.first.script_all(StreamOf(stall_after=2, stall_for=2))
    with server.get("/streamed") as answer:
        piece = answer.read(1)
        assert stage.first.in_flight == 1, "the first piece came only when all was there"
        assert piece + answer.read() == b"Hello from the stream"


def _ends_calls(server: Running, stage: Stage, patience: float, *paths: str) -> None:
    for path in paths:
        stage.first.reset()
        stage.first.script_all(Silence())
        caller = server.send(path)
        stage.first.wait_for(1, 45)
        time.sleep(0.1)
        caller.close()
        _is_noticed(stage.first, path, patience)


def _ends_streams(server: Running, stage: Stage, patience: float) -> None:
    for path, behaviour in (("/streamed", STALLED), ("/events", STALLED), ("/streamed", FLOWING)):
        stage.first.reset()
        stage.first.script_all(behaviour)
        with server.get(path) as answer:
            assert b"p" in answer.read(7)
        _is_noticed(stage.first, path, patience)


def _is_noticed(provider: FakeProvider, path: str, patience: float) -> None:
    try:
        provider.wait_until(lambda: provider.journal[0].client_gone is True, patience)
    except TimeoutError:
        raise Unnoticed(path) from None


def _stops(server: Running, stage: Stage, _: float) -> None:
    before = len(server.log)
    stage.first.script_all(Answer(delay=1))
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(server.text, "/summary")
        stage.first.wait_for(1, 45)
        server.terminate()
        assert answer.result(20) == FIRST_TEXT
    assert not [word for word in ("Traceback", "Unclosed", "ResourceWarning") if word in server.log[before:]], (
        server.log
    )


def _ends_own(server: Running, stage: Stage, patience: float) -> None:
    _ends_calls(server, stage, patience, "/own_scope")


def _ends_plain(server: Running, stage: Stage, patience: float) -> None:
    _ends_calls(server, stage, patience, "/summary", "/in_thread", "/refund")


BEHAVIOURS = {
    "ids": Check("ids", _ids, quiet=True),
    "switches": Check("switches", _switches),
    "fails closed": Check("fails closed", _fails_closed),
    "problems": Check("problems", _answers_with_problems),
    "broken streams": Check("broken streams", _breaks),
    "streams flow": Check("streams flow", _flows),
    "calls": Check("calls", _ends_plain, quiet=True, hang_up=True),
    "own scopes": Check("own scopes", _ends_own, quiet=True, hang_up=True),
    "streams": Check("streams", _ends_streams, quiet=True, hang_up=True),
    "SIGTERM": Check("SIGTERM", _stops),
}
