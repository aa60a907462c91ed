"""Understudy for Litestar: a plugin that gives each request a routed client, and guards that fail closed.

Example::

    from litestar_understudy import RoutedClient, UnderstudyPlugin, sensitive

    @post("/refunds", guards=[sensitive("payment")])
    async def refund(data: Refund, ai: RoutedClient) -> Decision: ...

    app = Litestar([refund], plugins=[UnderstudyPlugin("understudy.toml")])
"""

from __future__ import annotations

try:
    import litestar as _litestar  # noqa: F401
except ImportError as error:
    raise ImportError("litestar_understudy needs Litestar: pip install 'understudy[litestar]'") from error

from litestar_understudy.audit import assert_endpoints_declared, endpoints, endpoints_of
from litestar_understudy.dependencies import RequestScope, RoutedClient, RoutedSyncClient
from litestar_understudy.marks import Sensitive, sensitive
from litestar_understudy.plugin import UnderstudyPlugin
from understudy.web import RequestIdFilter, standard

__all__ = [
    "RequestIdFilter",
    "RequestScope",
    "RoutedClient",
    "RoutedSyncClient",
    "Sensitive",
    "UnderstudyPlugin",
    "assert_endpoints_declared",
    "endpoints",
    "endpoints_of",
    "sensitive",
    "standard",
]
