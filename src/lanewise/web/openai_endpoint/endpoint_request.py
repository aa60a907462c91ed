"""What a caller sends to the OpenAI endpoint: its head and its body, read within bounds and refused in OpenAI's shape.

A caller chooses a task and its content. Nothing in a body may name a URL, a key, a provider, a route or a header.
"""

from __future__ import annotations

import re
import zlib
from array import array
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from itertools import accumulate
from typing import Final

from lanewise._openai.json_scan import repeated_name
from lanewise._openai.request_body import BadBody, RequestBody
from lanewise.web.openai_endpoint.endpoint_answers import EndpointError

__all__ = ["LARGEST_BODY", "BodyReader", "RequestHead", "check_body", "depth_checks"]

LARGEST_BODY: Final = 32 * 1024 * 1024
"""Bytes of a request's body, decoded."""
LARGEST_HEAD: Final = 64 * 1024
MOST_HEADERS: Final = 128
DEEPEST: Final = 128
"""Levels of JSON in a body. OpenAI takes 10 of a schema."""
_TURN: Final = 1 << 16
"""Bytes that are looked at in one go: 3 ms, if all are brackets."""

MOST_FIELDS: Final = 256
"""Fields of a body. OpenAI has some 40."""
_SHOWN: Final = 100
"""Characters of a field's name that an answer repeats."""

_OF_SDKS: Final = (b"x-stainless-read-timeout", b"x-stainless-timeout")
_WAITS: Final = frozenset({*_OF_SDKS, b"x-request-timeout"})
"""Headers that say how long the caller waits."""
_FORBIDDEN: Final = frozenset(
    {
        "base_url", "api_base", "api_key", "extra_headers", "extra_query", "extra_body", "model_list", "fallbacks",
        # how others' gateways and SDKs have a caller choose the same, which an upstream of ours may be
        "api_type", "api_version", "custom_llm_provider", "default_headers", "default_query", "default_fallbacks",
        "headers", "http_client", "organization", "provider", "models", "route", "proxy", "proxies", "credentials",
        "context_window_fallbacks", "context_window_fallback_dict", "content_policy_fallbacks", "user_config",
        "websocket_base_url",
    }
)  # fmt: skip
_FORBIDDEN_BEGIN: Final = ("litellm_", "lanewise_", "aws_", "azure_", "vertex_", "watsonx_")
_AUTHORITY: Final = re.compile(r"(?P<name>[A-Za-z0-9.]+|\[[0-9A-Fa-f:.]+\])(:(?P<port>[0-9]{0,5}))?").fullmatch
_LAST_PORT: Final = 65535
_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")
_STEPS: Final = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")


class RequestHead:
    """The head of a request. ``path`` is what follows the endpoint's own place, without a slash before it."""

    __slots__ = ("_headers", "method", "path")

    def __init__(self, method: str, path: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.method = method
        self.path = path
        self._headers: dict[bytes, list[bytes]] = {}
        size = number = 0
        for name, value in headers:
            number += 1
            size += len(name) + len(value)
            self._headers.setdefault(name.lower(), []).append(value)
        if size > LARGEST_HEAD or number > MOST_HEADERS:
            raise EndpointError(431, "headers_too_large", "The headers of the request are too large")

    def __repr__(self) -> str:
        return f"<RequestHead {self.method}>"

    def values(self, name: bytes) -> list[bytes]:
        """The values of a header, as often as it came."""
        return self._headers.get(name, [])

    def only(self, name: bytes) -> str | None:
        """The value of a header that came once."""
        values = self._headers.get(name)
        return values[0].decode("latin-1").strip() if values is not None and len(values) == 1 else None

    def require_json(self) -> None:
        """Raise EndpointError unless the body says that it is JSON, which a web page can't send without asking."""
        kind = (self.only(b"content-type") or "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise EndpointError(415, "unsupported_media_type", "The request must have Content-Type: application/json")

    def require_loopback(self) -> None:
        """Raise EndpointError unless the request is meant for this machine by name, and comes from no other's page."""
        origins = [value.decode("latin-1").partition("://")[2] for value in self.values(b"origin")]
        host = self.only(b"host")
        if host is None or not _is_loopback(host) or not all(map(_is_loopback, origins)):
            raise EndpointError(403, "wrong_host", "This endpoint is open to this machine alone, by a loopback Host")

    def deadline(self) -> float | None:
        """The seconds that the caller waits for an answer. Raises EndpointError: what it says is no time."""
        if self._headers.keys().isdisjoint(_WAITS):
            return None
        waits = [wait for name in _OF_SDKS if (wait := _seconds(self.only(name))) is not None]
        if self.values(b"x-request-timeout"):
            asked = _seconds(self.only(b"x-request-timeout"))
            if asked is None:
                raise EndpointError(400, "invalid_header", "X-Request-Timeout is not a number of seconds above 0")
            waits.append(asked)
        return min(waits, default=None)


def _seconds(text: str | None) -> float | None:
    if text is None or not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) or not float(text):
        return None
    return float(text)


def _is_loopback(authority: str) -> bool:
    named = _AUTHORITY(authority)
    if named is None or int(named["port"] or 0) > _LAST_PORT:
        return False
    try:
        return named["name"].lower() == "localhost" or ip_address(named["name"].strip("[]")).is_loopback
    except ValueError:
        return False


class BodyReader:
    """Takes a request's body in, piece by piece, and decodes it. Raises EndpointError: it is too large, or unreadable.

    Example::

        reader = BodyReader(head)
        for piece in pieces:
            reader.feed(piece)
        body = reader.finish()
    """

    def __init__(self, head: RequestHead) -> None:
        encoding = (head.only(b"content-encoding") or "identity").lower()
        if encoding not in ("identity", "gzip", "x-gzip") or len(head.values(b"content-encoding")) > 1:
            raise EndpointError(
                415,
                "unsupported_encoding",
                "The body's Content-Encoding is not gzip",
                headers=((b"accept-encoding", b"gzip"),),
            )
        length = head.only(b"content-length")
        if length is not None and length.isdecimal() and (len(length) > 12 or int(length) > LARGEST_BODY):
            raise _too_large()
        self._gzip = encoding != "identity"
        self._inflating = _new_member() if self._gzip else None
        self._pieces: list[bytes] = []
        self._size = self._received = 0

    def feed(self, data: bytes) -> None:
        """Take in a piece."""
        self._received += len(data)
        if self._received > LARGEST_BODY:
            raise _too_large()  # whatever comes of it: a gzip can be made of empty members without end
        if self._inflating is None:
            self._take(data)
            return
        while data:
            try:
                self._take(self._inflating.decompress(data, LARGEST_BODY - self._size + 1))
            except zlib.error:
                raise _not_gzip() from None
            data = self._inflating.unconsumed_tail
            if self._inflating.eof:
                data = self._inflating.unused_data
                self._inflating = _new_member() if data else self._inflating
                if data and not self._pieces:
                    raise _not_gzip()  # an empty member, and more of them: nobody sends that in earnest

    def finish(self) -> bytes:
        """The whole body, decoded."""
        if self._inflating is not None and not self._inflating.eof:
            raise _not_gzip()
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)

    def _take(self, data: bytes) -> None:
        if data:
            self._size += len(data)
            if self._size > LARGEST_BODY:
                raise _too_large()
            self._pieces.append(data)


