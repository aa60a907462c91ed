"""Which behaviour is next: scripts by model, path or for all, and the behaviours that depend on what came before."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from lanewise.testing.answers import model_object, models_list, unsupported_parameter
from lanewise.testing.behaviours import (
    Answer,
    Behaviour,
    Close,
    Cycle,
    Drip,
    Flapping,
    JsonBody,
    RejectParameters,
    RequestQuota,
    Reset,
    SlowHeaders,
    Status,
    TokenQuota,
    TruncatedBody,
)
from lanewise.testing.journal import Asked, Received

__all__ = ["Resolved", "Scripted", "Scripts"]

_DEFAULT = Answer()
_UNKNOWN_URL = Status(404, {"message": "Unknown request URL.", "code": "unknown_url"})


Scripted = Behaviour | Callable[[Received], Behaviour]
"""What a script is made of: behaviours, and callables that take the request and return one.

Such a callable is called in the provider's thread, which serves nobody else meanwhile.
"""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A behaviour that depends on nothing any more, and headers that come with it."""

    behaviour: Behaviour
    headers: Mapping[str, str]


@dataclass(slots=True)
class _Script:
    behaviours: Sequence[Scripted]
    since: float
    position: int = 0

    def current(self) -> Scripted:
        return self.behaviours[self.position]

    def advance(self) -> None:
        """The last behaviour repeats."""
        self.position = min(self.position + 1, len(self.behaviours) - 1)


@dataclass(slots=True)
class _Use:
    """What was used of one behaviour object. Holds the object, so that its identity is not given to another."""

    of: Behaviour
    since: float
    amount: int = 0


class Scripts:
    """The scripts of one provider. A path's script goes first, then the model's, then the one for all models."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._scripts: dict[str | None, _Script] = {}
        self._uses: dict[int, _Use] = {}

    def set(self, key: str | None, behaviours: Sequence[Scripted]) -> None:
        """Replaces the script of a model, of a path (it begins with a slash), or of all models (``None``).

        Raises:
            ValueError: no behaviour was given.
            TypeError: something is neither a behaviour nor callable.
        """
        if not behaviours:
            raise ValueError("a script needs at least one behaviour")
        for behaviour in behaviours:
            if not isinstance(behaviour, Behaviour) and not callable(behaviour):
                raise TypeError(f"a script is made of behaviours, not of {type(behaviour).__name__}")
        with self._lock:
            self._scripts[key] = _Script(tuple(behaviours), time.monotonic())

    def clear(self) -> None:
        """Forgets all scripts and quotas."""
        with self._lock:
            self._scripts.clear()
            self._uses.clear()

    def models(self) -> list[str]:
        """The models that have a script."""
        return [key for key in self._scripts if key is not None and not key.startswith("/")]

    def at_accept(self) -> Behaviour | None:
        """What to do with a connection before anything was read from it, if anything."""
        with self._lock:
            script = self._scripts.get(None)
            if script is None:
                return None
            current = script.current()
            if not isinstance(current, Reset | Close) or current.when != "accept":
                return None
            script.advance()
            return current

    def next(self, received: Received) -> Resolved:
        """The behaviour for this request; the script moves on."""
        script = self._script_of(received)
        if script is None:
            return Resolved(self._unscripted(received), {})
        with self._lock:
            scripted = script.current()
            script.advance()
        return self._resolve(scripted, received, script.since)

    def _script_of(self, received: Received) -> _Script | None:
        for key, script in list(self._scripts.items()):
            if key is not None and key.startswith("/") and received.path.endswith(key):
                return script
        if received.asked in (Asked.MODELS, Asked.OTHER):
            return None
        return self._scripts.get(received.model) or self._scripts.get(None)

    def _unscripted(self, received: Received) -> Behaviour:
        if received.asked is Asked.MODELS:
            _, _, name = received.path.partition("/models/")
            return JsonBody(model_object(name) if name else models_list(self.models() or ["fake-model"]))
        return _UNKNOWN_URL if received.asked is Asked.OTHER else _DEFAULT

    def _resolve(self, scripted: Scripted, received: Received, since: float) -> Resolved:
        behaviour = scripted if isinstance(scripted, Behaviour) else scripted(received)
        match behaviour:
            case Flapping():
                phase = int((time.monotonic() - since) / behaviour.period)
                return self._resolve(behaviour.down if phase % 2 else behaviour.up, received, since)
            case Cycle():
                use = self._use(behaviour)
                turn = use.amount % len(behaviour.behaviours)
                use.amount += 1
                return self._resolve(behaviour.behaviours[turn], received, since)
            case TokenQuota():
                cost = _tokens(behaviour.then, received)
                return self._within(behaviour, behaviour.tokens, cost, "tokens", received, since)
            case RequestQuota():
                return self._within(behaviour, behaviour.requests, 1, "requests", received, since)
            case RejectParameters():
                names = (behaviour.names,) if isinstance(behaviour.names, str) else behaviour.names
                for name in names:
                    if name in received.json:
                        status, body = unsupported_parameter(name, behaviour)
                        return Resolved(JsonBody(body, status), {})
                return self._resolve(behaviour.then, received, since)
            case SlowHeaders() | Drip() | TruncatedBody() | Reset() | Close():
                inner = self._resolve(behaviour.then, received, since)
                return Resolved(replace(behaviour, then=inner.behaviour), inner.headers)
            case _:
                return Resolved(behaviour, {})

    def _use(self, behaviour: Behaviour) -> _Use:
        return self._uses.setdefault(id(behaviour), _Use(behaviour, time.monotonic()))

    def _within(
        self,
        quota: TokenQuota | RequestQuota,
        limit: int,
        cost: int,
        unit: str,
        received: Received,
        since: float,
    ) -> Resolved:
        """What the quota's answer is while it lasts, else 429."""
        use = self._use(quota)
        now = time.monotonic()
        if now - use.since >= quota.window:
            use.since, use.amount = now, 0
        left = use.since + quota.window - now
        fits = use.amount + cost <= limit
        if fits:
            use.amount += cost
        headers = {
            f"x-ratelimit-limit-{unit}": str(limit),
            f"x-ratelimit-remaining-{unit}": str(limit - use.amount),
            f"x-ratelimit-reset-{unit}": f"{left:.3f}s",
        }
        if fits:
            inner = self._resolve(quota.then, received, since)
            return Resolved(inner.behaviour, {**headers, **inner.headers})
        if cost > limit:
            message = f"Request too large for {received.model} on {unit} per min: Limit {limit}, Requested {cost}."
            return Resolved(Status(429, {"message": message, "type": unit}), headers)
        headers["retry-after-ms"] = str(math.ceil(left * 1000))
        message = f"Rate limit reached for {received.model} on {unit} per min: Limit {limit}."
        limited = Status(429, {"message": message, "type": unit}, retry_after=math.ceil(left))
        return Resolved(limited, headers)


def _tokens(behaviour: Behaviour, received: Received) -> int:
    usage = behaviour.usage if isinstance(behaviour, Answer) else None
    return len(received.body) // 4 if usage is None else sum(usage)
