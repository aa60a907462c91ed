"""What goes into the engine and what comes out: one SDK request without its HTTP library, and its reply."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from lanewise._openai.request_body import RequestBody
from lanewise.types import Api, Call, LaneName

__all__ = [
    "API_OF_PATH",
    "Caller",
    "RoutedRequest",
    "RoutedResponse",
    "Stream",
]

API_OF_PATH = {
    "chat/completions": Api.CHAT,
    "responses": Api.RESPONSES,
    "embeddings": Api.EMBEDDINGS,
}
"""The paths that are routed, below the base URL."""


class RoutedRequest(msgspec.Struct, frozen=True):
    """A request as the SDK made it. ``headers`` are only those that may go upstream; ``timeout`` is in seconds.

    ``on_break`` is what the call asks for a stream that breaks, as it wrote it. ``helper`` says that one of the SDK's
    own helpers reads the stream.
    """

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    timeout: float | None = None
    on_break: str | None = None
    helper: bool = False
    parsed: RequestBody | None = None
    """The body, where whoever asks has read it already."""

    def __repr__(self) -> str:
        return f"RoutedRequest({self.method} {self.path})"


class Stream(Protocol):
    """A committed stream on its way to the app."""

    async def read(self) -> bytes:
        """The next piece, ``b""`` at the end. Raises StreamBroken."""
        ...

    async def rest(self, seconds: float) -> None:
        """Let what comes gather for a while, to be read at once; not at the end, where nothing comes any more."""
        ...

    async def aclose(self) -> None:
        """Close the upstream exchange now. Idempotent."""
        ...

    def drop(self) -> None:
        """Close the exchange soon, when the app let go of the stream without closing it. From any thread."""
        ...


class RoutedResponse(msgspec.Struct, frozen=True):
    """A routed answer: its body whole, or as a stream. What a provider writes in its headers need not be text."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    stream: Stream | None = None

    def __repr__(self) -> str:
        return f"RoutedResponse({self.status})"


class Caller(Protocol):
    """Who makes a call: what the engine needs to know of the scopes that it is made in."""

    @property
    def request_id(self) -> str: ...

    @property
    def subject(self) -> str | None: ...

    @property
    def client(self) -> str | None: ...

    @property
    def named(self) -> str | None: ...

    @property
    def labels(self) -> Mapping[str, str]: ...

    @property
    def review(self) -> bytes | None: ...

    @property
    def start(self) -> LaneName | None: ...

    @property
    def forwarded(self) -> tuple[tuple[str, str], ...]: ...

    @property
    def sensitive(self) -> frozenset[str]: ...

    @property
    def refusal(self) -> str | None: ...

    def add_running(self, hang_up: Callable[[], None]) -> None: ...

    def remove_running(self, hang_up: Callable[[], None]) -> None: ...

    def add_call(self, call: Call) -> None: ...

    def close_under(self, categories: frozenset[str]) -> None: ...

    def still_allowed(self, call: Call) -> bool: ...

    def answered(self, reply_id: str, call: Call) -> None: ...

    def ordinal(self, digest: bytes) -> int: ...
