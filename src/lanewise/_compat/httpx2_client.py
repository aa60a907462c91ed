"""httpx2: where a client keeps its transports, whose connections are closed while the client stays open."""

from __future__ import annotations

from typing import Final

from lanewise._compat.parts import Library, Part

__all__ = ["HTTPX2"]

HTTPX2: Final = Library(
    "httpx2", ("2.12", "2.16.2"), (Part("httpx2:AsyncClient.__init__", uses=("_transport", "_mounts")),)
)
