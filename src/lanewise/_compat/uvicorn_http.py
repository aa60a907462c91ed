"""uvicorn: what its protocol over httptools does at a connection, a head, a body and an end."""

from __future__ import annotations

from typing import Final

from lanewise._compat.parts import Library, Part

__all__ = ["UVICORN"]

UVICORN: Final = Library(
    "uvicorn",
    ("0.37", "0.54"),
    (
        Part(
            "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol.__init__",
            takes=("config", "server_state", "app_state"),
            uses=("loop", "transport", "scope", "headers", "cycle"),
        ),
        Part(
            "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol.connection_made",
            takes=("transport",),
            uses=("transport",),
        ),
        Part("uvicorn.protocols.http.httptools_impl:HttpToolsProtocol.connection_lost", takes=("exc",)),
        Part(
            "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol.data_received",
            takes=("data",),
            uses=("parser", "feed_data"),
        ),
        Part("uvicorn.protocols.http.httptools_impl:HttpToolsProtocol.on_message_begin", uses=("headers", "scope")),
        Part("uvicorn.protocols.http.httptools_impl:HttpToolsProtocol.on_header", uses=("headers",)),
        Part(
            "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol.on_headers_complete",
            uses=("scope", "cycle", "response_complete"),
        ),
        Part("uvicorn.protocols.http.httptools_impl:HttpToolsProtocol.on_body", takes=("body",), uses=("cycle",)),
        Part("uvicorn.protocols.http.httptools_impl:HttpToolsProtocol.on_message_complete", uses=("cycle",)),
        Part("uvicorn.protocols.http.httptools_impl:HttpToolsProtocol.on_response_complete", uses=("transport",)),
        Part("uvicorn.protocols.http.httptools_impl:RequestResponseCycle.send", uses=("on_response",)),
    ),
)