def _new_member() -> zlib._Decompress:
    return zlib.decompressobj(wbits=31)


def _too_large() -> EndpointError:
    return EndpointError(413, "request_too_large", f"The body is larger than {LARGEST_BODY // 1024 // 1024} MB")


def _not_gzip() -> EndpointError:
    return EndpointError(400, "invalid_body", "The body is not the gzip that its Content-Encoding says")


def check_body(raw: bytes) -> RequestBody:
    """The body, if it is a JSON object that chooses nothing but a task and its content. Raises EndpointError.

    Its depth is checked before: see :func:`depth_checks`.
    """
    try:
        body = RequestBody.parse(raw)
    except BadBody as error:
        raise EndpointError(400, "invalid_body", f"{str(error)[0].upper()}{str(error)[1:]}") from None
    if len(body.fields) > MOST_FIELDS:
        raise EndpointError(400, "invalid_body", f"The body has more than {MOST_FIELDS} fields")
    for name in body.fields:
        plain = name.strip().lower().replace("-", "_")
        if plain in _FORBIDDEN or plain.startswith(_FORBIDDEN_BEGIN):
            raise EndpointError(
                400,
                "forbidden_field",
                f"The field {name[:_SHOWN]!r} is not for callers of this endpoint",
                param=name[:_SHOWN],
            )
    repeated = repeated_name(raw, body.fields)
    if repeated is not None:
        raise EndpointError(400, "repeated_field", "The body has a field twice", param=repeated[:_SHOWN])
    return body


def depth_checks(raw: bytes) -> Iterator[None]:
    """Raises EndpointError if a body is nested too deeply; in a large one others may have their turn at each step.

    It is looked at piece by piece: cut at its quotation marks, a whole one would take forty times its size.
    """
    if raw.count(b"[") + raw.count(b"{") <= DEEPEST:
        return
    depth = 0
    in_text = False
    cut = b""
    for start in range(0, len(raw), _TURN):
        piece = cut + raw[start : start + _TURN]
        slashes = len(piece) - len(piece.rstrip(b"\\"))
        cut = piece[len(piece) - slashes % 2 :]  # what it escapes is in the next piece
        texts = piece[: len(piece) - len(cut)].replace(rb"\\", b"").replace(rb"\"", b"").split(b'"')
        outside = b"".join(texts[in_text::2])
        in_text ^= len(texts) % 2 == 0
        depths = list(accumulate(array("b", outside.translate(_STEPS, _BRACKETS)), initial=depth))
        if max(depths) > DEEPEST:
            raise EndpointError(400, "invalid_body", f"The body is nested more than {DEEPEST} levels deep")
        depth = depths[-1]
        yield
