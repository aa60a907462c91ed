"""A request for a page and its answer, as all mounts know them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address
from typing import Final
from urllib.parse import parse_qsl

import msgspec

__all__ = [
    "MOST_BYTES",
    "SAFE",
    "HeaderPairs",
    "PageRequest",
    "PageResponse",
    "Refused",
    "Viewer",
    "form_of",
    "headers_of",
    "is_loopback",
]

HeaderPairs = Sequence[tuple[str, str]]
MOST_BYTES: Final = 1024 * 1024
"""The longest form: an answer that a person has written."""
MOST_FIELDS: Final = 50
SAFE: Final = ("GET", "HEAD")


class Refused(Exception):
    """A request that gets no page. Its text is shown."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class PageRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request: ``path`` is what follows the place where the page is mounted, ``is_bare`` whether not even a slash
    does. The names of ``headers`` are in lower case. ``local`` says that it came over this machine's loopback."""

    method: str
    path: str
    query: str
    headers: Mapping[str, tuple[str, ...]]
    scheme: str = "http"
    place: str = ""
    is_bare: bool = False
    local: bool = False

    def header(self, name: str) -> str | None:
        """A header that came once; ``None`` if there is none. Raises Refused: it came several times."""
        values = self.headers.get(name, ())
        if len(values) > 1:
            raise Refused(400, f"The header {name} came more than once.")
        return values[0] if values else None

    @property
    def asked(self) -> Mapping[str, str]:
        """What the query asks; of a name the last value, without those that are empty. Raises Refused."""
        return _fields(self.query)


class PageResponse(msgspec.Struct, frozen=True, kw_only=True):
    """An answer without the headers that every answer has."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class Viewer(msgspec.Struct, frozen=True):
    """Who looks: by what name they decide cases, and open and close routes; ``None``: they may not."""

    reviewer: str | None = None
    operator: str | None = None


def form_of(request: PageRequest, body: bytes) -> Mapping[str, str]:
    """The fields of a form that was sent. Raises Refused: it is none."""
    kind = (request.header("content-type") or "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Refused(415, "A form is sent as application/x-www-form-urlencoded.")
    try:
        return _fields(body.decode("ascii"))
    except UnicodeDecodeError:
        raise Refused(400, "The form could not be read.") from None


def headers_of(pairs: Iterable[tuple[str, str]]) -> Mapping[str, tuple[str, ...]]:
    """Headers by name, in lower case."""
    found: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        lower = name.lower()
        found[lower] = (*found.get(lower, ()), value)
    return found


def is_loopback(address: object) -> bool:
    """Whether one end of a connection is this machine's loopback. A test client, which has no connection, counts."""
    try:
        return ip_address(str(address)).is_loopback
    except ValueError:
        return address in ("localhost", "testclient")


def _fields(text: str) -> Mapping[str, str]:
    try:
        pairs = parse_qsl(text, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError:
        raise Refused(400, "What was asked could not be read.") from None
    return dict(pairs)
