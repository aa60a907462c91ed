"""Keeps a conversation where its prompt is cached: its key, where it was answered, what caches give.

Providers find a cached prompt by its beginning, for some minutes, on one account and model. Time is an argument.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import msgspec

from lanewise._openai.request_body import RequestBody, json_text
from lanewise._routing.selection.candidates import Candidate
from lanewise.types import Api, Attempt, LaneName

__all__ = [
    "CAPACITY",
    "LIFETIME",
    "Conversation",
    "Conversations",
    "OtherWorkers",
    "Receive",
    "conversation_key",
    "pinned_first",
]

LIFETIME: Final = 1800.0
"""Seconds for which a provider is taken to keep a prompt that it has seen."""
CAPACITY: Final = 50_000
"""How many conversations are remembered: the one that was answered longest ago is forgotten first."""
LABEL: Final = "conversation"
"""The label by which an app names a conversation itself."""
_DOMAIN: Final = b"lanewise conversation 1"
_NEWEST: Final = 0.05
"""What the newest answer weighs in a route's cache share."""
_LEAST: Final = 20
"""With fewer answers a route's share is not known."""
_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])


class _Role(msgspec.Struct):
    role: str = ""


_ROLE: Final = msgspec.json.Decoder(_Role)


def conversation_key(body: RequestBody, api: Api, labels: Mapping[str, str]) -> str | None:
    """What all calls of a conversation have in common; ``None`` if nothing tells.

    The app's ``prompt_cache_key``, else its label ``conversation``, else the prompt's beginning as far as the first
    message of the user: what follows differs from call to call. It is a digest, and holds nothing of a prompt.

    Example::

        conversation_key(body, Api.CHAT, {"conversation": "ticket-7"})
    """
    if api is Api.EMBEDDINGS:
        return None
    own = json_text(body.fields.get("prompt_cache_key")) or labels.get(LABEL)
    if own is not None:
        return _digest(b"named", own.encode("utf-8", "surrogatepass"))
    prefix = [bytes(body.fields["instructions"])] if "instructions" in body.fields else []
    raw = body.fields.get("messages" if api is Api.CHAT else "input")
    if raw is None:
        return None
    for item in _items(raw):
        prefix.append(bytes(item))
        if _role(item) == "user":
            break
    return _digest(b"prefix", *prefix)


def pinned_first(found: tuple[Candidate, ...], route: str | None, start: LaneName | None) -> tuple[Candidate, ...]:
    """The candidates with the route first that a conversation was answered by: within the first lane, or as good a one.

    Not one of a worse lane: there a conversation would be answered worse for as long as it lasts.

    Example::

        found = pinned_first(found, conversations.route_of(key, now), None)
    """
    position = next((place for place, each in enumerate(found) if each.route == route), None)
    if not position or found[position].incapable is not None:
        return found
    lane = found[position].lane
    is_first = lane is found[0].lane
    is_as_good = start is None and lane is LaneName.EQUIVALENT and found[0].lane is LaneName.PRIMARY
    if not is_first and not is_as_good:
        return found
    return (found[position], *found[:position], *found[position + 1 :])


class Conversation(msgspec.Struct, frozen=True):
    """What a call's conversation is known by. ``home`` is the route that any worker would ask first if none had
    answered it yet, ``None`` if they may differ; ``first`` is the one that this call is to ask first."""

    key: str
    home: str | None = None
    first: str | None = None


Receive = Callable[[str, str, float], None]
"""Takes a pin, its route, and the time until which it holds."""


class OtherWorkers(Protocol):
    """The other workers of the app, which answer the same conversations."""

    def subscribe(self, receive: Receive) -> None:
        """Have ``receive`` called with each pin that a worker publishes. May be called again and again."""
        ...

    def publish(self, pin: str, route: str) -> None:
        """Publish where a conversation goes on. Doesn't wait."""
        ...


class _Pin(msgspec.Struct, frozen=True):
    """Where a conversation goes on, and until when; ``published_until``: as other workers know it."""

    route: str
    until: float
    published_until: float = 0.0


class Conversations:
    """Where conversations were answered lately, and which share of each route's input came from its cache.

    Other workers get to know of a conversation that goes on where they would not look for it. What is stored and
    published are digests by ``secret``. Used from both of a router's loops and a thread at once: each step is one
    operation on a dictionary.
    """

    def __init__(self, secret: bytes | None = None, others: OtherWorkers | None = None) -> None:
        self._secret = secret or _DOMAIN
        self._others = others
        self._pins: OrderedDict[str, _Pin] = OrderedDict()
        self._shares: dict[str, tuple[int, float]] = {}

    def route_of(self, task: str, key: str, now: float) -> str | None:
        """The route that answered a conversation last, while its prompt may be cached there."""
        if self._others is not None:
            self._others.subscribe(self.receive)
        found = self._pins.get(self._digest(task, key))
        return found.route if found is not None and now < found.until else None

    def answered(self, task: str, conversation: Conversation | None, attempt: Attempt, now: float) -> None:
        """Take in an answer."""
        if conversation is not None:
            self._pin(self._digest(task, conversation.key), attempt.route, conversation, now)
        input_tokens = attempt.input_tokens
        if input_tokens and not attempt.tokens_estimated:
            count, share = self._shares.get(attempt.route, (0, 0.0))
            weight = max(_NEWEST, 1 / (count + 1))
            cached = min(1.0, (attempt.cached_tokens or 0) / input_tokens)
            self._shares[attempt.route] = count + 1, share + weight * (cached - share)

    def receive(self, pin: str, route: str, until: float) -> None:
        """A worker published where a conversation goes on, another or this one: the latest is right."""
        self._store(pin, _Pin(route, until, until))

    def cache_share(self, route: str) -> float:
        """The share of a route's input that comes from its cache; 0 while too little is known."""
        count, share = self._shares.get(route, (0, 0.0))
        return share if count >= _LEAST else 0.0

    def _pin(self, pin: str, route: str, conversation: Conversation, now: float) -> None:
        before = self._pins.get(pin)
        if before is not None and now >= before.until:
            before = None
        has_moved = route != conversation.first
        published_until = 0.0
        if before is not None and before.route != route:
            if not has_moved:
                return  # meanwhile another call moved it
        elif before is not None:
            has_moved, published_until = False, before.published_until
        if (
            self._others is not None
            and (has_moved or route != conversation.home)
            and published_until < now + LIFETIME / 2
        ):
            self._others.publish(pin, route)
            published_until = now + LIFETIME
        self._store(pin, _Pin(route, now + LIFETIME, published_until))

    def _store(self, pin: str, entry: _Pin) -> None:
        self._pins[pin] = entry
        try:
            self._pins.move_to_end(pin)
            if len(self._pins) > CAPACITY:
                self._pins.popitem(last=False)
        except KeyError:  # somebody else was faster
            pass

    def _digest(self, task: str, key: str) -> str:
        message = f"{task}\0{key}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._secret, message, "sha256").hex()[:32]


def _items(raw: msgspec.Raw) -> list[msgspec.Raw]:
    try:
        return _ITEMS.decode(raw)
    except msgspec.MsgspecError:
        return [raw]  # a text: the whole of it


def _role(raw: msgspec.Raw) -> str:
    try:
        return _ROLE.decode(raw).role
    except msgspec.MsgspecError:
        return ""


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:32]
