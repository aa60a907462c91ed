"""The engine: takes requests in from any loop or thread, and has them driven in one of its two homes."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping
from typing import Final

import anyio.to_thread

from lanewise._contracts.task_contracts import load_contracts
from lanewise._health.circuit_names import circuits_of
from lanewise._health.health_report import health_report, untried
from lanewise._health.rate_limits.client_limit import ClientLimit
from lanewise._health.sharing.by_hand import change_in_store
from lanewise._prices.daily_cost import uncounted
from lanewise._process_hooks import notify_of_forks
from lanewise._reviews import ReviewQueue, ReviewsUnavailable
from lanewise._routing.availability import Unavailable
from lanewise._runtime.call.context import CallContext
from lanewise._runtime.call.runner import CallRunner
from lanewise._runtime.loops.bridge import BridgedStream, ThreadStream, across
from lanewise._runtime.loops.lifecycle import BackgroundServices
from lanewise._runtime.loops.loop_context import LoopContext, TransportFactory
from lanewise._runtime.loops.portal import Portal, PortalThread
from lanewise._runtime.loops.process_limits import descriptor_limit_warning
from lanewise._runtime.messages import Caller, RoutedRequest, RoutedResponse
from lanewise._runtime.review_callbacks import ReviewHooks
from lanewise._runtime.router_runtime import RouterRuntime
from lanewise._runtime.sinks import Recording
from lanewise._runtime.upstreams import build_upstreams
from lanewise._transport.local_trouble import LACKING, NOT_SENT, trouble_in
from lanewise.config import Config, ConfigError
from lanewise.config.environment.credentials import resolve_credentials
from lanewise.errors import RouterClosed, RoutingError, Unreachable
from lanewise.types import HealthReport

__all__ = ["Engine"]

_log: Final = logging.getLogger("lanewise")


class Engine:
    """One router's engine, with two homes: the loop that opened it and the portal's. Other loops bridge there."""

    def __init__(
        self, config: Config, make_transport: TransportFactory, *, only_portal: bool, environ: Mapping[str, str]
    ) -> None:
        self.config = config
        self._make_transport = make_transport
        self._only_portal = only_portal
        self._environ = environ
        self._services = BackgroundServices()
        self.recording = Recording(self._services)
        self.review_hooks = ReviewHooks(self._services)
        self._lock = threading.RLock()  # re-entrant: opening needs what calls need
        self._portal = Portal()
        self._loop_context: LoopContext | None = None
        self._portal_home: LoopContext | None = None
        self._runtime: RouterRuntime | None = None
        self._opened = 0
        self._closed = False
        notify_of_forks(self)

    # -- opening and closing ---------------------------------------------------------------------------------------

    def ready(self) -> RouterRuntime:
        """What calls need, looked up once. Raises ConfigError: keys are missing. RouterClosed: closed, not reopened."""
        if self._closed:
            raise _closed()
        if self._runtime is None:
            with self._lock:
                if self._runtime is None:
                    self._runtime = self._make_runtime()
        return self._runtime

    def _make_runtime(self) -> RouterRuntime:
        credentials = resolve_credentials(self.config, self._environ)
        for warning in credentials.warnings:
            _log.warning("%s", warning)
        for place in self.config.not_yet():
            _log.warning("%s is declared, and this version does not carry it out yet", place)
        too_few = descriptor_limit_warning(self.config)
        if too_few is not None:
            _log.warning("%s", too_few)
        upstreams = build_upstreams(self.config, credentials, self._environ)
        contracts = load_contracts(self.config)
        self.recording.add_declared(self.config, credentials)
        runtime = RouterRuntime(
            self.config,
            upstreams,
            credentials,
            contracts=contracts,
            services=self._services,
            recording=self.recording,
            review_hooks=self.review_hooks,
        )
        for line in uncounted(self.config, runtime.prices):
            _log.warning("%s", line)
        return runtime

    def open(self) -> None:
        """Open from synchronous code: calls will go through the portal. Raises ConfigError."""
        with self._lock:
            self._open()

    def close(self) -> None:
        """Close from synchronous code, once for each opening; the last one ends the portal."""
        with self._lock:
            last = self._close()
        if last:
            self._end()

    async def aopen(self) -> None:
        """Open, and make the running loop a home if none is yet. Raises ConfigError."""
        loop = _running_loop()
        with self._lock:
            self._open()
            if loop is None or self._only_portal:
                return
            if self._loop_context is None or self._loop_context.loop.is_closed():
                self._loop_context = LoopContext(self._make_transport, self.recording)
            if self._loop_context.loop is loop:
                self._loop_context.opened += 1

    async def aclose(self) -> None:
        """Close, once for each opening: connections of this loop at its last one, the portal at the last of all."""
        loop_context = None
        with self._lock:
            last = self._close()
            if self._loop_context is not None and self._loop_context.loop is _running_loop():
                self._loop_context.opened -= 1
                if self._loop_context.opened <= 0 or last:
                    loop_context, self._loop_context = self._loop_context, None
        try:
            if loop_context is not None:
                await loop_context.aclose()
        finally:
            if last and (self._portal.thread is not None or self._services):
                with anyio.CancelScope(shield=True):
                    await self._end_in_thread()

    async def _end_in_thread(self) -> None:
        try:
            await anyio.to_thread.run_sync(self._end)
        except RuntimeError as error:
            if trouble_in(error) is None:
                raise
            self._end()  # no thread can be started: then the loop has to wait for it

    def _end(self) -> None:
        """End the portal with its calls, and then what works beside the calls. Waits for both, some seconds at most."""
        self._portal.close()
        self._services.close()

    def _open(self) -> None:
        was_closed, self._closed = self._closed, False
        try:
            self.ready()
        except ConfigError:
            self._closed = was_closed
            raise
        self._opened += 1

    def _close(self) -> bool:
        """Count one opening less. Whether it was the last."""
        self._opened = max(0, self._opened - 1)
        self._closed = self._opened == 0
        return self._closed

    def after_fork(self) -> None:
        """In the child of a fork: homes and threads are the parent's, and calls take new ones."""
        self._lock = threading.RLock()
        self._loop_context = self._portal_home = None
        self._services.after_fork()

    def review_queue(self) -> ReviewQueue:
        """The queue of cases. Raises ReviewsUnavailable: the config has none; ConfigError, RouterClosed."""
        queue = self.ready().reviews
        if queue is None:
            raise ReviewsUnavailable(
                "there are no reviews: they need `ledger` and `storage_key_env` under [router] of the config"
            )
        return queue

    def client_limit(self, client: str) -> ClientLimit | None:
        """What a client of the app's own endpoint may use, if the config says so. Raises ConfigError, RouterClosed."""
        return self.ready().client_limits.get(client)

    def health(self) -> HealthReport:
        """How the routes stand, as far as this process knows. Neither asks anybody nor raises.

        Whoever asks an open router wants to hear the other workers from then on.
        """
        runtime = self._runtime
        if runtime is None:
            return untried(self.config)
        if not self._closed:
            runtime.health.begin()
        return health_report(self.config, runtime.health, runtime.off)

    def change_by_hand(self, route: str, *, opens: bool) -> None:
        """Open a route, or close it with its provider's account, until a person says otherwise. Blocks.

        Raises StoreSilent: there is a shared store, and it does not answer; nothing was changed.
        """
        runtime = self.ready()
        if runtime.store is not None:
            change_in_store(runtime.store, self.config, route, opens=opens)
        else:
            runtime.health.change_by_hand(circuits_of(self.config, route, account=not opens), opens=opens)

    def readiness(self) -> dict[str, object]:
        """What keeps new calls from the routes, and whether the store answers. Raises ConfigError, RouterClosed."""
        runtime = self.ready()
        routes: dict[str, str] = {}
        for name, route in runtime.config.routes.items():
            if name in runtime.off:
                routes[name] = "off: its key is not set"
                continue
            closed = [found for api in route.api if (found := runtime.health.closed_to(name, api)) is not None]
            routes[name] = f"closed: {_reason(closed[0])}" if closed else "usable"
        store = "memory" if runtime.store is None else "answers" if runtime.health.shared.is_connected else "not heard"
        return {"routes": routes, "store": store}

    # -- calls -----------------------------------------------------------------------------------------------------

    async def send(self, request: RoutedRequest, caller: Caller) -> RoutedResponse:
        """The reply to a request, from any loop. Raises RoutingError."""
        try:
            runtime = self.ready()
            loop_context = self._loop_context
            if loop_context is not None and loop_context.loop is _running_loop():
                return await CallRunner(CallContext(runtime, loop_context, request, caller)).run()
            return await self._ask_portal(runtime, request, caller)
        except (OSError, RuntimeError, MemoryError) as error:
            failure = self._lacking(error)
            if failure is None:
                raise
        raise failure

    async def _ask_portal(self, runtime: RouterRuntime, request: RoutedRequest, caller: Caller) -> RoutedResponse:
        thread = self._portal_thread()
        reply = await across(thread, lambda: self._in_portal(thread, runtime, request, caller), _close_unclaimed)
        if reply.stream is None:
            return reply
        return RoutedResponse(reply.status, reply.headers, b"", BridgedStream(thread, reply.stream))

    def send_sync(self, request: RoutedRequest, caller: Caller) -> tuple[RoutedResponse, ThreadStream | None]:
        """The reply to a request of a thread, and its stream if it is one. Raises RoutingError."""
        try:
            return self._ask_sync(request, caller)
        except (OSError, RuntimeError, MemoryError) as error:
            failure = self._lacking(error)
            if failure is None:
                raise
        raise failure

    def _ask_sync(self, request: RoutedRequest, caller: Caller) -> tuple[RoutedResponse, ThreadStream | None]:
        runtime = self.ready()
        thread = self._portal_thread()
        reply = thread.run(lambda: self._in_portal(thread, runtime, request, caller), _close_unclaimed)
        return reply, None if reply.stream is None else ThreadStream(thread, reply.stream)

    def _lacking(self, error: Exception) -> RoutingError | None:
        """The error of a call that this process lacked what it takes to begin: a portal's loop, a module's file."""
        trouble = trouble_in(error)
        if trouble not in LACKING:
            return None
        self.recording.log.trouble(trouble)
        return Unreachable(f"the call could not be made: {NOT_SENT[trouble]}")

    def _portal_thread(self) -> PortalThread:
        thread = self._portal.thread
        if thread is not None:
            return thread
        with self._lock:
            if self._closed:
                raise _closed()
            return self._portal.start()

    async def _in_portal(
        self, thread: PortalThread, runtime: RouterRuntime, request: RoutedRequest, caller: Caller
    ) -> RoutedResponse:
        loop_context = self._portal_home
        if loop_context is None or loop_context.loop is not thread.loop:
            loop_context = self._portal_home = LoopContext(self._make_transport, self.recording)
            thread.at_end(loop_context.aclose)
        return await CallRunner(CallContext(runtime, loop_context, request, caller)).run()


def _closed() -> RouterClosed:
    return RouterClosed(
        "the router is closed: keep it open as long as the app serves (`async with router:` or `with router:`)"
    )


async def _close_unclaimed(reply: RoutedResponse) -> None:
    """The caller was cancelled just when its stream had come: nobody will ever read it."""
    if reply.stream is not None:
        await reply.stream.aclose()


def _reason(closed: Unavailable) -> str:
    failure = closed.failure
    status = f", HTTP {failure.http_status}" if failure.http_status else ""
    return f"{failure.kind}{status}{f' ({closed.throttle})' if closed.throttle else ''}"


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None  # trio, or no loop at all
