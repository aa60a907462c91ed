"""Odd answers of many servers over real sockets: what plain takes is taken alike, what is no answer never counts."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import anyio
import httpx2
import openai
import pydantic
import pytest

from busy_machine import LONG_ENOUGH
from lanewise import Call, Outcome, Router
from router.odd_answers import MODEL
from router.odd_wires import OddWire, bad_wire, good_wire

pytestmark = pytest.mark.anyio

MESSAGES: Any = [{"role": "user", "content": "x"}]


class Number(pydantic.BaseModel):
    """What ``.parse()`` is asked for."""

    a: int


class Server:
    """Answers each request with the bytes that it is told, piece by piece."""

    def __init__(self, listening: socket.socket) -> None:
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        self.wire = OddWire("", "", {}, [])
        self.asked = 0
        self._listening = listening

    def serve(self) -> None:
        """Take connections until the socket is closed."""
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(20)
            while self._read_request(connection):
                self.asked += 1
                wire = self.wire
                for piece in wire.pieces:
                    connection.sendall(piece)
                if not wire.stays_open:
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):
                        pass
                    return

    def _read_request(self, connection: socket.socket) -> bool:
        read = b""
        while b"\r\n\r\n" not in read:
            if not (data := connection.recv(65536)):
                return False
            read += data
        head, _, body = read.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        while len(body) < length:
            body += connection.recv(65536)
        return True


@contextmanager
def serving() -> Iterator[Server]:
    """A server on loopback."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listening:
        server = Server(listening)
        thread = threading.Thread(target=server.serve, daemon=True)
        thread.start()
        yield server
        listening.shutdown(socket.SHUT_RDWR)
    thread.join()


def mapping(server: Server) -> Any:
    """A config with one route, which is asked once, and the same for a sensitive task."""
    kinds = ("bad_response", "outage", "stream_broken", "timeout", "rate_limit", "conflict", "unreachable")
    task = {"deadline": "20s", "primary": "first", "retries": dict.fromkeys(kinds, 0)}
    return {
        "router": {"health": {"breakers": False}},
        "providers": {"p": {"base_url": server.url}},
        "routes": {"first": {"provider": "p", "model": MODEL, "api": ["chat", "responses", "embeddings"]}},
        "tasks": {"open": task, "secret": {**task, "sensitive": "payment"}},
        "sensitive": {"payment": {"routes": ["first"]}},
    }


def dumped(value: Any) -> Any:
    return value.model_dump(warnings=False) if hasattr(value, "model_dump") else value


async def asked(client: openai.AsyncOpenAI, model: str, wire: OddWire) -> Any:
    """All that the app gets, or what is raised."""
    said: dict[str, Any] = {"input": "x"} if wire.api != "chat" else {"messages": MESSAGES}
    formats = {name: Number for name in ("response_format", "text_format") if wire.options.get(name) == "model"}
    options: Any = {**wire.options, **said, **formats, "model": model}
    resources: Any = {"chat": client.chat.completions, "responses": client.responses, "embeddings": client.embeddings}
    resource = resources[wire.api]
    try:
        match wire.mode:
            case "create":
                return dumped(await resource.create(**options))
            case "parse":
                return dumped(await resource.parse(**options))
            case "raw":
                return dumped((await resource.with_raw_response.create(**options)).parse())
            case "raw stream":
                reply = (await resource.with_raw_response.create(stream=True, **options)).parse()
                return [dumped(chunk) async for chunk in reply]
            case "stream":
                return [dumped(chunk) async for chunk in await resource.create(stream=True, **options)]
        async with resource.stream(**options) as stream:
            events = [event.type async for event in stream]
            final = stream.get_final_completion() if wire.api == "chat" else stream.get_final_response()
            return [*events, dumped(await final)]
    except Exception as error:  # noqa: BLE001 - the plain SDK raises whatever its parsers raise
        return error


