"""Server-sent events: cuts a stream of bytes into events as it arrives, and keeps the bytes as they were."""

from __future__ import annotations

import re

import msgspec

from lanewise._failures.signals import TransportFailure, TransportSignal
from lanewise._openai.response_schema import is_utf8

__all__ = ["MAX_EVENT_BYTES", "Event", "EventSplitter", "event_bytes"]

MAX_EVENT_BYTES = 64 * 1024 * 1024

_BOM = b"\xef\xbb\xbf"
# A line's end and the end of the empty line after it. Atomic, so that CRLF is never read as CR and then LF.
_EMPTY_LINE = re.compile(rb"(?>\r\n|\n|\r)(?:\r\n|\n|\r)").search


class Event(msgspec.Struct, frozen=True, gc=False):
    """A piece of a stream, up to and with an empty line.

    ``raw`` is its bytes, with the comments and empty lines before it: all raws together are the stream. ``data`` is
    ``None`` where there is no ``data`` field: comments, empty lines. Several data lines are joined by LF.
    """

    raw: bytes
    data: bytes | None
    name: str | None = None
    odd: bool = False
    """Its bytes hold more than readers need, and read alike: it is better written anew."""

    @property
    def passed_on(self) -> bytes:
        """What to pass on of it."""
        return self.raw if not self.odd or self.data is None else event_bytes(self.name, self.data)


def event_bytes(name: str | None, data: bytes) -> bytes:
    """An event as it is written.

    Example::

        event_bytes("ping", b"{}")  # b"event: ping\\ndata: {}\\n\\n"
    """
    lines = [] if name is None else [b"event: " + name.encode()]
    lines += [b"data: " + line for line in data.split(b"\n")]
    return b"\n".join(lines) + b"\n\n"


class EventSplitter:
    """Cuts one stream into events. Ends of line may be CR, LF or CRLF, and lie anywhere between two feeds.

    Example::

        splitter = EventSplitter()
        while piece := await exchange.read_some():
            for event in splitter.feed(piece):
                ...
        rest = splitter.end()
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max = max_event_bytes
        self._rest = bytearray()
        self._has_cr = False
        self._first = True

    def feed(self, piece: bytes) -> list[Event]:
        """The events that end in this piece.

        Raises TransportFailure: TOO_LARGE, if an event that has not ended is over the cap.
        """
        if not self._has_cr and b"\r" in piece:
            self._has_cr = True
        events = self._cut_any(piece) if self._has_cr else self._cut_lf(piece)
        if len(self._rest) > self._max:
            raise TransportFailure(TransportSignal.TOO_LARGE, "an event of the stream is over the cap")
        return events

    def end(self) -> Event | None:
        """What was left without an empty line when the stream ended, read as if there were one."""
        if not self._rest:
            return None
        rest, self._rest = bytes(self._rest), bytearray()
        event = self._read(rest)
        return event if event.data is None else msgspec.structs.replace(event, odd=True)  # it lacks its empty line

    def _cut_lf(self, piece: bytes) -> list[Event]:
        start = 0
        events: list[Event] = []
        rest = self._rest
        if rest:
            seen = len(rest)
            rest += piece
            end = rest.find(b"\n\n", seen - 1)
            if end < 0:
                return events
            events.append(self._read(bytes(rest[: end + 2])))
            start = end + 2 - seen
            self._rest = rest = bytearray()
        find = piece.find
        while (end := find(b"\n\n", start)) >= 0:
            events.append(self._read(piece[start : end + 2]))
            start = end + 2
        if start < len(piece):
            rest += piece[start:]
        return events

    def _cut_any(self, piece: bytes) -> list[Event]:
        # The LF of a CRLF that was cut in two begins the next event, where it is an empty line that says nothing:
        # better than to hold an event back until it is known what follows its CR.
        events = []
        rest = self._rest
        start, seen = 0, max(0, len(rest) - 3)
        rest += piece
        buffer = bytes(rest) if len(rest) == len(piece) else rest
        while (match := _EMPTY_LINE(buffer, seen)) is not None:
            events.append(self._read(bytes(buffer[start : match.end()])))
            start = seen = match.end()
        self._rest = bytearray(buffer[start:]) if start else rest
        return events

    def _read(self, raw: bytes) -> Event:
        if self._first:
            self._first = False
            if raw.startswith(_BOM):
                return _read_lines(raw, raw[3:])
        # The two shapes that nearly all events have, read without cutting lines.
        last = len(raw) - 2
        if raw.startswith(b"data: "):
            if raw.find(b"\n") == last and not self._has_cr:
                return Event(raw, raw[6:last])
        elif raw.startswith(b"event: ") and not self._has_cr:
            line = raw.find(b"\n") + 1
            name = raw[7 : line - 1]
            if raw.startswith(b"data: ", line) and raw.find(b"\n", line) == last and name and name.isascii():
                return Event(raw, raw[line + 6 : last], name.decode())
        return _read_lines(raw, raw)


def _read_lines(raw: bytes, text: bytes) -> Event:
    data: list[bytes] | None = None
    name: bytes | None = None
    odd = text is not raw or not is_utf8(raw)
    for line in text.splitlines():
        field, _, value = line.partition(b":")
        if value.startswith(b" "):
            value = value[1:]
        if field == b"data":
            if data is None:
                data = [value]
            else:
                data.append(value)
        elif field == b"event":
            name = value
        elif field:  # an id would stay with the SDK, which takes each empty line after it for an event
            odd = True
    said = None if data is None else b"\n".join(data)
    return Event(raw, said, name.decode("utf-8", "replace") if name else None, odd)
