"""Server-sent events: cuts a stream of bytes into events as it arrives, and keeps the bytes as they were."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

from lanewise._failures.signals import TransportFailure, TransportSignal
from lanewise._openai.lenient_json import is_utf8

__all__ = ["MAX_EVENT_BYTES", "Event", "EventSplitter", "event_bytes", "run_length"]

MAX_EVENT_BYTES = 64 * 1024 * 1024

_BOM = b"\xef\xbb\xbf"
_DATA = b"data: "
_END = b"\n\n"
# A line's end and the end of the empty line after it. Atomic, so that CRLF is never read as CR and then LF.
_EMPTY_LINE = re.compile(rb"(?>\r\n|\n|\r)(?:\r\n|\n|\r)").search
_BLANK = re.compile(rb"[\r\n]+").match
_LINE = re.compile(rb"([^\r\n]*)(?:\r\n|\n|\r|\Z)").finditer
_ENDS_OF_LINE = b"\r\n"
_LARGE = 32 * 1024
"""Bytes of an event whose lines are not read in one go."""
_LINES_AT_ONCE = 2000
_LONGEST_RUN = 64 * 1024
"""Bytes of events that are cut in one go."""


class Event(msgspec.Struct, frozen=True, gc=False):
    """A piece of a stream, up to and with an empty line, or empty lines alone.

    ``raw`` is its bytes, with the comments before it: all raws together are the stream. ``data`` is ``None`` where
    there is no ``data`` field. Several data lines are joined by LF. ``comment``: there is nothing but comments.
    """

    raw: bytes
    data: bytes | None
    name: str | None = None
    comment: bool = False
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


def run_length(run: Sequence[bytes]) -> int:
    """The bytes of events of one line each, by their data."""
    return sum(map(len, run)) + len(run) * len(b"data: \n\n")


class EventSplitter:
    """Cuts one stream into events. Ends of line may be CR, LF or CRLF, and lie anywhere between two feeds.

    What is cut is given one by one, and ``None`` where cutting has gone on for a millisecond or so without an event: a
    place to let others have their turn. All of it must be taken before the next feed.

    Example::

        splitter = EventSplitter()
        while piece := await exchange.read_some():
            for event in splitter.feed(piece):
                ...
        for event in splitter.end():
            ...
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max = max_event_bytes
        self._rest = bytearray()
        self._has_cr = False
        self._first = True

    def feed(self, piece: bytes) -> Iterator[Event | None]:
        """The events that end in this piece.

        Raises TransportFailure: TOO_LARGE, if an event that has not ended is over the cap.
        """
        if not self._has_cr and b"\r" in piece:
            self._has_cr = True
        return self._cut_any(piece) if self._has_cr else self._cut_lf(piece)

    def end(self) -> Iterator[Event | None]:
        """What was left without an empty line when the stream ended, read as if there were one."""
        if self._rest:
            rest, self._rest = bytes(self._rest), bytearray()
            for event in self._read(rest):
                if event is not None and event.data is not None:
                    event = msgspec.structs.replace(event, odd=True)  # it lacks its empty line
                yield event

    def cut_run(self, piece: bytes, most: int) -> tuple[list[bytes], int]:
        """The data of the first events of a piece, at most so many, if each is whole and one line of ``data: ``; cut in
        one go. And how many bytes these events are: what follows them is to be fed; all of it, if there are none.

        Example::

            splitter.cut_run(b"data: {}\\n\\ndata: [DONE]\\n\\n: over", 64)  # ([b"{}", b"[DONE]"], 25)
        """
        size = piece.rfind(_END, 0, _LONGEST_RUN) + len(_END)
        if self._rest or self._has_cr or not piece.startswith(_DATA) or size <= len(_DATA) or b"\r" in piece:
            return [], 0
        run = piece[len(_DATA) : size - len(_END)].split(_END + _DATA, most)
        if len(run) > most:
            size -= len(_DATA) + len(run.pop()) + len(_END)
        if piece.count(b"\n", 0, size) != len(_END) * len(run):
            return [], 0
        self._first = False
        return run, size

    def _cut_lf(self, piece: bytes) -> Iterator[Event | None]:
        start = 0
        rest = self._rest
        if rest:
            seen = len(rest)
            rest += piece
            end = rest.find(b"\n\n", seen - 1)
            if end < 0:
                self._check_size()
                return
            yield from self._read(bytes(rest[: end + 2]))
            start = end + 2 - seen
            self._rest = rest = bytearray()
        find = piece.find
        while (end := find(b"\n\n", start)) >= 0:
            if end == start:
                end = _end_of_blank(piece, start) - 2
                self._first = False
                yield Event(piece[start : end + 2], None)
            else:
                event = self._ordinary(piece[start : end + 2])
                if event is not None:
                    yield event
                else:
                    yield from self._read(piece[start : end + 2])
            start = end + 2
        if start < len(piece):
            rest += piece[start:]
            self._check_size()

    def _cut_any(self, piece: bytes) -> Iterator[Event | None]:
        # The LF of a CRLF that was cut in two begins the next event, where it is an empty line that says nothing:
        # better than to hold an event back until it is known what follows its CR.
        rest = self._rest
        start, seen = 0, max(0, len(rest) - 3)
        rest += piece
        buffer = bytes(rest) if len(rest) == len(piece) else rest
        while (match := _EMPTY_LINE(buffer, seen)) is not None:
            end = match.end()
            if buffer[start] in _ENDS_OF_LINE:
                end = _end_of_blank(buffer, start)
                yield Event(bytes(buffer[start:end]), None)
            else:
                yield from self._read(bytes(buffer[start:end]))
            start = seen = end
        self._rest = bytearray(buffer[start:]) if start else rest
        self._check_size()

    def _check_size(self) -> None:
        if len(self._rest) > self._max:
            raise TransportFailure(TransportSignal.TOO_LARGE, "an event of the stream is over the cap")

    def _ordinary(self, raw: bytes) -> Event | None:
        """An event of one of the two shapes that nearly all have, read without cutting lines."""
        if self._first or self._has_cr:
            return None
        last = len(raw) - 2
        if raw.startswith(_DATA):
            if raw.find(b"\n") == last:
                return Event(raw, raw[6:last])
        elif raw.startswith(b"event: "):
            line = raw.find(b"\n") + 1
            name = raw[7 : line - 1]
            if raw.startswith(_DATA, line) and raw.find(b"\n", line) == last and name and name.isascii():
                return Event(raw, raw[line + 6 : last], name.decode())
        return None

    def _read(self, raw: bytes) -> Iterator[Event | None]:
        ordinary = self._ordinary(raw)
        if ordinary is not None:
            yield ordinary
            return
        text = raw[3:] if self._first and raw.startswith(_BOM) else raw
        self._first = False
        fields = _Fields(odd=text is not raw or not is_utf8(raw))
        if len(text) <= _LARGE:
            for line in text.splitlines():
                fields.add(line)
        else:
            for number, match in enumerate(_LINE(text)):
                fields.add(match[1])
                if number % _LINES_AT_ONCE == 0:
                    yield None
        yield fields.event(raw)


