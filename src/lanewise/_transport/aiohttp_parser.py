"""aiohttp's response parser, with a second try for heads that it refuses and other HTTP libraries take.

``ResponseHandler._parser`` is not public: ``set_response_params`` makes it anew for each response.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from lanewise._transport.response_head import is_within_head, mended

if TYPE_CHECKING:
    from aiohttp.http_parser import HttpParser, RawResponseMessage

__all__ = ["LenientResponseHandler", "was_mended"]

_LONGEST_HEAD: Final = 256 * 1024


class LenientResponseHandler(ResponseHandler):
    """As aiohttp's own, but for the head of a response, which is mended if it must be."""

    mended = False
    """Whether the head of the latest response was."""

    def set_response_params(self, **params: Any) -> None:
        """As aiohttp has it, for each response."""
        self.mended = False
        super().set_response_params(**params)
        self._parser = _HeadParser(self, self._parser, params)  # type: ignore[assignment]

    def resume_reading(self, resume_parser: bool = True) -> None:
        """As aiohttp's own, which is called at each piece of a body and parses anew, also if nothing was paused."""
        if self._reading_paused or self._buffer_paused:
            super().resume_reading(resume_parser)

    def parse_anew(self, params: dict[str, Any], data: bytes) -> _Fed:
        """Read a response from its beginning, by a parser that has seen nothing yet."""
        self.mended = True
        super().set_response_params(**params)
        assert self._parser is not None
        return self._parser.feed_data(data)


def was_mended(transport: asyncio.Transport | None) -> bool:
    """Whether the head of the response that came over a connection was mended."""
    return transport is not None and getattr(transport.get_protocol(), "mended", False)


_Fed = tuple[Sequence[Any], bool, bytes]


class _HeadParser:
    """Stands before aiohttp's parser until the head is read."""

    def __init__(
        self,
        handler: LenientResponseHandler,
        parser: HttpParser[RawResponseMessage] | None,
        params: dict[str, Any],
    ) -> None:
        assert parser is not None
        self._handler = handler
        self._parser = parser
        self._params = params
        self._received = b""
        self._refused: HttpProcessingError | None = None
        """Why the parser takes no more of a head whose end has not come yet."""

    def feed_data(self, data: bytes) -> _Fed:
        received = self._received = self._received + data if self._received else data
        if self._refused is not None:
            return self._mended(received, self._refused)
        try:
            fed = self._parser.feed_data(data)
        except HttpProcessingError as refused:
            return self._mended(received, refused)
        for message, _ in fed[0]:
            if message.code >= 200:
                self._handler._parser = self._parser
                return fed
        if len(received) > _LONGEST_HEAD:
            raise LineTooLong(b"...", _LONGEST_HEAD)
        return fed

    def _mended(self, received: bytes, refused: HttpProcessingError) -> _Fed:
        """The response read anew with a head that says one thing, once all of its head is there."""
        again = mended(received)
        if again is not None:
            return self._handler.parse_anew(self._params, again)
        if not is_within_head(received):
            raise refused
        self._refused = refused
        return (), False, b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)
