"""One use of a scope's client by the direct path and by the SDK's own: all that the app and the provider see of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import anyio
import httpx2
import openai
import pydantic
import pytest

from lanewise import Router
from lanewise._client.direct_requests import DirectRequests
from lanewise.testing import (
    FakeProvider,
    Scripted,
)

MESSAGES: Final[Any] = [{"role": "user", "content": "Wo ist mein Päckchen? 📦"}]
MODEL: Final = "flagship-1"
UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
ADDRESS: Final = re.compile(r"127\.0\.0\.1:\d+")
MOMENT: Final = re.compile(r'"(?:created|created_at|completed_at)": ?\d+')
MOMENTS: Final = ("created", "created_at", "completed_at")
VARIES: Final = frozenset({"date", "host", "idempotency-key", "x-client-request-id"})


class Summary(pydantic.BaseModel):
    """What ``parse`` is asked for."""

    title: str


@dataclass
class Took:
    """Which way the requests of a test went. ``created`` are those of the short ones that the SDK's own ``create()``
    had no part in."""

    short: int = 0
    long: int = 0
    created: int = 0


def taking(monkeypatch: pytest.MonkeyPatch, way: str) -> Took:
    """Have all requests go the long way, or those of ``create()`` through the SDK's ``request()``, or whichever they
    go; and count them."""
    took = Took()
    routed_request, created_request = DirectRequests.routed_request, DirectRequests.created_request

    def choose(self: DirectRequests, *arguments: Any, **options: Any) -> Any:
        took.short += 1  # also where the SDK's own encoder refuses the body
        found = None if way == "long" else routed_request(self, *arguments, **options)
        if found is None:
            took.short, took.long = took.short - 1, took.long + 1
        return found

    def create(self: DirectRequests, *arguments: Any, **options: Any) -> Any:
        found = created_request(self, *arguments, **options) if way == "short" else None
        if found is not None:
            took.short, took.created = took.short + 1, took.created + 1
        return found

    monkeypatch.setattr(DirectRequests, "routed_request", choose)
    monkeypatch.setattr(DirectRequests, "created_request", create)
    return took


# -- what there is to see ------------------------------------------------------------------------------------------


def plain(value: object) -> object:
    """All that an app can see of what the SDK gave it, without what differs from call to call."""
    if isinstance(value, pydantic.BaseModel):
        fields = {name: plain(each) for name, each in value.__dict__.items() if name not in MOMENTS}
        return (
            type(value).__name__,
            fields,
            plain(value.model_extra),
            sorted(value.model_fields_set),
            plain(getattr(value, "_request_id", None)),
        )
    if isinstance(value, httpx2.Response):
        request = value.request
        return (
            value.status_code,
            named(value.headers),
            value.http_version,
            hasattr(value, "_elapsed") and value.elapsed.total_seconds() > 0,
            request.method,
            str(request.url),
            named(request.headers),
            request.content,
            sorted(request.extensions),
            request.extensions.get("timeout"),
        )
    if isinstance(value, openai.APIStatusError | openai.APIResponseValidationError):
        return (of_error(value), plain(value.response), plain(value.body), plain(getattr(value, "request_id", None)))
    if isinstance(value, BaseException):
        return of_error(value)
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items() if key not in MOMENTS}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, str):
        return MOMENT.sub("moment", ADDRESS.sub("here", UUID.sub("id", value)))
    return (type(value).__name__, value) if isinstance(value, int | float) else value


def of_error(error: BaseException) -> tuple[object, ...]:
    request = getattr(error, "request", None)
    return (
        [each.__name__ for each in type(error).__mro__],
        plain(str(error)),
        getattr(error, "status_code", None),
        getattr(error, "code", None),
        getattr(error, "param", None),
        getattr(error, "type", None),
        None if request is None else (request.method, str(request.url), named(request.headers)),
        type(error.__cause__),
        error.__suppress_context__ or error.__context__ is None,
    )


def named(headers: httpx2.Headers) -> list[tuple[str, object]]:
    return [(name, plain(value)) for name, value in headers.multi_items() if name.lower() not in VARIES]


async def seen(result: Any) -> object:
    """What an app sees of a result; a stream is read to its end."""
    if isinstance(result, openai.AsyncStream):
        return await stream_seen(result)
    if isinstance(result, openai.Stream):
        return await anyio.to_thread.run_sync(sync_stream_seen, result)
    return plain(result)


async def stream_seen(stream: openai.AsyncStream[Any]) -> object:
    before = (type(stream), plain(stream.response), state(stream.response))
    chunks: list[object] = []
    try:
        chunks += [plain(chunk) async for chunk in stream]
    except Exception as error:  # noqa: BLE001 - it is what is compared
        chunks.append(plain(error))
    again = [plain(chunk) async for chunk in stream]
    await stream.close()
    return before, chunks, again, state(stream.response)


def sync_stream_seen(stream: openai.Stream[Any]) -> object:
    before = (type(stream), plain(stream.response), state(stream.response))
    chunks: list[object] = []
    try:
        chunks += [plain(chunk) for chunk in stream]
    except Exception as error:  # noqa: BLE001 - it is what is compared
        chunks.append(plain(error))
    again = [plain(chunk) for chunk in stream]
    stream.close()
    return before, chunks, again, state(stream.response)


def state(response: httpx2.Response) -> tuple[object, ...]:
    return response.is_closed, response.is_stream_consumed


# -- one shape, both ways --------------------------------------------------------------------------------------------

Use = Callable[[Any], Any]


async def outcome(way: str, client: str, script: Scripted | None, use: Use, task: Mapping[str, object]) -> object:
    """What the app and the provider see of one use of a client, over a provider and a router of its own."""
    with pytest.MonkeyPatch.context() as patching, FakeProvider() as provider:
        took = taking(patching, way)
        if script is not None:
            provider.script(MODEL, script)
        router = Router.from_mapping(
            {
                "providers": {"first": {"base_url": provider.base_url}},
                "routes": {"flagship": {"provider": "first", "model": MODEL}},
                "tasks": {"summary": {"primary": "flagship", "deadline": "60s", "max_attempts": 1, **task}},
            }
        )
        async with router:
            with router.scope(request_id="req-2026-000042", subject="user-7") as scope:
                try:
                    if client == "sync":
                        result = await anyio.to_thread.run_sync(use, scope.openai)
                    else:
                        result = await use(scope.async_openai)
                    saw = await seen(result)
                except Exception as error:  # noqa: BLE001 - it is what is compared
                    saw = plain(error)
        calls = [(call.task, call.route, call.outcome, call.failure, len(call.attempts)) for call in scope.calls]
        got = [
            (
                each.method,
                each.path,
                sorted(
                    (name.lower(), plain(value)) for name, value in each.headers.pairs if name.lower() not in VARIES
                ),
                each.body,
            )
            for each in provider.journal
        ]
    return saw, calls, got, took


async def compare(
    client: str,
    script: Scripted | None,
    use: Use,
    *,
    short: bool | None = True,
    task: Mapping[str, object] | None = None,
) -> None:
    """All ways give the same; ``short``: whether a short one was taken at all."""
    short_saw, *short_did, took = await outcome("short", client, script, use, task or {})  # type: ignore[misc]
    for other in ("request", "long") if took.created else ("long",):
        saw, *did, _ = await outcome(other, client, script, use, task or {})  # type: ignore[misc]
        assert short_saw == saw
        assert short_did == did
    if short is not None:
        assert (took.short > 0) is short, took


def chat(**options: Any) -> Use:
    return lambda client: client.chat.completions.create(**{"model": "summary", "messages": MESSAGES, **options})


def respond(**options: Any) -> Use:
    return lambda client: client.responses.create(**{"model": "summary", "input": "hi", **options})


def embed(**options: Any) -> Use:
    return lambda client: client.embeddings.create(**{"model": "summary", "input": "hi", **options})


def parse(**options: Any) -> Use:
    return lambda client: client.chat.completions.parse(
        **{"model": "summary", "messages": MESSAGES, "response_format": Summary, **options}
    )


each_client = pytest.mark.parametrize("client", ["async", "sync"])
