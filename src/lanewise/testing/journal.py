"""What a fake provider received: one record a request, filled in while the request is answered."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import parse_qsl, urlsplit

import msgspec

from lanewise.testing.behaviours import Behaviour

__all__ = ["Asked", "Journal", "Received", "ReceivedHeaders"]


class Asked(Enum):
    """What kind of answer a request asks for, by its path; the value is how the path ends."""

    CHAT = "/chat/completions"
    RESPONSES = "/responses"
    EMBEDDINGS = "/embeddings"
    COMPLETIONS = "/completions"
    MODELS = "/models"
    OTHER = ""


class ReceivedHeaders:
    """The headers of a request: names compare without regard to case, order and repetitions are kept."""

    __slots__ = ("pairs",)

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self.pairs = pairs

    def get(self, name: str, default: str | None = None) -> str | None:
        """The first value of that name, or the default."""
        wanted = name.lower()
        return next((value for key, value in self.pairs if key.lower() == wanted), default)

    def all(self, name: str) -> list[str]:
        """Every value of that name, in order."""
        wanted = name.lower()
        return [value for key, value in self.pairs if key.lower() == wanted]

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def __iter__(self) -> Iterator[str]:
        return (key for key, _ in self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def __repr__(self) -> str:
        return f"<{len(self.pairs)} headers>"


@dataclass(slots=True, eq=False)
class Received:
    """One request as it came over the wire, and how its answer ended.

    ``at`` and ``finished_at`` are seconds on ``time.monotonic()``'s clock. ``number`` counts the provider's requests
    from 1, ``connection`` its connections from 1: two requests with the same number of connection shared it.
    ``client_gone`` is ``None`` while the answer is under way, then whether the peer closed before the answer was
    complete. The repr has no header and no body.

    Example::

        received = fake_provider.journal[-1]
        assert received.headers.get("authorization") == "Bearer test"
        assert received.json["temperature"] == 0.2
    """

    at: float
    number: int
    connection: int
    method: str
    target: str = field(repr=False)
    headers: ReceivedHeaders = field(repr=False)
    body: bytes = field(repr=False)
    path: str = ""
    behaviour: Behaviour | None = field(default=None, repr=False)
    client_gone: bool | None = None
    finished_at: float | None = None
    _json: dict[str, object] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.path = urlsplit(self.target).path if "?" in self.target or "#" in self.target else self.target

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters; of a repeated one the last value."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def json(self) -> dict[str, object]:
        """The body as a JSON object.

        Raises:
            ValueError: the body is not JSON (``msgspec.DecodeError``), or not an object.
        """
        if self._json is None:
            self._json = msgspec.json.decode(self.body, type=dict[str, object])
        return self._json

    @property
    def asked(self) -> Asked:
        """What the path asks for. Only its end counts, so Azure's ``/openai/deployments/x/chat/completions`` works."""
        for asked in (Asked.CHAT, Asked.RESPONSES, Asked.EMBEDDINGS, Asked.COMPLETIONS, Asked.MODELS):
            if self.path.endswith(asked.value):
                return asked
        return Asked.MODELS if "/models/" in self.path else Asked.OTHER

    @property
    def model(self) -> str | None:
        """The model asked for, or ``None`` where the body names none."""
        try:
            model = self.json.get("model")
        except ValueError:
            return None
        return model if isinstance(model, str) else None

    @property
    def stream(self) -> bool:
        """Whether the body asks for a stream."""
        try:
            return self.json.get("stream") is True
        except ValueError:
            return False

    @property
    def includes_usage(self) -> bool:
        """Whether the body asks for the usage chunk of a chat stream."""
        options = self.json.get("stream_options")
        return isinstance(options, dict) and options.get("include_usage") is True


class Journal:
    """The requests of one provider, written by its thread and read by any other.

    At most ``limit`` requests are kept, the latest; the counts go on.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._changed = threading.Condition()
        self._count = 0
        self.entries: list[Received] = []
        self.by_model: Counter[str] = Counter()
        self.in_flight = 0
        self.open_connections = 0
        self.connections = 0

    def next_number(self) -> int:
        """The number of the request that is being added."""
        return self._count + 1

    def add(self, received: Received) -> None:
        """A request was read to its end."""
        with self._changed:
            self._count += 1
            self.in_flight += 1
            self.by_model[received.model or ""] += 1
            if len(self.entries) >= 2 * self._limit:
                del self.entries[: self._limit]
            self.entries.append(received)
            self._changed.notify_all()

    def finish(self, received: Received, *, client_gone: bool) -> None:
        """Its answer was sent, or nobody was left to take it."""
        with self._changed:
            received.finished_at = time.monotonic()
            received.client_gone = client_gone
            self.in_flight -= 1
            self._changed.notify_all()

    def connected(self) -> int:
        """A connection was made; its number."""
        with self._changed:
            self.connections += 1
            self.open_connections += 1
            self._changed.notify_all()
            return self.connections

    def disconnected(self) -> None:
        """A connection is gone."""
        with self._changed:
            self.open_connections -= 1
            self._changed.notify_all()

    def clear(self) -> None:
        """Forgets the requests; the counts start again. What is under way stays counted."""
        with self._changed:
            self.entries = []
            self.by_model = Counter()
            self._count = 0

    @property
    def count(self) -> int:
        """How many requests there were, also those that are no longer kept."""
        return self._count

    def wait_until(self, predicate: Callable[[], bool], timeout: float) -> bool:
        """Whether the predicate became true within so many seconds; it is asked whenever something changed."""
        with self._changed:
            return self._changed.wait_for(predicate, timeout)
