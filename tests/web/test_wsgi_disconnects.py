"""A caller's hang-up as a WSGI server's environ shows it: by the socket, behind bytes, through TLS, by a function."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextvars import copy_context
from typing import Any

import pytest

from lanewise import Router
from lanewise.scope import current_scope, state_of
from lanewise.testing import Answer, FakeProvider, SlowHeaders
from lanewise.web import Inbound
from lanewise.web.wsgi_core import WsgiCore
from lanewise.web.wsgi_disconnects import WsgiDisconnectWatcher, caller_left_error, disconnect_probe

pytestmark = pytest.mark.anyio


def probe_of(environ: dict[str, object]) -> Callable[[], bool]:
    probe = disconnect_probe(environ)
    assert probe is not None
    return probe


@pytest.mark.parametrize("name", ["gunicorn.socket", "werkzeug.socket"])
def test_a_closed_connection_is_seen_also_behind_bytes(name: str) -> None:
    """Of a next request on the same connection, say; and none of them is taken away."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        probe = probe_of({name: ours})
        assert not probe()
        theirs.sendall(b"GET / HTTP/1.1\r\n")
        assert not probe()
        theirs.close()
        assert probe()
        assert ours.recv(100) == b"GET / HTTP/1.1\r\n"


def test_a_connection_that_the_server_has_closed_tells_nothing() -> None:
    """Its number may be another connection's by now."""
    ours, theirs = socket.socketpair()
    probe = probe_of({"gunicorn.socket": ours})
    ours.close()
    theirs.close()
    assert not probe()


def test_a_closed_connection_is_seen_through_tls() -> None:
    """An encrypted socket can't be peeked at."""
    ours, theirs = socket.socketpair()
    with (
        theirs,
        ssl.create_default_context().wrap_socket(
            ours, do_handshake_on_connect=False, server_hostname="test"
        ) as wrapped,
    ):
        probe = probe_of({"gunicorn.socket": wrapped})
        assert not probe()
        theirs.close()
        assert probe()


def test_waitress_is_asked_and_what_leaves_nothing_is_not() -> None:
    """Any other server's environ has nothing to go by."""
    left = False
    probe = probe_of({"waitress.client_disconnected": lambda: left})
    assert not probe()
    left = True
    assert probe()
    assert disconnect_probe({"wsgi.version": (1, 0), "gunicorn.socket": "no socket"}) is None
    assert isinstance(caller_left_error({}), BrokenPipeError)


async def test_it_looks_only_while_a_call_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """And begins again with the next one; what the connection does after the answer is the server's business."""
    router = Router.from_mapping(
        {
            "providers": {"one": {"base_url": "http://127.0.0.1:9/v1"}},
            "routes": {"first": {"provider": "one", "model": "m"}},
            "tasks": {"t": {"primary": "first"}},
        }
    )
    looks = 0
    due: list[Callable[[], object]] = []

    def call_later(seconds: float, function: Callable[..., object], *args: object) -> None:
        due.append(lambda: function(*args))

    def time_passes() -> None:
        while due:
            due.pop(0)()

    def probe() -> bool:
        nonlocal looks
        looks += 1
        return looks > 2

    monkeypatch.setattr(asyncio.get_running_loop(), "call_later", call_later)
    with router.scope() as scope:
        watcher = WsgiDisconnectWatcher(scope, probe)
        state_of(scope).on_busy = watcher.watch
        ended: list[str] = []

        def hang_up() -> None:
            ended.append("call")

        state_of(scope).add_running(hang_up)
        state_of(scope).remove_running(hang_up)
        time_passes()
        assert looks == 0
        state_of(scope).add_running(hang_up)
        time_passes()
        assert (looks, ended, watcher.left) == (3, ["call"], True)
        watcher.stop()
        state_of(scope).add_running(hang_up)
        time_passes()
        assert looks == 3


@pytest.mark.parametrize("body", [[b"done"], [b"do", b"ne"], [b"", b"done"], []], ids=str)
@pytest.mark.parametrize("generated", [False, True])
def test_a_caller_that_has_its_whole_answer_may_go(body: list[bytes], generated: bool) -> None:
    """What runs behind the answer goes on, however late the server is in closing the body."""
    outcomes: list[object] = []
    with FakeProvider() as provider, _router_over(provider) as router:
        provider.script_all(SlowHeaders(0.5, then=Answer("Hello")))

        def call() -> None:
            client: Any = current_scope().openai
            try:
                outcomes.append(client.chat.completions.create(model="t", messages=[]).choices[0].message.content)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is shown
                outcomes.append(error)

        def pieces(start_response: Any) -> Iterator[bytes]:
            start_response("200 OK", [("Content-Length", str(len(b"".join(body))))])
            yield from body

        def app(environ: Any, start_response: Any) -> Any:
            background.append(threading.Thread(target=copy_context().run, args=(call,)))
            background[0].start()
            provider.wait_for(1, 30)
            return pieces(start_response) if generated else list(pieces(start_response))

        background: list[threading.Thread] = []
        ours, theirs = socket.socketpair()
        with ours, theirs:
            scope = Inbound(router).scope(path="/")
            answer: Any = WsgiCore(Inbound(router), lambda error, environ: pytest.fail(str(error))).serve(
                app, {"werkzeug.socket": ours}, scope, lambda status, headers, exc_info=None: lambda data: None
            )
            if body:
                received = b""
                while len(received) < 4:
                    received += next(answer)
            else:
                assert list(answer) == []
            theirs.close()
            background[0].join(30)
            answer.close()
    assert outcomes == ["Hello"]


def _router_over(provider: FakeProvider) -> Router:
    return Router.from_mapping(
        {
            "providers": {"one": {"base_url": provider.base_url}},
            "routes": {"first": {"provider": "one", "model": "m"}},
            "tasks": {"t": {"primary": "first"}},
        }
    )
