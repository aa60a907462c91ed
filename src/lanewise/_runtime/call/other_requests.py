"""Requests that become no call: for the list of tasks, and for answers that a provider has stored, which go to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlencode

import msgspec

from lanewise._routing import idempotency as keys
from lanewise._runtime.call.context import CallContext
from lanewise._runtime.call.record_fields import CallFields
from lanewise._runtime.call.reply_headers import reply_headers
from lanewise._runtime.call.stored_exchange import StoredExchange, StoredStream
from lanewise._runtime.messages import Caller, RoutedRequest, RoutedResponse
from lanewise._runtime.response_affinity import ResponseOrigin
from lanewise._runtime.router_runtime import RouterRuntime
from lanewise._runtime.upstreams import Upstream
from lanewise.config import Config
from lanewise.errors import ErrorDetails, FailClosed, NotRouted
from lanewise.types import Api, Call, Outcome

__all__ = ["StoredRequest", "answer_locally", "answer_stored", "call_of", "stored_request"]

JUST_MADE: Final = 0.1
"""Seconds after which the store is asked again: another worker may have published the answer a moment ago."""
_PATHS: Final = (
    (re.compile(r"responses/([^/]+)"), Api.RESPONSES, frozenset({"GET", "DELETE"})),
    (re.compile(r"responses/([^/]+)/cancel"), Api.RESPONSES, frozenset({"POST"})),
    (re.compile(r"responses/([^/]+)/input_items"), Api.RESPONSES, frozenset({"GET"})),
    (re.compile(r"chat/completions/([^/]+)"), Api.CHAT, frozenset({"GET", "POST", "DELETE"})),
    (re.compile(r"chat/completions/([^/]+)/messages"), Api.CHAT, frozenset({"GET"})),
)
_LIST: Final = "chat/completions"


def answer_locally(config: Config, request: RoutedRequest) -> RoutedResponse | None:
    """The reply to ``GET /models`` and ``GET /models/{task}``; ``None`` for everything else, unknown tasks included."""
    if request.method != "GET":
        return None
    if request.path == "models":
        return _json({"object": "list", "data": [_model(name) for name in config.tasks]})
    name = unquote(request.path.removeprefix("models/"))
    if request.path.startswith("models/") and name in config.tasks:
        return _json(_model(name))
    return None


def _model(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "lanewise"}


def _json(content: object) -> RoutedResponse:
    return RoutedResponse(200, [(b"content-type", b"application/json")], msgspec.json.encode(content))


class StoredRequest(msgspec.Struct, frozen=True):
    """A request for what is stored. ``name`` is the answer's id; a list of answers has none."""

    api: Api
    path: str
    name: str | None


def stored_request(request: RoutedRequest) -> StoredRequest | None:
    """What a request asks of a provider's store; ``None`` if it is none of that kind."""
    if request.path == _LIST and request.method == "GET":
        return StoredRequest(Api.CHAT, _LIST, None)
    if not request.path.startswith(("responses/", "chat/completions/")):
        return None
    for pattern, api, methods in _PATHS:
        found = pattern.fullmatch(request.path)
        if found is not None and request.method in methods:
            name = unquote(found[1])
            path = request.path[: found.start(1)] + quote(name, safe="") + request.path[found.end(1) :]
            return StoredRequest(api, path, name)
    return None


