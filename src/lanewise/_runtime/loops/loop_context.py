"""An event loop in which calls are driven, with the connections that belong to it: one of a router's two homes."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from typing import Final, Protocol

import anyio

from lanewise._process_hooks import Ending, at_exit, at_fork
from lanewise._runtime.sinks import Recording
from lanewise._transport import Transport
from lanewise._transport.loop_lag import LoopLag
from lanewise.errors import RouterClosed, RoutingError
from lanewise.types import Call

__all__ = ["Endable", "LoopContext", "TransportFactory"]

TransportFactory = Callable[[str, LoopLag], Transport]
"""Makes the transport of a provider, for a loop with this lag; providers may share one."""

CLOSE: Final = 2.0
"""Seconds that closing takes at most, whatever the peers do."""


class Endable(Protocol):
    """What runs in a loop: a call, or a committed stream."""

    def end(self, make_error: Callable[[Call | None], RoutingError]) -> None:
        """End it with the error that ``make_error`` makes. Does nothing if it has ended. In its own loop."""
        ...


class LoopContext:
    """Made in the loop that it serves. ``opened`` counts how often that loop has opened the router."""

    def __init__(self, make_transport: TransportFactory, recording: Recording) -> None:
        self.loop = asyncio.get_running_loop()
        self.lag = LoopLag(self.loop, on_beat=recording.loop_lag, on_lost=recording.loop_late)
        self.opened = 0
        self._make_transport = make_transport
        self._transports: dict[str, Transport] = {}
        self._calls: set[Endable] = set()
        self._streams: weakref.WeakSet[Endable] = weakref.WeakSet()
        self._idle = asyncio.Event()
        self._closed = False
        _forget_dead()
        _open.add(self)

    def transport(self, provider: str) -> Transport:
        """The transport of a provider's attempts, made at the first use. Raises RouterClosed."""
        if self._closed:
            raise _closed()
        transport = self._transports.get(provider)
        if transport is None:
            transport = self._transports[provider] = self._make_transport(provider, self.lag)
        return transport

    def enter(self, call: Endable) -> None:
        """Note a call that runs here from now on. Raises RouterClosed."""
        if self._closed:
            raise _closed()
        self._calls.add(call)

    def leave(self, call: Endable) -> None:
        """Note that a call no longer runs."""
        self._calls.discard(call)
        if self._closed and not self._calls:
            self._idle.set()

    def keep(self, stream: Endable) -> None:
        """Note a call's committed stream, which closing ends. It need not be taken back."""
        self._streams.add(stream)

    async def aclose(self) -> None:
        """End what runs here with RouterClosed, and close all connections."""
        self._closed = True
        for running in (*self._calls, *self._streams):
            running.end(_router_closed)
        with anyio.move_on_after(CLOSE, shield=True):
            if self._calls:
                await self._idle.wait()
            for transport in self._own_transports():
                await transport.aclose()
        self.forget()

    def forget(self) -> None:
        """Let go of all connections without the loop: it may be closed, or the parent's of a fork."""
        self._closed = True
        for transport in self._own_transports():
            transport.forget()
        self._transports.clear()
        _open.discard(self)

    def _own_transports(self) -> list[Transport]:
        return list({id(transport): transport for transport in self._transports.values()}.values())


def _closed() -> RouterClosed:
    """The error of a call that begins in a loop whose router was closed."""
    return RouterClosed(
        "the router was closed while a call ran or was begun; keep it open as long as the app serves "
        "(`async with router:`), or open it again"
    )


def _router_closed(call: Call | None) -> RoutingError:
    """The error of a call whose router is closed while it runs; of one that has no record yet, ``None``."""
    if call is None:
        return RouterClosed("the router was closed before a call was sent")
    return RouterClosed(f"the router was closed while task {call.task!r} was being answered. [call {call.id}]", call)


_open: set[LoopContext] = set()
"""Kept until they are closed: a pool that is left to the garbage collector complains, and closes what it should not."""
_left_behind: list[LoopContext] = []
"""Homes of the parent process, in the child of a fork: what runs in them is not collected either."""


def _forget_dead() -> None:
    for loop_context in tuple(_open):
        if loop_context.loop.is_closed():
            loop_context.forget()


def _at_exit() -> None:
    for loop_context in tuple(_open):
        if not loop_context.loop.is_running():  # the portal's runs, and closes its home itself
            loop_context.forget()


def _after_fork() -> None:
    _left_behind.extend(_open)
    for loop_context in tuple(_open):
        loop_context.forget()


at_exit(Ending.CONNECTIONS, _at_exit)
at_fork(_after_fork)
