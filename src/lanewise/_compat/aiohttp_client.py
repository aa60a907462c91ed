"""aiohttp: where a connection is taken from the pool, made, given back, written to and read from."""

from __future__ import annotations

from typing import Final

from lanewise._compat.parts import Library, Part

__all__ = ["AIOHTTP"]

AIOHTTP: Final = Library(
    "aiohttp",
    ("3.14.4", "3.14.5"),
    (
        Part("aiohttp:BaseConnector.__init__", uses=("_conns", "_acquired", "_closed", "_factory", "_loop")),
        Part("aiohttp:BaseConnector.connect", takes=("req", "traces", "timeout"), uses=("_get", "_create_connection")),
        Part("aiohttp:BaseConnector._get", takes=("key", "traces")),
        Part("aiohttp:BaseConnector._release", takes=("key", "protocol", "should_close")),
        Part("aiohttp.connector:Connection.release", uses=("_release",)),
        Part("aiohttp:TCPConnector._create_connection", takes=("req", "traces", "timeout")),
        Part("aiohttp:TCPConnector._create_direct_connection", uses=("_factory",)),
        Part("aiohttp:TCPConnector._create_proxy_connection", uses=("_factory",)),
        Part("aiohttp:TCPConnector._start_tls_connection", uses=("_factory",)),
        Part("aiohttp:ClientRequest.write_bytes", takes=("writer", "conn", "content_length")),
        Part("aiohttp:ClientRequest.send", uses=("write_bytes",)),
        Part("aiohttp:ClientRequest.__init__", takes=("method", "url", "loop", "ssl")),
        Part("aiohttp:ClientRequest.connection_key"),
        Part("aiohttp:StreamReader.__init__", uses=("_buffer",)),
        Part("aiohttp:StreamReader._read_nowait", takes=("n",)),
        Part("aiohttp:StreamReader._wait", takes=("func_name",)),
        Part("aiohttp:StreamReader.on_eof", takes=("callback",)),
        Part("aiohttp.client_proto:ResponseHandler.should_close"),
        Part(
            "aiohttp.client_proto:ResponseHandler.set_response_params",
            takes=("read_until_eof", "auto_decompress", "max_line_size", "max_field_size", "max_headers"),
            uses=("_parser",),
        ),
        Part("aiohttp.client_proto:ResponseHandler.read"),
        Part("aiohttp.base_protocol:BaseProtocol.__init__", uses=("_reading_paused", "_buffer_paused")),
        Part("aiohttp.client_proto:ResponseHandler.resume_reading", takes=("resume_parser",)),
        Part("aiohttp.client_proto:ResponseHandler.data_received", uses=("_parser", "feed_data")),
    ),
)
