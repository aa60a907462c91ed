"""The fake provider: an OpenAI-compatible server on loopback that does what its script says."""

from __future__ import annotations

import ssl as tls
from collections.abc import Callable
from types import TracebackType
from typing import Self

import msgspec

from lanewise.testing.behaviours import Behaviour, Reset, Status
from lanewise.testing.connection import Connection
from lanewise.testing.control import control
from lanewise.testing.journal import Journal, Received
from lanewise.testing.rendering import render
from lanewise.testing.requests import Request
from lanewise.testing.scripts import Resolved, Scripted, Scripts
from lanewise.testing.server import Server
from lanewise.testing.steps import Finish, Rendering

__all__ = ["FakeProvider"]

_NOT_JSON = Resolved(Status(400, {"message": "We could not parse the JSON body of your request."}), {})
_SCRIPT_RAISED = Resolved(Status(500, {"message": "The script of the fake provider raised an error."}), {})


class FakeProvider:
    """An OpenAI-compatible server on loopback that fails on request.

    It answers ``/chat/completions``, ``/responses``, ``/embeddings`` and ``/completions`` (whole and as streams) and
    ``/models``, with "Hello from <model>" unless a script says otherwise. It runs in a thread of its own, so it serves
    synchronous and asynchronous tests alike. ``port=0`` takes a free port, which it keeps when it is restarted;
    ``ssl`` is a server's context. The journal keeps the latest ``journal_limit`` requests, at least.

    Example::

        with FakeProvider() as provider:
            provider.script("gpt-5.5", Status(429, retry_after=2), Answer("Hello."))
            client = openai.OpenAI(base_url=provider.base_url, api_key="test")
            ...
            assert len(provider.requests("gpt-5.5")) == 2
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        ssl: tls.SSLContext | None = None,
        *,
        journal_limit: int = 10_000,
    ) -> None:
        self._host = host
        self._scheme = "http" if ssl is None else "https"
        self._stage = _Stage(journal_limit)
        self._server = Server(self._stage, host, port, ssl)

    @property
    def port(self) -> int:
        """The port that it listens on; 0 before the first start if none was chosen."""
        return self._server.port

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as its ``base_url``."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{self._scheme}://{host}:{self.port}/v1"

    def start(self) -> None:
        """Listens; returns once connections are accepted. Nothing happens if it runs already.

        Raises:
            OSError: the port is taken.
        """
        if not self._server.running:
            self._server.start()

    def stop(self) -> None:
        """Resets all connections; returns once its thread and its sockets are gone.

        Raises:
            Exception: what a callable of a script raised, if one did.
        """
        self._server.stop()
        error, self._stage.error = self._stage.error, None
        if error is not None:
            raise error

    def pause(self) -> None:
        """Goes down: connections are refused, and those that there are reset. The port stays its own."""
        self._server.pause()

    def resume(self) -> None:
        """Comes back after :meth:`pause`."""
        self._server.resume()

    def restart(self) -> None:
        """Goes down and comes back at once, on the same port: every connection was reset."""
        self.pause()
        self.resume()

    def drop_connections(self) -> None:
        """Resets every connection, and goes on listening."""
        self._server.drop_connections()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def script(self, model: str, *behaviours: Scripted) -> None:
        """What to do with requests for a model: one behaviour a request, the last one repeats.

        Instead of a model's name it may be the end of a path, with its slash: ``script("/models", Status(500))``.

        Raises:
            ValueError: no behaviour was given.
            TypeError: something is neither a behaviour nor callable.
        """
        self._stage.scripts.set(model, behaviours)

    def script_all(self, *behaviours: Scripted) -> None:
        """What to do with requests for a model that has no script of its own; otherwise as :meth:`script`."""
        self._stage.scripts.set(None, behaviours)

    def reset(self) -> None:
        """Forgets scripts, quotas and journal."""
        self._stage.scripts.clear()
        self._stage.journal.clear()

    @property
    def journal(self) -> list[Received]:
        """The requests so far, in the order in which they were complete."""
        return list(self._stage.journal.entries)

    def requests(self, model: str) -> list[Received]:
        """The requests for one model."""
        return [received for received in self.journal if received.model == model]

    @property
    def request_count(self) -> int:
        """How many requests there were since the start or the last :meth:`reset`."""
        return self._stage.journal.count

    @property
    def in_flight(self) -> int:
        """How many requests are being answered now."""
        return self._stage.journal.in_flight

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        return self._stage.journal.open_connections

    @property
    def connections(self) -> int:
        """How many connections were ever made."""
        return self._stage.journal.connections

    def wait_for(self, count: int, timeout: float = 5.0) -> None:
        """Waits until so many requests have been received, at most ``timeout`` seconds.

        It blocks: in an asynchronous test, ``await anyio.to_thread.run_sync(provider.wait_for, 1)``.

        Raises:
            TimeoutError: they did not come.
        """
        self.wait_until(lambda: self.request_count >= count, timeout)

    def wait_until(self, predicate: Callable[[], bool], timeout: float = 5.0) -> None:
        """Waits until the predicate is true; it is asked whenever a request or a connection comes or goes. It blocks.

        Raises:
            TimeoutError: it did not become true within ``timeout`` seconds.

        Example::

            provider.wait_until(lambda: provider.open_connections == 0)
        """
        if not self._stage.journal.wait_until(predicate, timeout):
            raise TimeoutError(
                f"after {timeout} s: {self.request_count} requests, {self.in_flight} in flight, "
                f"{self.open_connections} connections"
            )


class _Stage:
    """What the connections know of their provider."""

    def __init__(self, journal_limit: int) -> None:
        self.scripts = Scripts()
        self.journal = Journal(journal_limit)
        self.connections: set[Connection] = set()
        self.error: Exception | None = None

    def at_accept(self) -> Finish | None:
        behaviour = self.scripts.at_accept()
        if behaviour is None:
            return None
        return Finish("reset" if isinstance(behaviour, Reset) else "close")

    def control(self, request: Request) -> Behaviour | None:
        return control(request, self.scripts, self.journal)

    def answer(self, received: Received) -> Rendering:
        resolved = self._resolved(received)
        received.behaviour = resolved.behaviour
        try:
            return render(resolved.behaviour, received, resolved.headers)
        except msgspec.DecodeError:
            return render(_NOT_JSON.behaviour, received)

    def _resolved(self, received: Received) -> Resolved:
        try:
            return self.scripts.next(received)
        except msgspec.DecodeError:
            return _NOT_JSON
        except Exception as error:  # noqa: BLE001 - a test's own callable raised: the test is told when the provider stops
            self.error = error
            return _SCRIPT_RAISED