def _end_of_blank(buffer: bytes | bytearray, start: int) -> int:
    """Where the empty lines end that begin here: read in one go, however many there are."""
    match = _BLANK(buffer, start)
    assert match is not None, "there is an end of line"
    return match.end()


class _Fields:
    """The fields of one event, line by line."""

    __slots__ = ("_data", "_name", "_odd", "_others")

    def __init__(self, *, odd: bool) -> None:
        self._odd = odd
        self._data: bytes | bytearray | None = None
        self._name: bytes | None = None
        self._others = False

    def add(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        if not field:
            return  # a comment, or an empty line
        self._others = True
        if value.startswith(b" "):
            value = value[1:]
        if field == b"data":
            if self._data is None:
                self._data = value
            elif isinstance(self._data, bytes):
                self._data = bytearray(b"\n".join((self._data, value)))
            else:
                self._data += b"\n"
                self._data += value
        elif field == b"event":
            self._name = value
        else:  # an id would stay with the SDK, which takes each empty line after it for an event
            self._odd = True

    def event(self, raw: bytes) -> Event:
        if self._data is None:
            return Event(raw, None, comment=not self._others and not self._odd)
        name = self._name.decode("utf-8", "replace") if self._name else None
        return Event(raw, bytes(self._data), name, odd=self._odd)
