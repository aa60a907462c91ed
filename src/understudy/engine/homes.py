"""A home: one event loop in which calls are driven, with the connections that belong to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from understudy.errors import RouterClosed
from understudy.transport import Transport

__all__ = ["Home", "TransportFactory"]

TransportFactory = Callable[[str], Transport]
"""Makes the transport of a provider; providers may share one."""


class Home:
    """Made in the loop that it serves. ``opened`` counts how often that loop has opened the router."""

    def __init__(self, make_transport: TransportFactory) -> None:
        self.loop = asyncio.get_running_loop()
        self.opened = 0
        self._make_transport = make_transport
        self._transports: dict[str, Transport] = {}
        self._closed = False

    def transport(self, provider: str) -> Transport:
        """The transport of a provider's attempts, made at the first use. Raises RouterClosed."""
        if self._closed:
            raise RouterClosed(
                "the router was closed while a call ran or was begun; keep it open as long as the app serves "
                "(`async with router:`), or open it again"
            )
        transport = self._transports.get(provider)
        if transport is None:
            transport = self._transports[provider] = self._make_transport(provider)
        return transport

    async def aclose(self) -> None:
        """Close all connections. What still runs here ends with RouterClosed."""
        self._closed = True
        transports = {id(transport): transport for transport in self._transports.values()}
        self._transports.clear()
        for transport in transports.values():
            await transport.aclose()
