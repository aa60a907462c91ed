"""The scopes of one router, and how their calls enter the engine: what clients and adapters use of a router."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final
from uuid import UUID

from lanewise._client.sdk_clients import SdkClients
from lanewise._health.rate_limits.client_limit import ClientLimit
from lanewise._routing import idempotency as keys
from lanewise._runtime.engine import Engine
from lanewise._runtime.loops.bridge import ThreadStream
from lanewise._runtime.messages import RoutedRequest, RoutedResponse
from lanewise._scope.combined_caller import CombinedCaller, FindScope, caller_of, scopes_here
from lanewise._scope.entered import entered_states
from lanewise._scope.state import ScopeState
from lanewise.config import Config
from lanewise.errors import NotInScope
from lanewise.scope import Scope
from lanewise.types import LaneName

__all__ = ["RouterScopes"]

_NO_REQUEST: Final = (
    "router.scope() was called outside any request, in an app that has lanewise installed: nothing tells whether what "
    "is asked there is sensitive. In a thread of your own take the request's scope along: "
    "`executor.submit(scope.wrap(function))`. A job that belongs to no request (a listener, a timer, a command) says "
    "so: `with router.scope(detached=True) as scope:`"
)
_DETACHED: Final = (
    "router.scope(detached=True) was called in a request, or in what one began: it would lose its marks. Open "
    "`router.scope()`, which keeps them; or begin the job outside of the request, where the app starts, or in a thread "
    "or in a task with a context of its own (`asyncio.create_task(job(), context=contextvars.Context())`)"
)


class RouterScopes:
    """Makes a router's scopes, and takes the requests of their clients to the engine."""

    def __init__(self, config: Config, engine: Engine) -> None:
        self._config = config
        self._engine = engine
        self._clients = SdkClients(self)
        self._are_required = False
        self._finders: tuple[FindScope, ...] = ()

    def open(
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
        """A scope that the app opens itself: see ``Router.scope``."""
        categories = frozenset((sensitive,) if isinstance(sensitive, str) else sensitive)
        unknown = categories - self._config.sensitive.keys()
        if unknown:
            known = ", ".join(self._config.sensitive) or "none"
            raise ValueError(f"unknown sensitive category {min(unknown)!r}; the config has: {known}")
        outers = scopes_here(self._finders)
        if detached and any(scope.is_request for scope in outers):
            raise NotInScope(_DETACHED)
        if not outers and not detached and self._are_required:
            raise NotInScope(_NO_REQUEST)
        state = ScopeState(
            _fresh_request_id() if request_id is None else keys.own_request_id(request_id),
            subject=None if subject is None else str(subject),
            labels=labels,
            sensitive=categories,
            start=None if start is None else _lane(start),
            review=review,
            outers=outers,
        )
        return Scope(self._clients, state)

    def inbound(
        self,
        request_ids: Sequence[str | bytes],
        *,
        subject: str | None = None,
        labels: Mapping[str, str] | None = None,
        sensitive: frozenset[str] = frozenset(),
        client: str | None = None,
        named: str | None = None,
        undeclared: str | None = None,
        forwarded: tuple[tuple[str, str], ...] = (),
        marks_resolver: Callable[[], frozenset[str] | None] | None = None,
        late_subject: Callable[[], str | None] | None = None,
    ) -> Scope:
        """The scope of an inbound request.

        ``request_ids`` are the values of the header as often as it came; ``undeclared`` is the config's word on
        endpoints without a mark, ``forwarded`` goes upstream with each attempt. ``client`` is who calls the app's own
        OpenAI endpoint, and ``named`` what it named its call by, to have it known again.
        """
        state = ScopeState(
            keys.accept_request_id(request_ids) or _fresh_request_id(),
            subject=subject,
            labels=labels,
            sensitive=sensitive,
            client=client,
            named=named,
            undeclared=undeclared,
            forwarded=forwarded,
            marks_resolver=marks_resolver,
            late_subject=late_subject,
            outers=entered_states(),
            is_request=True,
        )
        return Scope(self._clients, state)

    def require(self, find: FindScope | None = None) -> None:
        """Refuse calls outside any scope from now on. Adapters ask for it: a lost context is no unmarked call.

        ``find``, a method of what the adapter keeps of an app, and goes with that, finds the scope of a request by what
        the framework knows, where no context tells of it.
        """
        self._are_required = True
        if find is not None:
            self._finders = (*self._finders, _held_weakly(find))

    async def ask(self, request: RoutedRequest, scope: Scope | None) -> RoutedResponse:
        """Route one request of a client. Raises RoutingError."""
        return await self._engine.send(request, self._caller(scope))

    def ask_sync(self, request: RoutedRequest, scope: Scope | None) -> tuple[RoutedResponse, ThreadStream | None]:
        """Route one request of a synchronous client. Raises RoutingError."""
        return self._engine.send_sync(request, self._caller(scope))

    def check_keys(self) -> None:
        """Look up the providers' keys now, for apps whose framework has no start to open the router at.

        Raises ConfigError: keys are missing. RouterClosed: it was closed, and not opened again.
        """
        self._engine.ready()

    def client_limit(self, client: str) -> ClientLimit | None:
        """What a client of the app's own endpoint may use; ``None``: as much as it likes."""
        return self._engine.client_limit(client)

    def _caller(self, scope: Scope | None) -> ScopeState | CombinedCaller:
        return caller_of(scope, self._finders, None if self._are_required else self.open)


def _held_weakly(find: FindScope) -> FindScope:
    method = weakref.WeakMethod(find)

    def found() -> Scope | None:
        alive = method()
        return None if alive is None else alive()

    return found


def _fresh_request_id() -> str:
    return keys.new_request_id(time.time_ns() // 1_000_000, os.urandom(10))


def _lane(name: str) -> LaneName:
    try:
        return LaneName(name)
    except ValueError:
        raise ValueError(f"unknown lane {name!r}; a lane is one of {', '.join(LaneName)}") from None