class Comparison:
    """Asks plain and routed for one wire after the other, and keeps what differs in a way that it must not."""

    def __init__(self, server: Server, routers: list[Router]) -> None:
        self._server = server
        self._routers = routers
        self.taken = 0
        self.differences: list[str] = []

    async def make(self, seed: int, draw: Callable[[int], OddWire]) -> None:
        """Compare the wire of a seed."""
        wire = self._server.wire = draw(seed)
        async with openai.AsyncOpenAI(base_url=self._server.url, api_key="k", max_retries=0, timeout=20) as client:
            plain = await asked(client, MODEL, wire)
        router = self._routers[seed % len(self._routers)]
        self._server.asked = 0
        routed, call = await self._routed(router, "open", wire)
        sends = self._server.asked
        secret, _ = await self._routed(router, "secret", wire)
        self.taken += not isinstance(plain, Exception)
        for wrong in _wrong(wire, plain, routed, call, sends, secret):
            told = "; ".join(wire.told)
            self.differences.append(
                f"{wrong}: {seed} {wire.api} {wire.mode} {wire.bad}: {told}\n  {plain!r:.300}\n  {routed!r:.300}"
            )

    async def _routed(self, router: Router, task: str, wire: OddWire) -> tuple[Any, Call]:
        with router.scope() as scope:
            return await asked(scope.async_openai, task, wire), scope.calls[-1]


def _wrong(wire: OddWire, plain: Any, routed: Any, call: Call, sends: int, secret: Any) -> Iterator[str]:
    is_answered = call.outcome is Outcome.ANSWERED
    fails = isinstance(routed, Exception)
    if wire.bad:
        if is_answered or not fails:
            yield "what is no answer counts"
        if fails and not isinstance(routed, openai.OpenAIError):
            yield "a foreign error leaves"
        if not isinstance(secret, Exception):
            yield "a sensitive call takes what is no answer"
        return
    if not isinstance(secret, Exception) and (fails or repr(secret) != repr(routed)):
        yield "a sensitive call takes more"
    if isinstance(plain, str):  # what the SDK can't read as an answer, and we can
        return
    if isinstance(plain, Exception):
        in_the_sdk = wire.mode in ("helper", "parse")  # which reads on what it was handed, and stumbles as plain does
        if fails and not is_answered and not in_the_sdk and not isinstance(routed, (openai.OpenAIError, type(plain))):
            yield "a foreign error leaves"
    elif fails:
        yield "a good answer is thrown away"
    elif repr(plain) != repr(routed):
        yield "another answer is delivered"
    elif not is_answered or sends != 1:
        yield f"not answered by one request, but {call.outcome} by {sends}"


async def compared(seeds: range, draw: Callable[[int], OddWire]) -> Comparison:
    with serving() as server:
        handed_in = Router.from_mapping(mapping(server), http_client=httpx2.AsyncClient)
        async with Router.from_mapping(mapping(server)) as own, handed_in:
            comparison = Comparison(server, [own, own, own, handed_in])
            for seed in seeds:
                with anyio.fail_after(LONG_ENOUGH):
                    await comparison.make(seed, draw)
    return comparison


async def test_odd_answers_are_taken_as_the_plain_sdk_takes_them() -> None:
    """Equal answers by one request, whole, streamed, by the helpers and raw; a sensitive call takes no more."""
    comparison = await compared(range(120), good_wire)
    assert comparison.differences == []
    assert comparison.taken > 90, "most must be such that the plain SDK takes them"


async def test_what_is_no_answer_never_counts() -> None:
    """Errors in the dialects of many servers, halves and ends that are none: no record says that it was answered."""
    comparison = await compared(range(120), bad_wire)
    assert comparison.differences == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("draw", [good_wire, bad_wire], ids=["good", "bad"])
@pytest.mark.parametrize("part", range(4))
async def test_odd_wires_by_the_thousand(part: int, draw: Callable[[int], OddWire]) -> None:
    """Both at scale, a thousand at a time."""
    comparison = await compared(range(1000 + 1000 * part, 2000 + 1000 * part), draw)
    assert comparison.differences == []
