"""``python -m benchmarks.endpoint_upstream PORT``: a provider that costs next to nothing, behind the gateways.

It knows three models: ``whole`` answers at once, ``stream`` sends a hundred chunks as fast as they are taken, and
``paced`` sends them 10 ms apart. What it sends is made once.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import Final, cast

import uvloop

__all__ = ["main"]

_ANSWER: Final = "The customer was charged twice for October and asks for the second payment back. " * 4
_USAGE: Final = {"prompt_tokens": 100, "completion_tokens": 200, "total_tokens": 300}
_GAP: Final = 0.01
_LENGTH: Final = re.compile(rb"content-length: *([0-9]+)", re.IGNORECASE)


def _whole() -> bytes:
    message = {"role": "assistant", "content": _ANSWER}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    body = json.dumps(
        {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "whole", "choices": [choice]}
        | {"usage": _USAGE}
    ).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _event(content: object) -> bytes:
    data = content if isinstance(content, str) else json.dumps(content, separators=(",", ":"))
    event = f"data: {data}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(event), event)


def _chunk(delta: dict[str, str], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
    shared = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "stream"}
    return _event({**shared, "choices": [choice]})


_WHOLE: Final = _whole()
_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_CHUNKS: Final = (
    *(_chunk({"role": "assistant", "content": f"word {number} "}) for number in range(100)),
    _chunk({}, "stop") + _event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "stream",
                                 "choices": [], "usage": _USAGE}) + _event("[DONE]") + b"0\r\n\r\n",
)  # fmt: skip


class _Provider(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._received = b""
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n") + 4
        length = _LENGTH.search(self._received, 0, end)
        if end < 4 or length is None or len(self._received) < end + int(length[1]):
            return
        body, self._received = self._received[end:], b""
        if b'"whole"' in body:
            self._transport.write(_WHOLE)
        else:
            self._task = asyncio.ensure_future(self._send_stream(_GAP if b'"paced"' in body else 0))

    async def _send_stream(self, gap: float) -> None:
        self._transport.write(_HEAD)
        for chunk in _CHUNKS:
            self._transport.write(chunk)
            await asyncio.sleep(gap)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Provider, "127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    """Serve until the process is ended."""
    uvloop.run(_serve(int(sys.argv[1])))


if __name__ == "__main__":
    main()
