"""How circuits are named: one for each route and kind of API, and one for each account of a provider."""

from __future__ import annotations

from lanewise.config import Config
from lanewise.types import Api

__all__ = ["account_circuit", "circuits_of", "route_circuit"]


def route_circuit(route: str, api: Api) -> str:
    """The name of a route's circuit."""
    return f"route {route} {api}"


def account_circuit(account: str) -> str:
    """The name of an account's circuit."""
    return f"account {account}"


def circuits_of(config: Config, route: str, *, account: bool = False) -> list[str]:
    """The names of a route's circuits, one for each kind of API that it offers, and if asked that of its account.

    Example::

        assert circuits_of(config, "flagship")[0] == "route flagship chat"
    """
    declared = config.routes[route]
    names = [route_circuit(route, Api(api)) for api in declared.api]
    return [*names, account_circuit(config.providers[declared.provider].account)] if account else names
