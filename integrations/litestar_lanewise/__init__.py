"""Lanewise for Litestar: a plugin that gives each request a routed client, and guards that fail closed.

Example::

    from litestar_lanewise import RoutedClient, LanewisePlugin, sensitive

    @post("/refunds", guards=[sensitive("payment")])
    async def refund(data: Refund, ai: RoutedClient) -> Decision: ...

    app = Litestar([refund], plugins=[LanewisePlugin("lanewise.toml")])
"""

from __future__ import annotations

try:
    import litestar as _litestar  # noqa: F401
except ImportError as error:
    raise ImportError("litestar_lanewise needs Litestar: pip install 'lanewise[litestar]'") from error

from lanewise.web import RequestIdFilter, standard
from litestar_lanewise.audit import assert_endpoints_declared, endpoints, endpoints_of
from litestar_lanewise.dependencies import RequestScope, RoutedClient, RoutedSyncClient
from litestar_lanewise.marks import Sensitive, sensitive
from litestar_lanewise.plugin import LanewisePlugin

__all__ = [
    "LanewisePlugin",
    "RequestIdFilter",
    "RequestScope",
    "RoutedClient",
    "RoutedSyncClient",
    "Sensitive",
    "assert_endpoints_declared",
    "endpoints",
    "endpoints_of",
    "sensitive",
    "standard",
]
