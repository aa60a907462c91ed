"""aiohttp: where a connection is taken from the pool, made, written to and read from."""

from __future__ import annotations

from typing import Final

from lanewise._compat.parts import Library, Part

__all__ = ["AIOHTTP"]

AIOHTTP: Final = Library(
    "aiohttp",
    ("3.14.4", "3.14.5"),
    (
        Part("aiohttp:BaseConnector.__init__", uses=("_conns", "_acquired", "_closed")),
        Part("aiohttp:BaseConnector.connect", takes=("req", "traces", "timeout"), uses=("_get", "_create_connection")),
        Part("aiohttp:BaseConnector._get", takes=("key", "traces")),
        Part("aiohttp:TCPConnector._create_connection", takes=("req", "traces", "timeout")),
        Part("aiohttp:ClientRequest.write_bytes", takes=("writer", "conn", "content_length")),
        Part("aiohttp:ClientRequest.send", uses=("write_bytes",)),
        Part("aiohttp:StreamReader.__init__", uses=("_buffer",)),
        Part("aiohttp:StreamReader._read_nowait", takes=("n",)),
        Part("aiohttp.client_proto:ResponseHandler.should_close"),
    ),
)
