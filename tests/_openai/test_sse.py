"""Events are cut out of a stream the same, however the stream was cut before."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai._streaming import SSEDecoder

from lanewise._failures.signals import TransportFailure, TransportSignal
from lanewise._openai.streams.sse import Event, EventSplitter, event_bytes, run_length

ENDS = st.sampled_from([b"\n", b"\r", b"\r\n"])
LINES = st.one_of(
    st.just(b""),
    st.text(alphabet="ab: é😀\t", max_size=8).map(lambda text: b"data:" + text.encode()),
    st.text(alphabet="ab: é", max_size=8).map(lambda text: b"data: " + text.encode()),
    st.text(alphabet="xyz. ", max_size=5).map(lambda text: b"event: " + text.encode()),
    st.sampled_from([b"data", b"event", b": comment", b":", b"retry: 10", b"other: field", b"datax: no", b"event:"]),
)
STREAMS = st.one_of(
    st.lists(st.tuples(LINES, ENDS), max_size=30).map(lambda lines: b"".join(line + end for line, end in lines)),
    st.lists(LINES, max_size=30).map(lambda lines: b"\n".join(lines)),
    st.binary(max_size=60),
)

EVENTS = [
    b"data: a\n\n", b"data: b\n\n", b"data: \n\n", b"data: a\ndata: b\n\n", b"data: a\n\n\n", b"data: a\r\n\r\n",
    b": comment\n\n", b"event: x\ndata: a\n\n", b"data:a\n\n", b"data: data: a\n\n", b"data: a\nid: 1\n\n",
    b"data: cut", b"\n",
]  # fmt: skip


def parse(pieces: list[bytes]) -> list[Event]:
    splitter = EventSplitter()
    events = [event for piece in pieces for event in splitter.feed(piece) if event is not None]
    return [*events, *(event for event in splitter.end() if event is not None)]


def said(events: list[Event]) -> list[tuple[str | None, bytes]]:
    return [(event.name, event.data) for event in events if event.data is not None]


@given(STREAMS, st.lists(st.integers(0, 300), max_size=20))
def test_any_split_gives_the_same_events(stream: bytes, cuts: list[int]) -> None:
    """One piece, any pieces, and single bytes say the same, and the raw bytes are the stream."""
    whole = parse([stream])
    places = [0, *sorted(cut for cut in cuts if cut <= len(stream)), len(stream)]
    pieces = [stream[start:end] for start, end in itertools.pairwise(places)]
    for events in (whole, parse(pieces), parse([stream[i : i + 1] for i in range(len(stream))])):
        assert b"".join(event.raw for event in events) == stream
        assert said(events) == said(whole)


@given(
    st.one_of(STREAMS, st.lists(st.sampled_from(EVENTS), max_size=12).map(b"".join)),
    st.lists(st.integers(0, 300), max_size=6),
    st.integers(1, 4),
)
def test_events_cut_in_one_go_are_the_same(stream: bytes, cuts: list[int], most: int) -> None:
    """As many at once as are alike; with what is fed after them they are the stream."""
    splitter = EventSplitter()
    found: list[tuple[str | None, bytes]] = []
    places = [0, *sorted(cut for cut in cuts if cut <= len(stream)), len(stream)]
    for start, end in itertools.pairwise(places):
        run, size = splitter.cut_run(stream[start:end], most)
        assert len(run) <= most
        assert run_length(run) == size
        assert b"".join(event_bytes(None, data) for data in run) == stream[start : start + size]
        found += [(None, data) for data in run]
        found += said([event for event in splitter.feed(stream[start + size : end]) if event is not None])
    assert found + said([event for event in splitter.end() if event is not None]) == said(parse([stream]))


@given(STREAMS)
def test_the_sdk_reads_the_same_events(stream: bytes) -> None:
    """OpenAI's own decoder is the second opinion. (It gives events without data too, and knows no byte order mark.)"""
    try:
        stream.decode()
    except UnicodeDecodeError:
        return
    if stream.startswith(b"\xef\xbb\xbf"):
        return
    theirs = [(sse.event or None, sse.data.encode()) for sse in SSEDecoder().iter_bytes(iter([stream + b"\n\n"]))]
    ours = said(parse([stream + b"\n\n"]))
    assert [event for event in ours if event[1]] == [event for event in theirs if event[1]]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_each_end_of_line(end: bytes) -> None:
    """LF, CR and CRLF; an event is there as soon as its empty line has begun."""
    splitter = EventSplitter()
    stream = end.join([b": hello", b"event: delta", b"data: a", b"data:b", b"", b""])
    events = list(splitter.feed(stream[:-1] if end == b"\r\n" else stream))
    assert said(events) == [("delta", b"a\nb")]


