"""A listening socket and the thread with an event loop that serves it."""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
import threading
from concurrent.futures import Future

from lanewise.testing.connection import Connection, Stage

__all__ = ["Server"]

_PATIENCE = 30.0
"""Seconds that the thread gets to do what it is asked; a busy machine needs some."""
_BREATH = 0.05
"""Seconds without accepting, once a process has no descriptor left."""


class Server:
    """Serves connections in a thread of its own, until it is stopped.

    The port is held from the first start until the stop, also while nobody listens on it: a second socket is bound to
    it and never listens. So a peer is refused, and no other program can take the port in between.
    """

    def __init__(self, stage: Stage, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._stage = stage
        self._host = host
        self._tls = tls
        self.port = port
        self._placeholder: socket.socket | None = None
        self._listener: socket.socket | None = None
        self._greetings: set[asyncio.Task[None]] = set()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop
        self._stopping: asyncio.Event

    @property
    def running(self) -> bool:
        """Whether its thread runs."""
        return self._thread is not None

    def start(self) -> None:
        """Listens, and returns once connections are accepted.

        Raises:
            OSError: the port is taken.
        """
        self._placeholder = self._bind()
        self.port = self._placeholder.getsockname()[1]
        ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="fake-provider", daemon=True)
        self._thread.start()
        try:
            ready.result(_PATIENCE)
            self.resume()
        except OSError:
            self.stop()
            raise

    def stop(self) -> None:
        """Resets all connections, and returns once the thread and the sockets are gone."""
        if self._thread is None:
            return
        self.pause()
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(_PATIENCE)
        self._thread = None
        if self._placeholder is not None:
            self._placeholder.close()
            self._placeholder = None

    def pause(self) -> None:
        """Refuses connections, and resets those that there are."""
        asyncio.run_coroutine_threadsafe(self._pause(), self._loop).result(_PATIENCE)

    def resume(self) -> None:
        """Accepts connections again, on the same port."""
        asyncio.run_coroutine_threadsafe(self._resume(), self._loop).result(_PATIENCE)

    def drop_connections(self) -> None:
        """Resets the connections that there are, and goes on listening."""
        asyncio.run_coroutine_threadsafe(self._drop_connections(), self._loop).result(_PATIENCE)

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((self._host, self.port))
            bound.setblocking(False)
        except OSError:
            bound.close()
            raise
        return bound

    def _run(self, ready: Future[None]) -> None:
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            runner.run(self._until_stopped(ready))

    async def _until_stopped(self, ready: Future[None]) -> None:
        self._stopping = asyncio.Event()
        ready.set_result(None)
        await self._stopping.wait()

    async def _resume(self) -> None:
        if self._listener is not None:
            return
        listener = self._bind()
        try:
            listener.listen(4096)
        except OSError:
            listener.close()
            raise
        self._listener = listener
        self._loop.add_reader(listener, self._accept, listener)

    async def _pause(self) -> None:
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        await self._drop_connections()

    async def _drop_connections(self) -> None:
        greetings, connections = set(self._greetings), set(self._stage.connections)
        for greeting in greetings:
            greeting.cancel()
        for connection in connections:
            connection.abort()
        # They go within a few turns of the loop; those who come meanwhile are none of these.
        while greetings & self._greetings or connections & self._stage.connections:  # noqa: ASYNC110
            await asyncio.sleep(0)

    def _accept(self, listener: socket.socket) -> None:
        """Take one connection at once: a wait that is cancelled may have accepted one already, which nobody closes."""
        try:
            accepted, _ = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # whoever knocked has gone
        except OSError:  # no descriptor is left: the rest wait in the backlog
            self._loop.remove_reader(listener)
            self._loop.call_later(_BREATH, self._listen_again, listener)
            return
        accepted.setblocking(False)
        greeting = self._loop.create_task(self._greet(accepted))
        self._greetings.add(greeting)
        greeting.add_done_callback(functools.partial(self._greeted, accepted))

    def _listen_again(self, listener: socket.socket) -> None:
        if listener is self._listener:
            self._loop.add_reader(listener, self._accept, listener)

    async def _greet(self, accepted: socket.socket) -> None:
        """Hands a socket to a :class:`Connection`, after the TLS handshake if there is one."""
        # asyncio does this only for sockets that were made with an explicit protocol number.
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await self._loop.connect_accepted_socket(lambda: Connection(self._stage), accepted, ssl=self._tls)

    def _greeted(self, accepted: socket.socket, greeting: asyncio.Task[None]) -> None:
        """Close what no connection has taken over, also where the task was cancelled before its first step."""
        self._greetings.discard(greeting)
        if greeting.cancelled() or isinstance(greeting.exception(), OSError):
            # The peer went away, or did not like the certificate: for a server that is no error.
            accepted.close()
