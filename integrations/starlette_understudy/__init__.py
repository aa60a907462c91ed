"""Understudy for Starlette, FastAPI (see ``starlette_understudy.fastapi``) and other ASGI apps.

Example::

    installed = Middleware(UnderstudyMiddleware, router=router)
    app = Starlette(routes=routes, middleware=[installed], lifespan=lifespan(router))
"""

from __future__ import annotations

try:
    import starlette  # noqa: F401 - the one place that says what to install
except ImportError as error:
    raise ImportError("starlette_understudy needs Starlette: pip install 'understudy[starlette]'") from error

from starlette_understudy.audit import assert_endpoints_declared, endpoints, endpoints_of
from starlette_understudy.lifespan import lifespan
from starlette_understudy.marks import SensitiveMiddleware, sensitive
from starlette_understudy.middleware import UnderstudyMiddleware
from understudy.web import RequestIdFilter, standard

__all__ = [
    "RequestIdFilter",
    "SensitiveMiddleware",
    "UnderstudyMiddleware",
    "assert_endpoints_declared",
    "endpoints",
    "endpoints_of",
    "lifespan",
    "sensitive",
    "standard",
]
