"""Keeps a conversation where its prompt is cached: what tells it from others, where it was answered, what caches give.

Providers find a cached prompt by its beginning, for some minutes, on one account and model. Time is an argument.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

import msgspec

from lanewise._openai.request_body import RequestBody
from lanewise._routing.candidates import Candidate
from lanewise.types import Api, Attempt, LaneName

__all__ = ["Conversations", "conversation_key", "pinned_first"]

LIFETIME: Final = 1800.0
"""Seconds for which a provider is taken to keep a prompt that it has seen."""
KEPT: Final = 50_000
"""How many conversations are remembered: the one that was answered longest ago is forgotten first."""
LABEL: Final = "conversation"
"""The label by which an app names a conversation itself."""
_NEWEST: Final = 0.05
"""What the newest answer weighs in a route's cache share."""
_LEAST: Final = 20
"""With fewer answers a route's share is not known."""
_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_TEXT: Final = msgspec.json.Decoder(str)


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
    own = _text(body.fields.get("prompt_cache_key")) or labels.get(LABEL)
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


class Conversations:
    """Where conversations were answered lately, and which share of each route's input came from its cache.

    In this process. Used from both of a router's loops at once: each step is one operation on a dictionary.
    """

    def __init__(self) -> None:
        self._routes: OrderedDict[tuple[str, str], tuple[str, float]] = OrderedDict()
        self._shares: dict[str, tuple[int, float]] = {}

    def route_of(self, task: str, key: str | None, now: float) -> str | None:
        """The route that answered a conversation last, while its prompt may be cached there."""
        found = None if key is None else self._routes.get((task, key))
        return found[0] if found is not None and now < found[1] else None

    def answered(self, task: str, key: str | None, attempt: Attempt, now: float) -> None:
        """Take in an answer."""
        if key is not None:
            self._routes[task, key] = attempt.route, now + LIFETIME
            try:
                self._routes.move_to_end((task, key))
                if len(self._routes) > KEPT:
                    self._routes.popitem(last=False)
            except KeyError:  # the other loop was faster
                pass
        input_tokens = attempt.input_tokens
        if input_tokens and not attempt.tokens_estimated:
            count, share = self._shares.get(attempt.route, (0, 0.0))
            weight = max(_NEWEST, 1 / (count + 1))
            cached = min(1.0, (attempt.cached_tokens or 0) / input_tokens)
            self._shares[attempt.route] = count + 1, share + weight * (cached - share)

    def cache_share(self, route: str) -> float:
        """The share of a route's input that comes from its cache; 0 while too little is known."""
        count, share = self._shares.get(route, (0, 0.0))
        return share if count >= _LEAST else 0.0


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


def _text(raw: msgspec.Raw | None) -> str | None:
    try:
        return None if raw is None else _TEXT.decode(raw) or None
    except msgspec.MsgspecError:
        return None


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:32]
