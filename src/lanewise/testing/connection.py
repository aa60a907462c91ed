"""One connection to a fake provider: reads requests, and performs the steps of their answers on the socket."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from typing import Protocol

from lanewise.testing.behaviours import Behaviour
from lanewise.testing.journal import Journal, Received, ReceivedHeaders
from lanewise.testing.rendering import render
from lanewise.testing.requests import BadRequest, Request, RequestReader
from lanewise.testing.steps import Finish, Hang, Pause, Rendering, Repeat, Step

__all__ = ["Connection", "Stage"]

_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
# A peer that has the whole answer finds it finished in the journal: what the kernel takes at once is entered before it
# is written. What is larger is finished once the kernel has taken it.
_SURELY_TAKEN = 64 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Stage(Protocol):
    """What a connection needs to know of its provider."""

    journal: Journal
    connections: set[Connection]

    def at_accept(self) -> Finish | None:
        """How to end a connection before anything was read from it, if at all."""

    def control(self, request: Request) -> Behaviour | None:
        """What to do with a request that is about the provider itself, if it is one. It is not in the journal."""

    def answer(self, received: Received) -> Rendering:
        """What to do with any other request."""


class Connection(asyncio.Protocol):
    """Answers one request after the other, in order."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._reader = RequestReader()
        self._number = 0
        self._answering: Received | None = None
        self._performance: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        # With next to no buffer, "writable" means that all was handed to the kernel. (0 would block a TLS transport.)
        transport.set_write_buffer_limits(high=1)
        self._stage.connections.add(self)
        self._number = self._stage.journal.connected()
        finish = self._stage.at_accept()
        if finish is not None:
            self._finish(finish)

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        self._advance()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stage.connections.discard(self)
        if self._performance is not None:
            self._performance.cancel()
        self._end_answer(client_gone=True)
        self._stage.journal.disconnected()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def abort(self) -> None:
        """Drops the connection, whatever is under way."""
        self._finish(Finish("reset"))

    def _advance(self) -> None:
        """Answers what has arrived, as long as answers are immediate."""
        while self._performance is None and not self._transport.is_closing():
            try:
                request = self._reader.next()
            except BadRequest:
                self._transport.write(_BAD_REQUEST)
                self._transport.close()
                return
            if request is None:
                if self._reader.wants_continue():
                    self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                return
            self._begin(self._rendering(request), request.keep_alive)

    def _rendering(self, request: Request) -> Rendering:
        received = Received(
            at=time.monotonic(),
            number=self._stage.journal.next_number(),
            connection=self._number,
            method=request.method,
            target=request.target,
            headers=ReceivedHeaders(request.headers),
            body=request.body,
        )
        controlled = self._stage.control(request)
        if controlled is not None:
            return render(controlled, received)
        self._stage.journal.add(received)
        self._answering = received
        return self._stage.answer(received)

    def _begin(self, rendering: Rendering, keep_alive: bool) -> None:
        steps = rendering.steps if keep_alive else (*rendering.steps, Finish("close"))
        data = [step for step in steps if isinstance(step, bytes)]
        if rendering.delay or len(data) != len(steps):
            self._performance = asyncio.create_task(self._perform(rendering, steps))
            return
        whole = b"".join((rendering.head, *data))
        if len(whole) <= _SURELY_TAKEN:
            self._end_answer(client_gone=False)
        self._transport.write(whole)
        if self._transport.get_write_buffer_size():
            self._performance = asyncio.create_task(self._perform(Rendering(b""), ()))
            return
        self._end_answer(client_gone=False)

    async def _perform(self, rendering: Rendering, steps: tuple[Step, ...]) -> None:
        if rendering.delay:
            await asyncio.sleep(rendering.delay)
        pieces = (rendering.head, *steps)
        last = _last_bytes(pieces)
        for index, step in enumerate(pieces):
            if index == last:
                self._end_answer(client_gone=False)
            await self._take(step)
            if self._transport.is_closing():
                return
        await self._writable.wait()
        self._performance = None
        self._end_answer(client_gone=False)
        self._advance()

    async def _take(self, step: Step) -> None:
        match step:
            case bytes():
                if step:
                    self._transport.write(step)
                    await self._writable.wait()
            case Pause():
                await asyncio.sleep(step.seconds)
            case Hang():
                if step.deaf:
                    self._transport.pause_reading()
                await asyncio.get_running_loop().create_future()
            case Repeat():
                while True:
                    await asyncio.sleep(step.every)
                    self._transport.write(step.data)
                    await self._writable.wait()
            case Finish():
                self._finish(step)

    def _finish(self, finish: Finish) -> None:
        self._end_answer(client_gone=False)
        if finish.how == "close":
            self._transport.close()
            return
        kernel_socket = self._transport.get_extra_info("socket")
        if kernel_socket is not None:
            kernel_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()

    def _end_answer(self, *, client_gone: bool) -> None:
        received, self._answering = self._answering, None
        if received is not None:
            self._stage.journal.finish(received, client_gone=client_gone)


def _last_bytes(steps: tuple[Step, ...]) -> int | None:
    """Where the answer is complete: its last bytes, if they are few and it does not hang after them."""
    for index in range(len(steps) - 1, -1, -1):
        step = steps[index]
        if isinstance(step, bytes):
            return index if len(step) <= _SURELY_TAKEN else None
        if isinstance(step, Hang | Repeat):
            return None
    return None
