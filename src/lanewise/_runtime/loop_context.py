"""A home: one event loop in which calls are driven, with the connections that belong to it."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from typing import Final

import anyio

from lanewise._process_hooks import Ending, at_exit, at_fork
from lanewise._runtime.call.cancellation import CallCancellation, router_closed
from lanewise._runtime.call.committed_stream import CommittedStream
from lanewise._runtime.recording import Recording
from lanewise._runtime.recording_stream import RecordingStream
from lanewise._transport import Transport
from lanewise._transport.loop_lag import LoopLag
from lanewise.errors import RouterClosed
from lanewise.types import Call

__all__ = ["LoopContext", "TransportFactory"]

TransportFactory = Callable[[str, LoopLag], Transport]
"""Makes the transport of a provider, for a loop with this lag; providers may share one."""

CLOSE: Final = 2.0
"""Seconds that closing takes at most, whatever the peers do."""


class LoopContext:
    """Made in the loop that it serves. ``opened`` counts how often that loop has opened the router."""

    def __init__(self, make_transport: TransportFactory, recording: Recording) -> None:
        self.loop = asyncio.get_running_loop()
        self.lag = LoopLag(self.loop, on_beat=recording.loop_lag, on_lost=recording.loop_late)
        self.opened = 0
        self._make_transport = make_transport
        self._transports: dict[str, Transport] = {}
        self._calls: set[CallCancellation] = set()
        self._streams: weakref.WeakKeyDictionary[CommittedStream | RecordingStream, Call] = weakref.WeakKeyDictionary()
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

    def enter(self, call: CallCancellation) -> None:
        """Note a call that runs here from now on. Raises RouterClosed."""
        self._check_open()
        self._calls.add(call)

    def leave(self, call: CallCancellation) -> None:
        """Note that a call no longer runs."""
        self._calls.discard(call)
        if self._closed and not self._calls:
            self._idle.set()

    def keep(self, stream: CommittedStream | RecordingStream, call: Call) -> None:
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
