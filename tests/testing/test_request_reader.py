"""The fake provider's reader of requests beside h11: it reads the same, and nothing that h11 refuses."""

from __future__ import annotations

import h11
from hypothesis import given
from hypothesis import strategies as st

from lanewise.testing.requests import BadRequest, RequestReader

Read = tuple[str, str, list[tuple[str, str]], bytes]

METHODS = st.sampled_from(["GET", "POST", "DELETE", "PATCH"])
TARGETS = st.from_regex(r"/[a-z0-9_/?=&%.-]{0,30}", fullmatch=True)
NAMES = st.from_regex(r"[Xx]-[A-Za-z0-9_-]{1,12}", fullmatch=True)
VALUES = st.from_regex(r"[!-~]([ -~]{0,20}[!-~])?", fullmatch=True)
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=5)


def by_h11(data: bytes) -> Read | str:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=256 * 1024)
    try:
        connection.receive_data(data)
        head = connection.next_event()
        if not isinstance(head, h11.Request):
            return "waits"
        body = b""
        while isinstance(event := connection.next_event(), h11.Data):
            body += event.data
        if not isinstance(event, h11.EndOfMessage):
            return "waits"
        if list(event.headers):
            return "trailers"
    except h11.RemoteProtocolError:
        return "refused"
    headers = [(name.decode().lower(), value.decode("latin-1")) for name, value in head.headers]
    return head.method.decode(), head.target.decode(), headers, body


def by_reader(data: bytes, pieces: int = 1) -> Read | str:
    reader = RequestReader()
    step = max(1, -(-len(data) // pieces))
    try:
        for start in range(0, len(data), step):
            reader.feed(data[start : start + step])
            found = reader.next()
            if found is not None:
                headers = [(name.lower(), value) for name, value in found.headers]
                return found.method, found.target, headers, found.body
    except BadRequest:
        return "refused"
    return "waits"


def written(method: str, target: str, headers: list[tuple[str, str]], body: bytes, sizes: list[int] | None) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: provider.test", *(f"{name}: {value}" for name, value in headers)]
    if sizes is None:
        lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
    lines.append("Transfer-Encoding: chunked")
    chunks, left = b"", body
    for size in sizes:
        piece, left = left[:size], left[size:]
        chunks += b"%x\r\n%s\r\n" % (len(piece), piece) if piece else b""
    chunks += b"%x\r\n%s\r\n" % (len(left), left) if left else b""
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + chunks + b"0\r\n\r\n"


SIZES = st.none() | st.lists(st.integers(1, 50), max_size=4)
PUT_IN = [b"", b"\r\n", b"\n", b" ", b":", b"\x00", b"-", b"Content-Length: 3\r\n", b"\xe9"]
REQUESTS = st.builds(written, METHODS, TARGETS, HEADERS, st.binary(max_size=200), SIZES)


@given(REQUESTS, st.integers(1, 40))
def test_what_h11_reads_is_read_the_same(data: bytes, pieces: int) -> None:
    """With a length or in chunks, in however many pieces it comes."""
    assert by_reader(data, pieces) == by_h11(data)


@given(REQUESTS, st.data())
def test_what_h11_does_not_take_is_not_taken(data: bytes, more: st.DataObject) -> None:
    """Bytes of a request that are changed, put in or left out: nothing is read of which h11 says that it is none."""
    at = more.draw(st.integers(0, len(data) - 1))
    cut = more.draw(st.integers(0, 2))
    put = more.draw(
        st.sampled_from([b"", b"\r\n", b"\n", b" ", b":", b"\x00", b"-", b"Content-Length: 3\r\n", b"\xe9"])
    )
    changed = data[:at] + put + data[at + cut :]
    while changed.startswith(b"\r\n"):  # which RFC 9112 has a server ignore
        changed = changed[2:]
    ours, theirs = by_reader(changed), by_h11(changed)
    if not isinstance(ours, str):  # h11 keeps one of two equal lengths
        ours = (*ours[:2], [each for each in ours[2] if each[0] != "content-length"], ours[3])
    if not isinstance(theirs, str):
        theirs = (*theirs[:2], [each for each in theirs[2] if each[0] != "content-length"], theirs[3])
    assert ours in ("refused", "waits") or ours == theirs
