"""Answers kept to be given again by all workers, in Valkey or Redis: asked by a thread, so that nobody waits for it.

A key of the store holds either a claim (``c``, its owner, a space and its sign of life) or an answer (``a`` and the
sealed bytes); both go by themselves when their time is over. Each step is one script, so that no worker comes between.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec

from lanewise import _store as connection
from lanewise._replay.replays import Claimed, ReplaysUnavailable, Unclaimed
from lanewise.config.environment.store_address import StoreAddress

if TYPE_CHECKING:
    import redis

__all__ = ["SharedReplays"]

PREFIX: Final = "lanewise:replay:"
PAUSE: Final = 1.0
"""Seconds for which a store that failed is left alone: calls go on at once, without replay."""
OWED_BYTES: Final = 16_000_000
"""How much of what a failing store could not take waits for it to come back; beyond that the oldest is forgotten."""
CLOSE: Final = 3.0
"""Seconds that closing waits for the store at most."""

_CLAIM: Final = """
local held = redis.call('GET', KEYS[1])
if not held then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return false end
if #held > tonumber(ARGV[3]) then return 'larger than any answer of ours' end
return held
"""
_IS_OWN: Final = """
local held = redis.call('GET', KEYS[1])
local own = held and string.sub(held, 1, #ARGV[1]) == ARGV[1]
"""
_ANSWER: Final = _IS_OWN + "if own or not held then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end return false"
_RENEW: Final = _IS_OWN + "if own then redis.call('SET', KEYS[1], ARGV[1] .. ARGV[2], 'PX', ARGV[3]) end return false"
_RELEASE: Final = _IS_OWN + "if own then redis.call('DEL', KEYS[1]) end return false"


class _Command(msgspec.Struct, gc=False):
    """A script, its key and what it is given. ``waiter`` gets the result; without one the command is owed."""

    script: str
    key: str
    values: tuple[str | bytes, ...]
    waiter: connection.StoreWaiter | None = None

    @property
    def size(self) -> int:
        return 200 + sum(map(len, self.values))

    @property
    def is_moot(self) -> bool:
        return self.waiter is not None and self.waiter.given_up


class SharedReplays:
    """The :class:`~lanewise._replay.replays.Replays` of all workers. ``largest`` is the most that an answer may have.

    Its thread starts at the first use in a process. A store that fails costs nobody more than ``within``: for a second
    after it everything goes on at once, and what it did not take is brought again when it is back.
    """

    def __init__(self, address: StoreAddress, largest: int) -> None:
        import redis  # noqa: F401 - not only at the first call, which waits for some milliseconds

        self._address = address
        self._largest = largest
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.RLock()  # re-entrant: collecting garbage closes streams, wherever that happens
        self._store_thread: _StoreThread | None = None

    async def claim(
        self, key: str, owner: str, sign: bytes, *, lease: float, within: float
    ) -> Unclaimed | Claimed | bytes:
        """The answer of a key; or whose turn it is to make it. Waits for ``within`` seconds at most."""
        if self._store_thread is not None and self._store_thread.waits_longer_than(within):
            raise ReplaysUnavailable("the store does not answer")  # and would not to this one either
        waiter = connection.StoreWaiter()
        try:
            self._put(_Command(_CLAIM, key, (_claim(owner) + sign, _ms(lease), str(self._largest + 1)), waiter))
        except RuntimeError:
            raise ReplaysUnavailable("no thread can be started") from None
        try:
            result = await waiter.wait(within)
        except TimeoutError:
            raise ReplaysUnavailable(f"the store did not answer within {within * 1000:.0f} ms") from None
        return _read(result)

    def answer(self, key: str, owner: str, sealed: bytes, *, keep: float) -> None:
        """Keep an answer, unless another owner has claimed the key since, or has answered."""
        self._put(_Command(_ANSWER, key, (_claim(owner), b"a" + sealed, _ms(keep))))

    def renew(self, key: str, owner: str, sign: bytes, *, lease: float) -> None:
        """Let a claim last for longer, with another sign of life, if it is the owner's."""
        self._put(_Command(_RENEW, key, (_claim(owner), sign, _ms(lease))))

    def release(self, key: str, owner: str) -> None:
        """Give a claim up, if it is the owner's."""
        self._put(_Command(_RELEASE, key, (_claim(owner),)))

    def close(self) -> None:
        """Bring what is waiting, and end the thread. Usable again afterwards."""
        with self._lock:
            thread, self._store_thread = self._store_thread, None
        if thread is not None:
            thread.close()

    def after_fork(self) -> None:
        """In the child of a fork: the thread, and what waits for it, are the parent's."""
        self._begin()

    def _put(self, command: _Command) -> None:
        with self._lock:
            if self._store_thread is None:
                if command.waiter is None:
                    return  # the end of a call of the parent process, or dropped after the close
                self._store_thread = _StoreThread(self._address)
            self._store_thread.commands.put(command)


class _StoreThread:
    """The thread that talks to the store."""

    def __init__(self, address: StoreAddress) -> None:
        self.commands: queue.SimpleQueue[_Command | None] = queue.SimpleQueue()
        self._address = address
        self._owed: deque[_Command] = deque()
        self._owed_bytes = 0
        self._paused_until = 0.0
        self._reason = ""
        self._sent_at: float | None = None
        self._thread = threading.Thread(target=self._serve, name="lanewise-replays", daemon=True)
        self._thread.start()

    def waits_longer_than(self, seconds: float) -> bool:
        """Whether it has waited for the store for longer than that. From any thread."""
        sent_at = self._sent_at
        return sent_at is not None and time.monotonic() - sent_at > seconds

    def close(self) -> None:
        """Have the thread end after what has been put. Waits some seconds at most."""
        self.commands.put(None)
        if threading.current_thread() is not self._thread:
            self._thread.join(CLOSE)

    def _serve(self) -> None:
        ended = False
        with contextlib.closing(connection.client(self._address)) as store:
            while not ended:
                batch, ended = self._next()
                if ended:
                    self._paused_until = 0.0  # the last chance of what is owed
                self._bring(store, [command for command in batch if not command.is_moot])
                self._bring_owed(store)

    def _next(self) -> tuple[list[_Command], bool]:
        """What has been put since, nothing if it is time to bring again what is owed; and whether that was all."""
        timeout = max(0.0, self._paused_until - time.monotonic()) if self._owed else None
        return connection.next_batch(self.commands, timeout)

    def _bring_owed(self, store: redis.Redis) -> None:
        while self._owed and time.monotonic() >= self._paused_until:
            command = self._owed.popleft()
            self._owed_bytes -= command.size
            self._bring(store, [command])

    def _bring(self, store: redis.Redis, commands: list[_Command]) -> None:
        if not commands:
            return
        if time.monotonic() < self._paused_until:
            self._put_off(commands)
            return
        self._sent_at = time.monotonic()
        try:
            results = self._send(store, commands)
        except Exception as error:  # noqa: BLE001 - the border of a foreign store
            self._reason = f"the store does not answer ({type(error).__name__})"
            self._paused_until = time.monotonic() + PAUSE
            self._put_off(commands)
            return
        finally:
            self._sent_at = None
        for command, result in zip(commands, results, strict=True):
            self._done(command, result)

    def _send(self, store: redis.Redis, commands: list[_Command]) -> list[object]:
        pipe = store.pipeline(transaction=False)
        for command in commands:
            pipe.eval(command.script, 1, PREFIX + command.key, *command.values)
        return pipe.execute(raise_on_error=False)

    def _done(self, command: _Command, result: object) -> None:
        if command.waiter is not None:
            command.waiter.deliver(result)
        elif isinstance(result, Exception) and command.script is _ANSWER:
            self._owe(_Command(_RELEASE, command.key, command.values[:1]))  # it has no room, say: let others go on

    def _put_off(self, commands: list[_Command]) -> None:
        for command in commands:
            if command.waiter is None:
                self._owe(command)
            else:
                command.waiter.deliver(ReplaysUnavailable(self._reason))

    def _owe(self, command: _Command) -> None:
        self._owed.append(command)
        self._owed_bytes += command.size
        while self._owed_bytes > OWED_BYTES:
            self._owed_bytes -= self._owed.popleft().size


def _read(result: object) -> Unclaimed | Claimed | bytes:
    """What the claim's script gave. Raises ReplaysUnavailable."""
    if result is None:
        return Unclaimed.OURS
    if isinstance(result, ReplaysUnavailable):
        raise ReplaysUnavailable(str(result))
    if isinstance(result, Exception):
        raise ReplaysUnavailable(f"the store refused ({type(result).__name__})")
    if isinstance(result, bytes) and result[:1] == b"c":
        owner, _, sign = result[1:].partition(b" ")
        return Claimed(owner.decode("ascii", "replace"), sign)
    if isinstance(result, bytes) and result[:1] == b"a":
        return result[1:]
    raise ReplaysUnavailable("what is stored is nothing of ours")


def _claim(owner: str) -> bytes:
    return f"c{owner} ".encode()


def _ms(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))
