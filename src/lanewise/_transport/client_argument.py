"""The HTTP clients that an app gives for the way to its providers: what they may be, and whether these are right."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import httpx2

from lanewise.config import Config

__all__ = ["HttpClients", "check_clients", "has_instances"]

HandedClient = httpx2.AsyncClient | Callable[[], httpx2.AsyncClient]
HttpClients = HandedClient | Mapping[str, HandedClient]
"""An httpx2 client for the way to the providers, or a function that makes one; or one of these by provider."""


def check_clients(given: HttpClients | None, config: Config) -> None:
    """A client that would not be used, or could not, is told at once: it may be there for the sake of its mTLS."""
    clients: Mapping[str, object] = given if isinstance(given, Mapping) else {"": given}
    if isinstance(given, Mapping) and (unknown := given.keys() - config.providers.keys()):
        known = ", ".join(config.providers)
        raise ValueError(f"http_client is for an unknown provider, {min(unknown)!r}; the config has: {known}")
    for client in clients.values():
        if client is not None and not isinstance(client, httpx2.AsyncClient) and not callable(client):
            raise TypeError(
                f"http_client takes an httpx2.AsyncClient or a function that makes one, not {type(client).__name__} "
                f"of {type(client).__module__}"
            )


def has_instances(given: HttpClients | None) -> bool:
    """Whether a client is given as it is, and not a function that makes one."""
    clients = given.values() if isinstance(given, Mapping) else (given,)
    return any(isinstance(client, httpx2.AsyncClient) for client in clients)
