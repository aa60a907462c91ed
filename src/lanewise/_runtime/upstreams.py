"""What is made once a route: its request transform, its URLs and header templates, and where its key comes from."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from urllib.parse import parse_qsl, urlencode, urlsplit

from lanewise._failures.signals import TransportFailure, TransportSignal
from lanewise._runtime.messages import API_OF_PATH
from lanewise._transform.request_transform import RequestTransform
from lanewise._transport import Target
from lanewise._transport.local_trouble import LACKING, NOT_SENT, trouble_in
from lanewise._transport.proxy import resolve_proxy
from lanewise.config import Config, Provider, Route
from lanewise.config.environment.credentials import Credentials, key_header
from lanewise.types import Api
from lanewise.version import __version__

__all__ = ["KeyUnavailable", "Upstream", "build_upstreams"]


class KeyUnavailable(Exception):
    """The app's function for a key failed; an error shows its name and the class of what it raised, and no more."""


class Upstream:
    """A route, ready to be used."""

    __slots__ = ("_key", "_own_headers", "host", "provider", "route", "targets", "transform")

    def __init__(self, route: Route, provider: Provider, key: object, proxy: str | None) -> None:
        self.route = route
        self.provider = provider
        self.transform = RequestTransform(route)
        self.host = urlsplit(provider.base_url).hostname or ""
        self._key: Callable[[], str | Awaitable[str]] | None = None
        headers = [("Content-Type", "application/json"), ("Accept", "application/json")]
        headers += [("User-Agent", f"lanewise/{__version__}"), *provider.headers.items()]
        if isinstance(key, str):
            headers.append(key_header(provider, key))
        elif callable(key):
            self._key = key
        self._own_headers = frozenset(name.lower() for name in (provider.auth_header, *provider.headers))
        query = f"?{urlencode(provider.query)}" if provider.query else ""
        base = provider.base_url.rstrip("/")
        self.targets: Mapping[Api, Target] = {
            api: Target(f"{base}/{path}{query}", tuple(headers), proxy) for path, api in API_OF_PATH.items()
        }

    def __repr__(self) -> str:
        return f"<Way {self.route.name}>"

    def target(self, api: Api, query: str) -> Target:
        """Where an attempt goes; a query that the app added is kept, but for what the config sets."""
        target = self.targets[api]
        if query and self.provider.query:
            own = self.provider.query
            query = urlencode([field for field in parse_qsl(query, keep_blank_values=True) if field[0] not in own])
        if not query:
            return target
        return Target(f"{target.url}{'&' if '?' in target.url else '?'}{query}", target.headers, target.proxy)

    def stored_target(self, path: str, query: str) -> Target:
        """Where a request for a stored answer goes; ``path`` is below the base URL."""
        target = self.target(Api.CHAT, query)
        base = self.provider.base_url.rstrip("/")
        _, mark, rest = target.url.partition("?")
        return Target(f"{base}/{path}{mark}{rest}", target.headers, target.proxy)

    def allowed(self, headers: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """The app's own header fields, without those that the config sets, the key's among them."""
        return [field for field in headers if field[0].lower() not in self._own_headers]

    async def key_headers(self, deadline: float) -> tuple[tuple[str, str], ...]:
        """The header with the key, where a function gives it; one that is not ``async`` may block: it has a thread.

        ``deadline`` is by the loop's clock. Raises KeyUnavailable. TransportFailure: this process lacks what
        asking takes.
        """
        if self._key is None:
            return ()
        try:
            async with asyncio.timeout_at(deadline):
                key = await _ask_for(self._key)
            header = key_header(self.provider, key)
        except Exception as error:  # noqa: BLE001 - the app's function may raise anything
            failure = _failure_of(error, self.provider.name)
        else:
            return (header,)
        raise failure


def _failure_of(error: Exception, provider: str) -> KeyUnavailable | TransportFailure:
    trouble = trouble_in(error)
    if trouble in LACKING:
        return TransportFailure(TransportSignal.LOCAL_TROUBLE, NOT_SENT[trouble], trouble=trouble)
    return KeyUnavailable(f"the function for the key of {provider} raised {type(error).__name__}")


async def _ask_for(function: Callable[[], str | Awaitable[str]]) -> str:
    if _is_async(function):
        key = function()
    else:
        key = await asyncio.get_running_loop().run_in_executor(None, function)
    return await key if inspect.isawaitable(key) else key


def _is_async(function: Callable[[], object]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def build_upstreams(config: Config, credentials: Credentials, environ: Mapping[str, str]) -> dict[str, Upstream]:
    """A way for each route that has what it needs."""
    proxies = {
        provider.name: resolve_proxy(provider.base_url, config.router.proxy, environ)
        for provider in config.providers.values()
    }
    upstreams = {}
    for route in config.routes.values():
        if route.name not in credentials.off_routes:
            name = route.provider
            upstreams[route.name] = Upstream(route, config.providers[name], credentials.key(name), proxies[name])
    return upstreams
