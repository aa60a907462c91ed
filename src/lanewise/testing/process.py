"""A fake provider in a process of its own, for benchmarks and demonstrations: it takes none of the caller's time."""

from __future__ import annotations

import http.client
import subprocess
import sys
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import msgspec

from lanewise.testing.control import Counts, ScriptOrder, to_json
from lanewise.testing.scripts import Scripted

__all__ = ["FakeProviderProcess"]

_PATIENCE = 10.0


class FakeProviderProcess:
    """Starts ``python -m lanewise.testing`` and controls it over HTTP. It ends with this process at the latest.

    It can be stopped and started again, on the same port; its scripts are then forgotten.

    Example::

        with FakeProviderProcess() as provider:
            provider.script("gpt-5.5", Cycle((Answer(), Status(429))))
            ...
            provider.counts().by_model["gpt-5.5"]
    """

    def __init__(self, port: int = 0) -> None:
        self._port = port
        self._process: subprocess.Popen[str] | None = None
        self.base_url = ""

    def start(self) -> None:
        """Returns once it accepts connections.

        Raises:
            OSError: it did not start, because the port is taken perhaps. Its stderr says more.
        """
        command = [sys.executable, "-m", "lanewise.testing", "--port", str(self._port), "--until-stdin-closes"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        base_url = process.stdout.readline().strip()
        self._process = process
        if not base_url:
            self.stop()
            raise OSError("the fake provider did not start")
        self.base_url = base_url
        self._port = urlsplit(base_url).port or 0

    def stop(self) -> None:
        """Ends the process, and returns once it is gone."""
        process, self._process = self._process, None
        if process is None:
            return
        # Its stdin closes with the pipes, and that ends it.
        with process:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def script(self, model: str, *behaviours: Scripted) -> None:
        """What to do with requests for a model: one behaviour a request, the last one repeats.

        Raises:
            TypeError: a callable: it can't be sent to another process.
            ValueError: the provider refused the script.
        """
        self._script(model, behaviours)

    def script_all(self, *behaviours: Scripted) -> None:
        """What to do with requests for a model that has no script of its own; raises as :meth:`script`."""
        self._script(None, behaviours)

    def reset(self) -> None:
        """Forgets scripts, quotas and counts."""
        self._ask("POST", "/_fake/reset")

    def counts(self) -> Counts:
        """What it has counted so far. The connection that asks is counted too."""
        return msgspec.json.decode(self._ask("GET", "/_fake/journal"), type=Counts)

    def _script(self, model: str | None, behaviours: tuple[Scripted, ...]) -> None:
        order = ScriptOrder([to_json(behaviour) for behaviour in behaviours], model)
        self._ask("POST", "/_fake/script", msgspec.json.encode(order))

    def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_PATIENCE)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status != 200:
            raise ValueError(answer.decode())
        return answer