def call_of(stored: StoredRequest, caller: Caller) -> Call:
    """The record of such a request: it is in its scope, and in no ledger, since it costs nothing."""
    return Call(
        id=keys.new_request_id(time.time_ns() // 1_000_000, os.urandom(10)),
        request_id=caller.request_id,
        task="",
        api=stored.api,
        started_at=datetime.now(UTC),
        sensitive=tuple(sorted(caller.sensitive)),
        labels=tuple(caller.labels.items()) if caller.labels else (),
    )


async def answer_stored(context: CallContext, stored: StoredRequest, call: Call) -> RoutedResponse:
    """The provider's own reply. Raises RoutingError: nobody knows who made the answer, it is more sensitive than the
    scope, its route is not approved for that or has gone, or the provider refuses."""
    context.caller.add_call(call)
    try:
        made = await _made(context.runtime, stored, context.request)
        upstream = _permitted(context, stored, call, made)
        CallFields.task(call, made.task)
        CallFields.route(call, made.route)
        exchange = StoredExchange(context, stored.path, upstream, call)
        status, headers, result = await exchange.send(_query(stored, context.request, upstream))
        if isinstance(result, bytes) and stored.name is None:
            result = await _only_ours(context.runtime, result, context.caller)
    except BaseException:
        CallFields.outcome(call, Outcome.REFUSED if call.sensitive else Outcome.FAILED)
        raise
    CallFields.outcome(call, Outcome.ANSWERED)
    fields = reply_headers(call, headers)
    context.caller.answered(fields.reply_id, call)
    if isinstance(result, bytes):
        return RoutedResponse(status, fields.all, result)
    return RoutedResponse(status, fields.all, b"", StoredStream(result, call))


async def _made(runtime: RouterRuntime, stored: StoredRequest, request: RoutedRequest) -> ResponseOrigin:
    """Who made what is asked for. Raises NotRouted."""
    query = dict(parse_qsl(request.query)) if stored.name is None else {}
    name = stored.name or query.get("after")
    made = None if name is None else await runtime.affinity.find(name)
    if made is None and name is not None and runtime.affinity.is_shared:
        await asyncio.sleep(JUST_MADE)
        made = await runtime.affinity.find(name)
    if made is not None:
        return (
            made if stored.name is not None else ResponseOrigin(made.route, made.task, ())
        )  # each item of a list has its marks
    task = runtime.config.tasks.get(query.get("model", ""))
    if task is not None:
        usable = [route for route in task.routes if route in runtime.upstreams]
        return ResponseOrigin((usable or task.routes)[0], task.name, ())
    problem = (
        "name a task (model=...): its first route's provider is asked for what it has stored"
        if stored.name is None
        else "it was not made through this router, or too long ago, or by a worker that shares no store with this one. "
        "Use a client of the provider's own for it"
    )
    details = ErrorDetails(path=stored.path, status=404, code="not_made_here")
    raise NotRouted(f"nothing was sent to {request.method} /{stored.path[:200]}: {problem}", None, details)


def _permitted(context: CallContext, stored: StoredRequest, call: Call, made: ResponseOrigin) -> Upstream:
    """The route that made an answer, if this scope may ask it for that. Raises FailClosed, NotRouted."""
    runtime, caller = context.runtime, context.caller
    if caller.refusal is not None:
        raise FailClosed(f"nothing was sent: {caller.refusal}.", call)
    if missing := sorted(set(made.marks) - caller.sensitive):
        raise FailClosed(
            f"nothing was sent: the answer is sensitive ({', '.join(missing)}), and this scope is not. Ask for it in "
            "an endpoint or a scope that is marked so.",
            call,
        )
    for name in call.sensitive:
        category = runtime.config.sensitive.get(name)
        if category is None or made.route not in category.routes:
            raise FailClosed(f"nothing was sent: route {made.route!r} is not approved for {name!r}.", call)
    upstream = runtime.upstreams.get(made.route)
    if upstream is None:
        details = ErrorDetails(path=stored.path, status=404, code="bound_provider_gone")
        raise NotRouted(f"nothing was sent: route {made.route!r}, which made the answer, is off or gone", call, details)
    return upstream


def _query(stored: StoredRequest, request: RoutedRequest, upstream: Upstream) -> str:
    """The query as the provider knows it: the model is the route's, not the task."""
    if stored.name is not None or not request.query:
        return request.query
    fields = [(name, upstream.route.model if name == "model" else value) for name, value in parse_qsl(request.query)]
    return urlencode(fields)


class _Listed(msgspec.Struct):
    data: list[msgspec.Raw]


class _Item(msgspec.Struct):
    id: str


async def _only_ours(runtime: RouterRuntime, body: bytes, caller: Caller) -> bytes:
    """A list, without what was not made through this router or is more sensitive than the scope: the account's other
    answers are nobody's business here, and what is not known may be anything."""
    try:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        answers = msgspec.json.decode(body, type=_Listed).data
    except msgspec.MsgspecError:
        return b'{"object": "list", "data": [], "has_more": false}'
    items: list[msgspec.Raw] = []
    names: list[str] = []
    for item in answers:
        with contextlib.suppress(msgspec.MsgspecError):
            name = msgspec.json.decode(item, type=_Item).id
            made = await runtime.affinity.find(name)
            if made is not None and caller.sensitive.issuperset(made.marks):
                items.append(item)
                names.append(name)
    more = {"data": items, "first_id": names[0] if names else None, "last_id": names[-1] if names else None}
    return msgspec.json.encode({**fields, **more})
