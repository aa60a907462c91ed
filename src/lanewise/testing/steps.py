"""The steps of an answer on the wire: bytes, pauses, and how the exchange ends."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

__all__ = [
    "SETTLE",
    "Finish",
    "Hang",
    "Pause",
    "Rendering",
    "Repeat",
    "Step",
    "dripped",
    "first_bytes",
    "length",
    "response_head",
]


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hang:
    """Nothing until the peer goes; deaf, not even that is noticed."""

    deaf: bool = False


@dataclass(frozen=True, slots=True)
class Repeat:
    """The same bytes every so many seconds, until the peer goes."""

    data: bytes
    every: float


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of the connection: FIN or RST."""

    how: Literal["close", "reset"]


Step = bytes | Pause | Hang | Repeat | Finish


@dataclass(frozen=True, slots=True)
class Rendering:
    """The head of a response, the steps of its body, and the seconds before all of it.

    Without a :class:`Finish` the connection stays open.
    """

    head: bytes
    steps: tuple[Step, ...] = ()
    delay: float = 0.0


# Long enough for the peer's event loop to have seen what was sent before the connection goes.
SETTLE = Pause(0.01)


def response_head(status: int, headers: Iterable[tuple[str, str]]) -> bytes:
    """Status line and headers of a response."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 {status} {phrase}\r\n{lines}\r\n".encode("latin-1")


def dripped(steps: Iterable[Step], size: int, interval: float) -> Iterable[Step]:
    """The same bytes, ``size`` at a time, ``interval`` seconds apart."""
    for step in steps:
        if not isinstance(step, bytes):
            yield step
            continue
        for start in range(0, len(step), size):
            yield from (step[start : start + size], Pause(interval))


def length(steps: Iterable[Step]) -> int:
    """How many bytes the steps send."""
    return sum(len(step) for step in steps if isinstance(step, bytes))


def first_bytes(count: int, steps: Iterable[Step]) -> Iterable[Step]:
    """The steps up to so many bytes."""
    for step in steps:
        if isinstance(step, bytes):
            if count <= 0:
                return
            yield step[:count]
            count -= len(step)
        else:
            yield step
