"""The openai SDK: the methods that its requests pass through, and what its clients keep."""

from __future__ import annotations

from typing import Final

from lanewise._compat.parts import Library, Part

__all__ = ["OPENAI"]

_BASE: Final = "openai._base_client"
OPENAI: Final = Library(
    "openai",
    ("3.30", "3.57"),
    (
        Part(f"{_BASE}:get_platform"),
        Part(f"{_BASE}:BaseClient.__init__", uses=("_platform",)),
        Part(f"{_BASE}:BaseClient._prepare_url", takes=("url",)),
        Part(f"{_BASE}:BaseClient._build_request", uses=("_prepare_url", "build_request")),
        Part(f"{_BASE}:AsyncAPIClient._prepare_request", takes=("request",)),
        Part(f"{_BASE}:AsyncAPIClient.request", uses=("_prepare_request", "_platform")),
        Part(f"{_BASE}:SyncAPIClient._prepare_request", takes=("request",)),
        Part(f"{_BASE}:SyncAPIClient.request", uses=("_prepare_request",)),
        Part("openai:AsyncOpenAI.copy", takes=("http_client",)),
        Part("openai:OpenAI.copy", takes=("http_client",)),
    ),
)
