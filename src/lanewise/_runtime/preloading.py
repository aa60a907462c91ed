"""Brings in what a process's first call needs, before there is one: modules and tables, no thread, socket or file."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec

from lanewise._prices.price_book import PriceBook
from lanewise._transport.aiohttp_pool import shared_context
from lanewise.config import Config
from lanewise.config.environment.store_address import MEMORY

__all__ = ["preload"]


def preload(config: Config) -> None:
    """Import what calls by this config import late, and read the tables that they look things up in.

    A package that is missing raises when the router opens.
    """
    for package, module in _needed(config):
        if find_spec(package) is not None:
            import_module(module)
    PriceBook(config).load()
    if any(provider.base_url.startswith("https") for provider in config.providers.values()):
        shared_context()


def _needed(config: Config) -> Iterator[tuple[str, str]]:
    """Each with the package that it needs."""
    yield "openai", "openai.resources.chat.completions"
    yield "openai", "openai.resources.responses"
    yield "openai", "openai.resources.embeddings"
    yield "jiter", "jiter"  # with which the SDK reads what it streams
    yield "jsonschema_rs", "jsonschema_rs"
    settings = config.router
    if settings.ledger is not None:
        yield "sqlalchemy", "lanewise._ledger.sink"
        yield "sqlalchemy", f"sqlalchemy.dialects.{'sqlite' if settings.ledger.startswith('sqlite') else 'postgresql'}"
        yield "cryptography", "lanewise._sealing"
    if settings.state != MEMORY:
        yield "redis", "redis"
    if settings.prometheus:
        yield "prometheus_client", "prometheus_client"
    if settings.opentelemetry:
        yield "opentelemetry", "opentelemetry.trace"
