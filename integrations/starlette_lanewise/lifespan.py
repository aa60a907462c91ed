"""The router's life as part of the app's: endpoints checked and the router opened at the start, closed at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar, cast

from lanewise import Router
from lanewise.config import ConfigError, Mistake
from starlette_lanewise.marks import INSTALL
from starlette_lanewise.middleware import LanewiseMiddleware, installed

__all__ = ["lifespan"]

_App = TypeVar("_App")


def lifespan(
    router: Router, inner: Callable[[_App], AbstractAsyncContextManager[Mapping[str, object] | None]] | None = None
) -> Callable[[_App], AbstractAsyncContextManager[None]]:
    """A lifespan that opens and closes ``router`` around ``inner``, the app's own.

    Before it opens the router it checks the endpoints. The start fails with ConfigError, naming the endpoint, where a
    mark names an unknown category or is hidden by a decorator; where keys are missing; and where LanewiseMiddleware
    is missing, installed twice, or has another router.

    Example::

        app = FastAPI(lifespan=lifespan(router, inner=open_database))
    """
    if not isinstance(router, Router):
        raise TypeError(f"lifespan takes the Router that the middleware has, not {type(router).__name__}")

    @asynccontextmanager
    async def opened(app: _App) -> AsyncIterator[Mapping[str, object] | None]:
        middleware = _only(installed(), router)
        middleware.check.at_start(app)
        async with router:
            if inner is None:
                yield None
            else:
                async with inner(app) as state:
                    yield state

    # Starlette tells lifespans with and without a state apart by type, and takes None for "no state" from either.
    return cast("Callable[[_App], AbstractAsyncContextManager[None]]", opened)


def _only(found: tuple[LanewiseMiddleware, ...], router: Router) -> LanewiseMiddleware:
    if not found:
        raise ConfigError([Mistake("lifespan", INSTALL)])
    if len(found) > 1:
        raise ConfigError([Mistake("app", "LanewiseMiddleware is installed twice", "Take one of them out.")])
    if found[0].router is not router:
        problem = "the lifespan's router is not the one that LanewiseMiddleware has"
        raise ConfigError([Mistake("lifespan", problem, "Make one Router, and give it to both.")])
    return found[0]
