"""The engine: takes requests in from any loop or thread, and drives them in one of its two homes."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import weakref
from collections.abc import Mapping
from typing import Final

import anyio.to_thread

from understudy.config import Config
from understudy.config.credentials import resolve_credentials
from understudy.engine.bridge import BridgedStream, ThreadStream, across
from understudy.engine.call import Drive
from understudy.engine.hangup import HangUp, caller_gone
from understudy.engine.homes import Home, TransportFactory
from understudy.engine.kit import Kit
from understudy.engine.local import answer_locally
from understudy.engine.messages import Ask, Caller, Reply
from understudy.engine.prepare import prepare
from understudy.engine.ways import make_ways
from understudy.errors import RouterClosed
from understudy.portal import Portal

__all__ = ["Engine"]

_log: Final = logging.getLogger("understudy")


class Engine:
    """One router's engine, with two homes: the loop that opened it and the portal's. Other loops bridge there."""

    def __init__(
        self, config: Config, make_transport: TransportFactory, *, only_portal: bool, environ: Mapping[str, str]
    ) -> None:
        self.config = config
        self._make_transport = make_transport
        self._only_portal = only_portal
        self._environ = environ
        self._lock = threading.Lock()
        self._portal = Portal()
        self._home: Home | None = None
        self._portal_home: Home | None = None
        self._kit: Kit | None = None
        self._opened = 0
        self._closed = False
        _engines.add(self)

    # -- opening and closing ---------------------------------------------------------------------------------------

    def ready(self) -> Kit:
        """What calls need, looked up once. Raises ConfigError: keys are missing. RouterClosed: closed, not reopened."""
        if self._closed:
            raise RouterClosed(
                "the router is closed: keep it open as long as the app serves (`async with router:` or `with router:`)"
            )
        if self._kit is None:
            with self._lock:
                if self._kit is None:
                    self._kit = self._make_kit()
        return self._kit

    def _make_kit(self) -> Kit:
        credentials = resolve_credentials(self.config, self._environ)
        for warning in credentials.warnings:
            _log.warning("%s", warning)
        for place in self.config.not_yet():
            _log.warning("%s is declared, and this version does not carry it out yet", place)
        ways = make_ways(self.config, credentials, self._environ)
        return Kit(self.config, ways, credentials.off_routes, credentials.secret)

    def open(self) -> None:
        """Open from synchronous code: calls will go through the portal. Raises ConfigError."""
        self._closed = False
        self.ready()
        with self._lock:
            self._opened += 1

    def close(self) -> None:
        """Close from synchronous code, once for each opening; the last one ends the portal."""
        with self._lock:
            self._opened -= 1
            last = self._opened <= 0
            self._closed = self._closed or last
        if last:
            self._close_portal()

    async def aopen(self) -> None:
        """Open, and make the running loop a home if none is yet. Raises ConfigError."""
        self._closed = False
        self.ready()
        loop = _running_loop()
        with self._lock:
            self._opened += 1
            if loop is None or self._only_portal:
                return
            if self._home is None or self._home.loop.is_closed():
                self._home = Home(self._make_transport)
            if self._home.loop is loop:
                self._home.opened += 1

    async def aclose(self) -> None:
        """Close, once for each opening: connections of this loop at its last one, the portal at the last of all."""
        home = None
        with self._lock:
            self._opened -= 1
            last = self._opened <= 0
            self._closed = self._closed or last
            if self._home is not None and self._home.loop is _running_loop():
                self._home.opened -= 1
                if self._home.opened <= 0 or last:
                    home, self._home = self._home, None
        try:
            if home is not None:
                await home.aclose()
        finally:
            if last and self._portal.loop is not None:
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(self._close_portal)

    def _close_portal(self) -> None:
        with self._lock:
            home, self._portal_home = self._portal_home, None
        if home is not None and self._portal.loop is home.loop:
            self._portal.run(home.aclose)
        self._portal.close()

    def after_fork(self) -> None:
        """In the child of a fork: homes and threads are the parent's. Nothing of them is touched, or collected."""
        _left_behind.extend(home for home in (self._home, self._portal_home) if home is not None)
        self._lock = threading.Lock()
        self._home = self._portal_home = None
        self._portal.forget()

    # -- calls -----------------------------------------------------------------------------------------------------

    async def ask(self, ask: Ask, caller: Caller) -> Reply:
        """The reply to a request, from any loop. Raises RoutingError."""
        kit = self.ready()
        home = self._home
        if home is not None and home.loop is _running_loop():
            return await _drive(kit, home, ask, caller)
        reply = await across(self._portal, lambda: self._in_portal(kit, ask, caller))
        if reply.stream is None:
            return reply
        return Reply(reply.status, reply.headers, b"", BridgedStream(self._portal, reply.stream))

    def ask_sync(self, ask: Ask, caller: Caller) -> tuple[Reply, ThreadStream | None]:
        """The reply to a request of a thread, and its stream if it is one. Raises RoutingError."""
        kit = self.ready()
        reply = self._portal.run(lambda: self._in_portal(kit, ask, caller))
        return reply, None if reply.stream is None else ThreadStream(self._portal, reply.stream)

    async def _in_portal(self, kit: Kit, ask: Ask, caller: Caller) -> Reply:
        home = self._portal_home
        if home is None or home.loop is not asyncio.get_running_loop():
            home = self._portal_home = Home(self._make_transport)
        return await _drive(kit, home, ask, caller)


async def _drive(kit: Kit, home: Home, ask: Ask, caller: Caller) -> Reply:
    reply = answer_locally(kit.config, ask)
    if reply is not None:
        return reply
    prepared = prepare(kit, ask, caller)
    hang_up = HangUp()
    caller.begun(hang_up)
    try:
        return await Drive(kit, prepared, ask, caller).run(home)
    except asyncio.CancelledError:
        if hang_up.taken_back():
            raise caller_gone(prepared.call) from None
        raise
    finally:
        hang_up.disarm()
        caller.ended(hang_up)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None  # trio, or no loop at all


_engines: weakref.WeakSet[Engine] = weakref.WeakSet()
_left_behind: list[Home] = []
"""Homes of the parent process: kept, since collecting them would close what the parent still uses."""


def _after_fork() -> None:
    for engine in list(_engines):
        engine.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