def test_the_ordinary_shapes() -> None:
    """A chat chunk and a typed event, with and without what goes before."""
    events = parse([b'data: {"a":1}\n\nevent: response.created\ndata: {}\n\n: ping\n\ndata: [DONE]\n\n'])
    assert [(event.name, event.data) for event in events] == [
        (None, b'{"a":1}'),
        ("response.created", b"{}"),
        (None, None),
        (None, b"[DONE]"),
    ]
    assert events[0].raw == b'data: {"a":1}\n\n'
    assert events[2].raw == b": ping\n\n"


def test_a_byte_order_mark_is_passed_over_at_the_start_only() -> None:
    """Also when it is cut in two."""
    assert said(parse([b"\xef\xbb", b"\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n"])) == [(None, b"a")]


def test_an_event_without_its_empty_line_is_given_at_the_end() -> None:
    """A server that says ``data: [DONE]`` and closes has said it."""
    splitter = EventSplitter()
    assert list(splitter.feed(b"data: [DO")) == []
    assert list(splitter.feed(b"NE]\n")) == []
    assert [event and event.data for event in splitter.end()] == [b"[DONE]"]
    assert list(splitter.end()) == []


def test_blank_data_is_not_no_data() -> None:
    """``data:`` is an empty text; a comment is nothing."""
    assert [event.data for event in parse([b"data:\n\n:\n\n\n\n"])] == [b"", None, None]


@pytest.mark.parametrize("end", [b"", b"\r\n"])
def test_an_event_over_the_cap_is_refused_while_it_comes(end: bytes) -> None:
    """No more than the cap is kept in memory."""
    splitter = EventSplitter(max_event_bytes=1000)
    line = b"data: " + b"x" * 94 + end
    for _ in range(1000 // len(line)):
        assert list(splitter.feed(line)) == []
    with pytest.raises(TransportFailure) as caught:
        list(splitter.feed(line))
    assert caught.value.signal is TransportSignal.TOO_LARGE


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
@pytest.mark.parametrize("before", [b"", b"data: a"])
def test_empty_lines_are_read_in_one_go(end: bytes, before: bytes) -> None:
    """However many there are: they are a keep-alive, or mischief."""
    start = before + end * 2 if before else b""
    events = parse([start + end * 100_000 + b"data: b" + end * 2])
    assert said(events) == ([(None, b"a")] if before else []) + [(None, b"b")]
    assert len(events) <= 4


def test_only_comments_are_a_comment() -> None:
    """Fields that nobody knows are none, nor are empty lines."""
    events = parse([b": a\n: b\n\n", b": a\nid: 1\n\n", b"\n\n\n", b": a\ndata: b\n\n"])
    assert [event.comment for event in events if event.raw.strip()] == [True, False, False]
    assert not any(event.comment for event in events if not event.raw.strip())


@pytest.mark.parametrize("line", [b"data:x\n", b": comment\n", b"data: x\r\n", b"other: x\r"])
@pytest.mark.parametrize("cut", [False, True], ids=["ended", "cut-off"])
def test_an_event_of_many_lines_is_read_with_pauses(line: bytes, cut: bool) -> None:
    """Others may have their turn in between: reading a million lines takes a while."""
    lines = 50_000
    splitter = EventSplitter()
    stream = line * lines + (b"" if cut else line[-1:])
    found = [*splitter.feed(stream), *splitter.end()]
    assert found.count(None) >= lines / 4000
    (event,) = [event for event in found if event is not None and event.raw.strip()]
    assert event.data == (b"\n".join([b"x"] * lines) if line.startswith(b"data") else None)
