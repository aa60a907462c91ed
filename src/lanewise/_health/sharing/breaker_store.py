"""Circuits as all workers share them, in Valkey or Redis: one script reads, changes and publishes a circuit.

What a change makes of a circuit is decided in ``breakers/transitions.py``: a worker applies it to the state that it
knows, and the script puts the result in that state's place, if nobody has changed it since. Times are by the store's
own clock.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from lanewise._failures.retry_after import LONGEST_RETRY_AFTER
from lanewise._health.breakers.circuit import BreakerSettings, Circuit, Event
from lanewise._health.breakers.transitions import after

if TYPE_CHECKING:
    import redis

__all__ = ["BreakerStore", "StoredCircuit", "WriteConflict", "channel_of", "circuit_key", "read_news"]

PREFIX: Final = "lanewise:health:"
KEEP_SECONDS: Final = 86_400
"""Seconds for which the store keeps a circuit that nobody changes; one that a person opened it keeps until a person
closes it."""
_TRIES: Final = 40
"""How often a change is applied anew because another worker was faster. Each time one of them gets on."""

_SCRIPT: Final = """
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'hash' and kind ~= 'none' then redis.call('DEL', KEYS[1]) end
local time = redis.call('TIME')
local now = string.format('%d.%06d', time[1], time[2])
local held = redis.call('HMGET', KEYS[1], 'version', 'circuit')
local version = tonumber(held[1] or '0') or 0
if ARGV[2] == '' or ARGV[1] ~= string.format('%.0f', version) then
  return {0, string.format('%.0f', version), now, held[2] or ''}
end
local later = time[1] * 1000 + math.floor(time[2] / 1000)
if later <= version then later = version + 1 end
local name = string.format('%.0f', later)
redis.call('HSET', KEYS[1], 'version', name, 'circuit', ARGV[2])
if ARGV[3] == '0' then redis.call('PERSIST', KEYS[1]) else redis.call('EXPIRE', KEYS[1], ARGV[3]) end
redis.call('PUBLISH', ARGV[4], name .. ' ' .. now .. ' ' .. KEYS[1] .. '\\n' .. ARGV[2])
return {1, name, now, ARGV[2]}
"""
"""A version is the millisecond of its making, so that one that was made after the store forgot all is still a later."""

_ENCODE: Final = msgspec.json.Encoder().encode
_DECODE: Final = msgspec.json.Decoder(Circuit).decode


class WriteConflict(Exception):
    """Other workers were faster, again and again: the change is tried later."""


class StoredCircuit(msgspec.Struct, frozen=True):
    """A circuit as the store has it: ``version`` 0 if it has none. ``clock`` is what the store's clock showed, in
    seconds, less this worker's :func:`time.monotonic`."""

    circuit: Circuit
    version: int
    clock: float


class BreakerStore:
    """Reads and changes circuits. For one thread.

    Raises redis.RedisError, in all methods.

    Example::

        kept = BreakerStore(client).change(key, None, [ByHand(open=True)], BreakerSettings())
    """

    def __init__(self, client: redis.Redis) -> None:
        self._script = client.register_script(_SCRIPT)
        self._channel = channel_of(client)

    def read(self, key: str) -> StoredCircuit:
        """A circuit as it is now."""
        return self._run(key, 0, None)[1]

    def change(
        self, key: str, known: StoredCircuit | None, events: Sequence[Event], settings: BreakerSettings
    ) -> StoredCircuit:
        """Apply events to a circuit, one after the other. ``known`` is how this worker knows it, which saves a round.

        Raises WriteConflict.
        """
        stored = known or self.read(key)
        is_fresh = known is None
        for _ in range(_TRIES):
            circuit = stored.circuit
            now = time.monotonic() + stored.clock
            for event in events:
                circuit = after(circuit, event, now, settings)
            if circuit is stored.circuit and is_fresh:
                return stored
            changed, stored = self._run(key, stored.version, None if circuit is stored.circuit else circuit)
            if changed:
                return stored
            is_fresh = True
        raise WriteConflict(key)

    def put(self, key: str, known: StoredCircuit, circuit: Circuit) -> StoredCircuit:
        """Put a circuit in the place of the one that is known; gives what is there then, which may be another's."""
        return self._run(key, known.version, circuit)[1]

    def _run(self, key: str, version: int, circuit: Circuit | None) -> tuple[bool, StoredCircuit]:
        keep_seconds = 0 if circuit is not None and circuit.by_hand else KEEP_SECONDS
        written = b"" if circuit is None else _ENCODE(circuit)
        sent = time.monotonic()
        changed, new_version, now, held = self._script(keys=[key], args=[version, written, keep_seconds, self._channel])
        clock = float(now) - (sent + time.monotonic()) / 2
        return bool(changed), StoredCircuit(_sane(held, float(now)), int(new_version), clock)


def channel_of(client: redis.Redis) -> str:
    """The channel on which changes are published. A channel spans all databases of a server, so each has one of its
    own: production and staging may be two of them.
    """
    return f"{PREFIX}news:{client.get_connection_kwargs().get('db') or 0}"


def circuit_key(name: str, *identity: str) -> str:
    """The key of a circuit: its name, and a digest of what it stands for, so that two apps with a route of one name and
    different models don't meet.

    Example::

        circuit_key("route flagship chat", "https://api.openai.com/v1", "gpt-5.5")
    """
    digest = hashlib.sha256("\0".join((name, *identity)).encode("utf-8", "surrogatepass")).hexdigest()
    return f"{PREFIX}{digest[:12]}:{name}"


def read_news(message: bytes) -> tuple[str, StoredCircuit] | None:
    """A message of the channel: the key, and the circuit. ``None`` if it is garbage."""
    head, _, circuit = message.partition(b"\n")
    try:
        version, now, key = head.decode().split(" ", 2)
        clock = float(now)
        return key, StoredCircuit(_sane(circuit, clock), int(version), clock - time.monotonic())
    except ValueError:
        return None


def _sane(stored: bytes, now: float) -> Circuit:
    """The circuit that is stored; one that is closed, if what is stored is none that a worker could have made."""
    try:
        circuit = _DECODE(stored)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return Circuit()
    longest = now + 2 * LONGEST_RETRY_AFTER
    opened = circuit.open_until
    believable = circuit.by_hand or opened is None or opened < longest
    whole = (opened is None) == (circuit.why is None) and (circuit.limited_until or 0.0) < longest
    throttled = circuit.throttled_at is None or (opened is not None and circuit.slot_at < longest)
    whole = whole and throttled
    return circuit if believable and whole and circuit.generation >= 0 and circuit.consecutive_opens >= 0 else Circuit()
