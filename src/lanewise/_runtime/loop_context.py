"""A home: one event loop in which calls are driven, with the connections that belong to it."""

from __future__ import annotations

import asyncio
import atexit
import os
import weakref
from collections.abc import Callable
from typing import Final

import anyio

from lanewise._runtime.call.cancellation import HangUp, router_closed
from lanewise._runtime.call.committed_stream import Relay
from lanewise._runtime.recording import Recording
from lanewise._runtime.recording_stream import Tape
from lanewise._transport import Transport
from lanewise._transport.loop_lag import LoopLag
from lanewise.errors import RouterClosed
from lanewise.types import Call

__all__ = ["Home", "TransportFactory"]

TransportFactory = Callable[[str, LoopLag], Transport]
"""Makes the transport of a provider, for a loop with this lag; providers may share one."""

CLOSE: Final = 2.0
"""Seconds that closing takes at most, whatever the peers do."""


class Home:
    """Made in the loop that it serves. ``opened`` counts how often that loop has opened the router."""

    def __init__(self, make_transport: TransportFactory, recording: Recording) -> None:
        self.loop = asyncio.get_running_loop()
        self.lag = LoopLag(self.loop, on_beat=recording.loop_lag, on_lost=recording.loop_late)
        self.opened = 0
        self._make_transport = make_transport
        self._transports: dict[str, Transport] = {}
        self._calls: set[HangUp] = set()
        self._streams: weakref.WeakKeyDictionary[Relay | Tape, Call] = weakref.WeakKeyDictionary()
        self._idle = asyncio.Event()
        self._closed = False
        _forget_dead()
        _open.add(self)

    def transport(self, provider: str) -> Transport:
        """The transport of a provider's attempts, made at the first use. Raises RouterClosed."""
        self._check_open()
        transport = self._transports.get(provider)
        if transport is None:
            transport = self._transports[provider] = self._make_transport(provider, self.lag)
        return transport

    def enter(self, call: HangUp) -> None:
        """Note a call that runs here from now on. Raises RouterClosed."""
        self._check_open()
        self._calls.add(call)

    def leave(self, call: HangUp) -> None:
        """Note that a call no longer runs."""
        self._calls.discard(call)
        if self._closed and not self._calls:
            self._idle.set()

    def keep(self, stream: Relay | Tape, call: Call) -> None:
        """Note a call's committed stream, which closing ends. It need not be taken back."""
        self._streams[stream] = call

    async def aclose(self) -> None:
        """End what runs here with RouterClosed, and close all connections."""
        self._closed = True
        for running in tuple(self._calls):
            running.end(router_closed)
        for stream, call in tuple(self._streams.items()):
            stream.end(router_closed(call))
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

    def _check_open(self) -> None:
        if self._closed:
            raise RouterClosed(
                "the router was closed while a call ran or was begun; keep it open as long as the app serves "
                "(`async with router:`), or open it again"
            )


_open: set[Home] = set()
"""Kept until they are closed: a pool that is left to the garbage collector complains, and closes what it should not."""
_left_behind: list[Home] = []
"""Homes of the parent process, in the child of a fork: what runs in them is not collected either."""


def _forget_dead() -> None:
    for home in tuple(_open):
        if home.loop.is_closed():
            home.forget()


def _at_exit() -> None:
    for home in tuple(_open):
        if not home.loop.is_running():  # the portal's runs, and closes its home itself
            home.forget()


def _after_fork() -> None:
    _left_behind.extend(_open)
    for home in tuple(_open):
        home.forget()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
