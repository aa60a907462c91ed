"""What apps have around them: middleware of Starlette's, and what OpenTelemetry and Sentry put there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["AROUND", "STACKS", "Layer"]


@dataclass(frozen=True)
class Layer:
    """A middleware, with where it lies: inside of lanewise's, or around it."""

    name: str
    load: Callable[[], Any]
    options: dict[str, Any] = field(default_factory=dict)
    inside: bool = False
    flask: Callable[[Any], None] | None = None

    def add_to(self, app: Any) -> None:
        """To an app of Starlette's."""
        app.add_middleware(self.load(), **self.options)

    def wrap(self, app: Any) -> Any:
        """Around any ASGI app."""
        return self.load()(app, **self.options)

    def in_litestar(self) -> Any:
        """Among the middleware of a Litestar app."""
        from litestar.middleware import DefineMiddleware

        return DefineMiddleware(self.load(), **self.options)

    def in_flask(self, app: Any) -> None:
        """To an app of Flask's."""
        assert self.flask is not None, "it is no middleware for Flask"
        self.flask(app)


async def _passes_on(request: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
    return await call_next(request)


def _base() -> Any:
    from starlette.middleware.base import BaseHTTPMiddleware

    return BaseHTTPMiddleware


def _gzip() -> Any:
    from starlette.middleware.gzip import GZipMiddleware

    return GZipMiddleware


def _cors() -> Any:
    from starlette.middleware.cors import CORSMiddleware

    return CORSMiddleware


def _opentelemetry() -> Any:
    from opentelemetry import trace
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
    from opentelemetry.sdk.trace import TracerProvider

    trace.set_tracer_provider(TracerProvider())
    return OpenTelemetryMiddleware


def _opentelemetry_in_flask(app: Any) -> None:
    from opentelemetry import trace
    from opentelemetry.instrumentation.flask import FlaskInstrumentor
    from opentelemetry.sdk.trace import TracerProvider

    trace.set_tracer_provider(TracerProvider())
    FlaskInstrumentor().instrument_app(app)


def _sentry() -> Any:
    from sentry_sdk.integrations.asgi import SentryAsgiMiddleware

    _begin_sentry()
    return SentryAsgiMiddleware


def _sentry_in_flask(app: Any) -> None:
    _begin_sentry()


def _begin_sentry() -> None:
    import sentry_sdk

    class Nowhere(sentry_sdk.Transport):
        """Keeps what would be sent."""

        def capture_envelope(self, envelope: Any) -> None:
            """Nothing leaves."""

    sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", transport=Nowhere, traces_sample_rate=1.0)


BASE = {"dispatch": _passes_on}
AROUND = {
    "base": Layer("`BaseHTTPMiddleware`", _base, BASE),
    "base-inside": Layer("`BaseHTTPMiddleware`", _base, BASE, inside=True),
    "gzip": Layer("`GZipMiddleware`", _gzip, {"minimum_size": 1}),
    "gzip-inside": Layer("`GZipMiddleware`", _gzip, {"minimum_size": 1}, inside=True),
    "cors": Layer("`CORSMiddleware`", _cors, {"allow_origins": ["*"]}),
    "opentelemetry": Layer("OpenTelemetry's instrumentation", _opentelemetry, flask=_opentelemetry_in_flask),
    "sentry": Layer("Sentry's", _sentry, flask=_sentry_in_flask),
}
STACKS = {
    "starlette": ("base,gzip", "base-inside,gzip-inside,cors", "opentelemetry,sentry,base"),
    "fastapi": ("base,gzip,cors", "base-inside,gzip-inside", "opentelemetry,sentry,base"),
    "litestar": ("gzip,cors", "gzip-inside", "opentelemetry,sentry"),
    "flask": ("opentelemetry,sentry",),
}
"""What is tried together, for each adapter. Sentry's integrations for the frameworks switch themselves on."""
