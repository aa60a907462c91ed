"""The router as an app holds it: made from a config, opened and closed with the app, giving scopes and clients."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import UUID

import httpx2

from lanewise._client.http_clients import RoutedAsyncHttpClient, RoutedHttpClient
from lanewise._client.router_scopes import RouterScopes
from lanewise._reviews import Review, Reviews, SyncReviews
from lanewise._runtime.engine import Engine
from lanewise._runtime.loops.loop_context import TransportFactory
from lanewise._runtime.preloading import preload
from lanewise._telemetry.scoring import score_of
from lanewise._transport import Transport
from lanewise._transport.aiohttp_transport import AiohttpTransport
from lanewise._transport.httpx_transport import HttpClients, HttpxTransport, check_clients, has_instances
from lanewise._transport.loop_lag import LoopLag
from lanewise.config import Config
from lanewise.errors import RoutingError
from lanewise.scope import Scope
from lanewise.types import Call, HealthReport, LaneName
from lanewise.types.sinks import Record, Sink

__all__ = ["Router", "scopes_of"]


class Router:
    """Routes the OpenAI calls of an app.

    ``http_client`` takes the place of the router's own connections to the providers: an ``httpx2.AsyncClient`` (mTLS,
    proxies of its own), or better a function that makes one, since the router may need one for each of its two loops;
    a mapping gives them by provider. A client that is handed in as it is stays the app's to close, and is only used in
    the router's own thread.

    Raises ConfigError: the config is wrong (when it is read) or keys are missing (when the router opens). TypeError,
    ValueError: ``http_client`` is none, or names an unknown provider. A router that was never opened opens at its first
    call.

    Example::

        router = Router.from_file("lanewise.toml")
        async with router:
            with router.scope(request_id="req-2026-000042") as scope:
                reply = await scope.async_openai.chat.completions.create(model="ticket-summary", messages=messages)
    """

    def __init__(self, config: Config | str | Path, *, http_client: HttpClients | None = None) -> None:
        if not isinstance(config, Config):
            config = Config.from_file(config)
        self.config = config
        check_clients(http_client, config)
        self._engine = Engine(
            config,
            _transports(http_client, config),
            only_portal=has_instances(http_client),
            environ=os.environ,
        )
        self._scopes = RouterScopes(config, self._engine)

    @classmethod
    def from_file(cls, path: str | Path, *, http_client: HttpClients | None = None) -> Self:
        """A router by a TOML file. Raises ConfigError, with all mistakes at once."""
        return cls(Config.from_file(path), http_client=http_client)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, object], *, http_client: HttpClients | None = None) -> Self:
        """A router by a mapping of the TOML file's form. Raises ConfigError, with all mistakes at once."""
        return cls(Config.from_mapping(mapping), http_client=http_client)

    def __repr__(self) -> str:
        return f"<Router tasks={list(self.config.tasks)}>"

    # -- opening and closing ---------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self._engine.aopen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._engine.aclose()

    def __enter__(self) -> Self:
        self._engine.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._engine.close()

    def preload(self) -> None:
        """Bring in now what the first call needs: modules and tables. Starts no thread and opens no socket.

        For servers that fork, before they do: else each worker's first request takes that time. The adapter for Flask
        calls it; a router that opens with its app has done so.

        Example::

            router = Router.from_file("lanewise.toml")
            router.preload()  # in gunicorn's config, with preload_app = True
        """
        preload(self.config)

    # -- scopes and clients ----------------------------------------------------------------------------------------

    def scope(
        self,
        *,
        request_id: str | int | UUID | None = None,
        subject: str | int | UUID | None = None,
        labels: Mapping[str, str] | None = None,
        sensitive: str | Iterable[str] = (),
        start: LaneName | str | None = None,
        review: Mapping[str, object] | None = None,
        detached: bool = False,
    ) -> Scope:
        """A scope for one inbound request or job; ``with`` makes it the current one.

        In a request it is a part of it, and falls under its marks. Where an adapter is installed, a job of the web
        process that belongs to no request says so: ``detached`` is for it, and starts clean.

        ``request_id`` is used if it has 8 to 128 of the characters ``A-Z a-z 0-9 . _ -``; any other has a digest in
        its place, the same each time, so that a job that is tried again is known for the same. ``start`` is the lane to
        begin in: a drill, before the outage; a task that has no such lane refuses the call. ``review`` is what a person
        is to know if a call is left to one: see :meth:`Scope.for_review`.

        Raises ValueError: a category or lane that does not exist, an empty id, more than 64 ``labels`` or one of more
        than 256 characters. TypeError: a label is no text, or ``review`` is nothing that JSON can say.
        NotInScope: an adapter is installed and this is no request; or it is one, and ``detached`` is asked for.

        Example::

            with router.scope(request_id="nightly-2026-11-22", sensitive="payment", start="degraded") as scope:
                ...
        """
        return self._scopes.open(
            request_id=request_id,
            subject=subject,
            labels=labels,
            sensitive=sensitive,
            start=start,
            review=review,
            detached=detached,
        )

    def http_client(self) -> httpx2.AsyncClient:
        """An HTTP client for libraries that make SDK clients themselves. It follows the current scope.

        Its base URL is ignored. Closing it closes nothing shared.

        Example::

            ChatOpenAI(model="ticket-summary", api_key="-", http_async_client=router.http_client())
        """
        return RoutedAsyncHttpClient(self._scopes)

    def sync_http_client(self) -> httpx2.Client:
        """An HTTP client for synchronous SDK clients that libraries make themselves. It follows the current scope."""
        return RoutedHttpClient(self._scopes)

    # -- records ---------------------------------------------------------------------------------------------------

    def on_call(self, hook: Callable[[Call], None]) -> Callable[[Call], None]:
        """Have a function called with the record of each call that has ended. Also a decorator.

        It runs in a thread of its own, some tenths of a second after the call: however slow it is, and whatever it
        raises (which is logged), no request is affected. Calls that wait for it are dropped and counted beyond 10,000.

        Raises TypeError: an async function, which nothing would wait for.

        Example::

            @router.on_call
            def remember(call: Call) -> None:
                fallbacks.labels(call.task, call.lane).inc()
        """
        if inspect.iscoroutinefunction(hook):
            raise TypeError("on_call takes a plain function: it runs in a thread, where nothing waits for an async one")
        self._engine.recording.add_hook(hook)
        return hook

    def add_sink(self, name: str, make_sink: Callable[[], Sink[Record]]) -> None:
        """Have all records written to a sink of the app's own: calls that have ended, and scores, in batches.

        ``make_sink`` is called in the sink's own thread, in each process at its first record, so that nothing that it
        connects to is shared with another process. ``name`` stands in the log's lines about it.

        Example::

            router.add_sink("the warehouse", Warehouse)  # a class with write(batch) and close()
        """
        self._engine.recording.add(name, make_sink)

    def score(self, call_id: str, value: float, *, name: str) -> None:
        """Record what an answer was found to be worth: now, in a later request, or in another process.

        ``call_id`` is the call's ``id`` (answers carry it as ``x-lanewise-call-id``), ``value`` any finite number on
        a scale of the app's own, ``name`` what was measured (up to 64 letters, digits and any of ``. _ : / -``). Of
        one name the latest score of a call counts.

        Raises ValueError, TypeError: one of them can't be recorded. RouterClosed.

        Example::

            router.score(scope.call_for(reply).id, 0.8, name="helpful")
        """
        score = score_of(call_id, value, name)
        self._engine.ready()
        self._engine.recording.score(score)

    # -- reviews ---------------------------------------------------------------------------------------------------

    @property
    def reviews(self) -> Reviews:
        """The cases of sensitive calls that wait for a person, or did.

        Example::

            review = await router.reviews.get(error.review_id)
            if review.status == "approved":
                print(review.answer)
        """
        return Reviews(self._engine.review_queue)

    @property
    def sync_reviews(self) -> SyncReviews:
        """The cases of sensitive calls that wait for a person, or did, for synchronous code."""
        return SyncReviews(self._engine.review_queue)

    def on_review(self, hook: Callable[[Review], None]) -> Callable[[Review], None]:
        """Have a function called with each case that was opened, to tell a person of it. Also a decorator.

        It runs in a thread of its own, some tenths of a second later, in the process that opened the case.

        Raises TypeError: an async function, which nothing would wait for.

        Example::

            @router.on_review
            def tell_the_desk(review: Review) -> None:
                desk.notify(f"{review.task} waits: {review.data}", until=review.expires_at)
        """
        self._engine.review_hooks.add(hook)
        return hook

    @property
    def health(self) -> HealthReport:
        """How each route, and each provider's account, stands: its state, since when, why, and its next probe.

        It is what this process knows, at no cost: nobody is asked. With a shared store that is what all workers found
        together, from the first call on; a process that has made none begins to listen when it is asked, and knows the
        rest a moment later. Without one it is what this process found itself. It can be had at any time, also before
        the router opens and after it has closed.

        Example::

            route = router.health.routes["flagship"]
            print(route.state, route.since, route.why, route.next_probe)  # closed None  None
        """
        return self._engine.health()

    def readiness(self) -> dict[str, object]:
        """What keeps new calls from each route, and whether the store answers, as this process knows it.

        Nobody is asked. Raises ConfigError: keys are missing. RouterClosed.

        Example::

            router.readiness()  # {"routes": {"flagship": "usable"}, "store": "memory"}
        """
        return self._engine.readiness()


def scopes_of(router: Router) -> RouterScopes:
    """What clients and adapters use of a router."""
    return router._scopes


def change_by_hand(router: Router, route: str, *, opens: bool) -> None:
    """Open a route of a router by hand, or close it (the page does). Blocks. Raises StoreSilent."""
    router._engine.change_by_hand(route, opens=opens)


def _transports(clients: HttpClients | None, config: Config) -> TransportFactory:
    """Makes a provider's transport: over the client that the app handed in for it, else over aiohttp."""

    users: dict[int, int] = {}

    def make(provider: str, lag: LoopLag) -> Transport:
        client = clients.get(provider) if isinstance(clients, Mapping) else clients
        if isinstance(client, httpx2.AsyncClient) and users.setdefault(id(client), os.getpid()) != os.getpid():
            raise RoutingError(
                "the http_client of this router was used before the process forked, and its connections are the "
                "parent's: hand in a function that makes a client"
            )
        if client is not None:
            return HttpxTransport(client, lag=lag)
        return AiohttpTransport(most_idle=config.providers[provider].max_idle_connections, lag=lag)

    return make
