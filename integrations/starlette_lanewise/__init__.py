"""Lanewise for Starlette, FastAPI (see ``starlette_lanewise.fastapi``) and other ASGI apps.

Example::

    installed = Middleware(LanewiseMiddleware, router=router)
    app = Starlette(routes=routes, middleware=[installed], lifespan=lifespan(router))
"""

from __future__ import annotations

try:
    import starlette  # noqa: F401 - the one place that says what to install
except ImportError as error:
    raise ImportError("starlette_lanewise needs Starlette: pip install 'lanewise[starlette]'") from error

from lanewise.web import RequestIdFilter, standard
from starlette_lanewise.audit import assert_endpoints_declared, endpoints, endpoints_of
from starlette_lanewise.lifespan import lifespan
from starlette_lanewise.marks import SensitiveMiddleware, sensitive
from starlette_lanewise.middleware import LanewiseMiddleware

__all__ = [
    "LanewiseMiddleware",
    "RequestIdFilter",
    "SensitiveMiddleware",
    "assert_endpoints_declared",
    "endpoints",
    "endpoints_of",
    "lifespan",
    "sensitive",
    "standard",
]
