"""The router as an OpenAI-compatible endpoint: what its mounts share, from a request's head to its answer.

A mount speaks its framework's words, and takes these steps of :class:`EndpointCore`: ``check_target``; ``client``, who
makes the request; then ``models``; or ``enter``, the body, ``scope``, ``request`` and the router. What can't be
answered is raised on the way, as an EndpointError or a RoutingError.
"""

from __future__ import annotations

import difflib
import math
import os
import re
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

from lanewise._routing import idempotency as keys
from lanewise._runtime.messages import API_OF_PATH, RoutedRequest, RoutedResponse
from lanewise._scope.entered import entered_states
from lanewise.router import Router, scopes_of
from lanewise.scope import Scope, current_scope, state_of
from lanewise.types import Call
from lanewise.web.inbound import trace_headers
from lanewise.web.marks.mark_search import STANDARD
from lanewise.web.marks.path_rules import PathRules
from lanewise.web.openai_endpoint.endpoint_answers import EndpointAnswer, EndpointError, HeaderList, json_answer
from lanewise.web.openai_endpoint.endpoint_callers import (
    AppCallers,
    Callers,
    EndpointClient,
    KeyCallers,
    LoopbackCallers,
)
from lanewise.web.openai_endpoint.endpoint_request import RequestHead, check_body

__all__ = ["EndpointCore"]

_SHOWN: Final = 50
"""How many tasks an error lists."""
_LONGEST_WAIT: Final = 300
"""Seconds: the longest Retry-After."""
_MODELS: Final = "models"
_ROUTED: Final = "POST chat/completions, POST responses, POST embeddings, GET models and GET models/{task}"
_PASSED_ON: Final = frozenset({b"openai-processing-ms", b"openai-version"})
"""Of a provider's headers: the others speak of its account, or of its connection."""
_FIELD: Final = re.compile(rb"[\x20-\x7e]{1,256}").fullmatch
"""What a server sends as it is: of other characters some raise, and the answer would be lost with its header."""
_JSON: Final = (b"content-type", b"application/json")
_EVENTS: Final = (b"content-type", b"text/event-stream")
_NO_BUFFER: Final = [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
"""Proxies before the app hand a stream on as it comes."""


class EndpointCore:
    """Serves the callers of one router. Mounts call it; it knows no framework.

    Raises ConfigError: nobody could call it.
    """

    def __init__(self, router: Router, callers: Callers) -> None:
        self.router = router
        self.scopes = scopes_of(router)
        self._config = router.config
        self._callers = callers
        self._rules = PathRules(router.config.endpoints) if router.config.endpoints else None
        undeclared = router.config.router.undeclared
        self._undeclared = None if undeclared == STANDARD else undeclared
        self._id_header = router.config.router.request_id_header.lower().encode("latin-1")

    @classmethod
    def of(cls, router: Router, authenticate: Callable[..., object] | None) -> EndpointCore:
        """An endpoint for the clients of the config, or for those that a function of the app tells."""
        if not isinstance(router, Router):
            raise TypeError(f"the endpoint takes the app's Router, not {type(router).__name__}: Router.from_file(path)")
        config = router.config
        return cls(router, KeyCallers(config) if authenticate is None else AppCallers(config, authenticate))

    @classmethod
    def open_to_this_machine(cls, router: Router) -> EndpointCore:
        """An endpoint without keys, for what runs on this machine. No web page reaches it."""
        return cls(router, LoopbackCallers(router.config))

    # -- the head ----------------------------------------------------------------------------------------------------

    @property
    def authenticate(self) -> Callable[..., object] | None:
        """The app's function that tells whose request it is, if it has one."""
        return self._callers.authenticate

    def request_id(self, head: RequestHead) -> str:
        """The id of a request: its own if it is harmless, that of the request around it, or a fresh one."""
        around = current_scope()
        if around is not None and state_of(around).in_request:
            return around.request_id
        return keys.accept_request_id(head.values(self._id_header)) or self.fresh_request_id()

    def fresh_request_id(self) -> str:
        """An id for a request that has none, or whose head can't be read."""
        return keys.new_request_id(time.time_ns() // 1_000_000, os.urandom(10))

    def check_target(self, head: RequestHead) -> None:
        """Raise EndpointError unless the path and the method are routed here."""
        if head.path in API_OF_PATH:
            allowed: tuple[str, ...] = ("POST",)
        elif head.path == _MODELS or head.path.startswith(f"{_MODELS}/"):
            allowed = ("GET", "HEAD")
        else:
            raise EndpointError(404, "not_found", f"There is nothing here. This endpoint routes {_ROUTED}")
        if head.method not in allowed:
            raise EndpointError(
                405,
                "method_not_allowed",
                f"This method is not routed here. This endpoint routes {_ROUTED}",
                headers=((b"allow", ", ".join(allowed).encode()),),
            )

    def client(self, head: RequestHead, told: object = None) -> EndpointClient:
        """The client that makes the request; ``told`` is what the app's function said. Raises EndpointError."""
        return self._callers.client_of(head, told)

    def models(self, client: EndpointClient, head: RequestHead) -> EndpointAnswer | None:
        """The answer to a request for the client's tasks; ``None``: it asks for something else.

        Raises EndpointError: it has no task of that name.
        """
        if head.path == _MODELS:
            return json_answer({"object": "list", "data": [_model(name) for name in client.tasks]})
        if not head.path.startswith(f"{_MODELS}/"):
            return None
        name = head.path.removeprefix(f"{_MODELS}/")
        if name not in client.tasks:
            raise self._no_such_task(client, name)
        return json_answer(_model(name))

    def enter(self, client: EndpointClient) -> Callable[[], None]:
        """Begin a call of a client; what is given back ends it. Raises EndpointError: it has used up what it may."""
        limit = self.scopes.client_limit(client.name)
        if limit is None:
            return _nothing
        wait = limit.enter()
        if wait is None:
            return limit.leave
        seconds = max(1, min(_LONGEST_WAIT, math.ceil(wait)))
        message = f"The client has used up the calls that it may make now. Try again in {seconds} s"
        raise EndpointError(429, "rate_limit_exceeded", message, headers=((b"retry-after", b"%d" % seconds),))

    # -- a call ------------------------------------------------------------------------------------------------------

    def scope(
        self, client: EndpointClient, head: RequestHead, request_id: str, paths: Iterable[str], root_path: str = ""
    ) -> Scope:
        """The scope of a call. What it is part of, the client's mark and the rules for its paths add up.

        Raises EndpointError: the Idempotency-Key can't be one.
        """
        ruled = frozenset[str]()
        if self._rules is not None:
            ruled = ruled.union(*[self._rules.match(path, root_path) for path in paths])
        undeclared = None if ruled else self._undeclared
        if undeclared is not None and any(scope.is_request for scope in entered_states()):
            undeclared = None  # what is around says so itself
        return self.scopes.inbound(
            (request_id,),
            subject=client.subject(head),
            labels=client.labels,
            sensitive=client.sensitive | (ruled - {STANDARD}) if ruled else client.sensitive,
            undeclared=undeclared,
            forwarded=trace_headers(head.values(b"traceparent")),
            client=client.name,
            named=_name_of_call(client, head),
        )

    def request(self, client: EndpointClient, head: RequestHead, raw: bytes) -> RoutedRequest:
        """What goes to the router. Raises EndpointError: the body can't be sent, or names no task of the client's."""
        body = check_body(raw)
        if body.model is None:
            message = f"The field 'model' names a task. Yours are {_listed(client)}"
            raise EndpointError(400, "missing_model", message, param="model")
        if body.model not in client.tasks:
            raise self._no_such_task(client, body.model)
        waits = [wait for wait in (client.declared.deadline, head.deadline()) if wait is not None]
        return RoutedRequest(
            method="POST",
            path=head.path,
            query="",
            headers=(),
            body=raw,
            timeout=min(waits, default=None),
            on_break=head.only(b"x-lanewise-on-break"),
            helper=bool(head.values(b"x-stainless-helper-method")),
            parsed=body,
        )

    def _no_such_task(self, client: EndpointClient, model: str) -> EndpointError:
        shown = model[:100]
        uses = [
            name
            for name in client.tasks
            if any(self._config.routes[route].model == model for route in self._config.tasks[name].routes)
        ]
        near = difflib.get_close_matches(shown, client.tasks, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        if uses:
            hint = f" {shown!r} is what a route asks its provider for; the tasks that use it are {', '.join(uses)}."
        message = f"The model {shown!r} is none of your tasks.{hint} They are {_listed(client)}"
        return EndpointError(404, "model_not_found", message, param="model")

    # -- the answer --------------------------------------------------------------------------------------------------

    def headers(self, answer: EndpointAnswer, request_id: str) -> HeaderList:
        """All headers of a whole answer."""
        return [*answer.headers, (b"content-length", b"%d" % len(answer.body)), (self._id_header, request_id.encode())]

    def reply_headers(self, reply: RoutedResponse, scope: Scope, started: float) -> HeaderList:
        """The headers of a model's answer. ``started`` is when the request came, by ``time.perf_counter``."""
        headers = [
            (name, value)
            for name, value in reply.headers
            if ((lower := name.lower()) in _PASSED_ON and _FIELD(value)) or lower.startswith(b"x-lanewise-")
        ]
        headers.append(_JSON if reply.stream is None else _EVENTS)
        calls = scope.calls
        if calls:
            headers.append((b"x-lanewise-overhead-ms", _overhead(calls[-1], started)))
        headers.append((self._id_header, scope.request_id.encode()))
        if reply.stream is None:
            headers.append((b"content-length", b"%d" % len(reply.body)))
        else:
            headers += _NO_BUFFER
        return headers


def _nothing() -> None:
    """Of a client without limits."""


def _overhead(call: Call, started: float) -> bytes:
    """The milliseconds that the request took so far, but for what its attempts took: of a stream, to its commit."""
    own = (time.perf_counter() - started) * 1000
    for attempt in call.attempts:
        took = attempt.total_ms
        own -= (datetime.now(UTC) - attempt.started_at) / timedelta(milliseconds=1) if took is None else took
    return b"%.2f" % max(0.0, own)


def _name_of_call(client: EndpointClient, head: RequestHead) -> str | None:
    """What names the call for those that are tried again: the caller's key, which is its own and no other client's."""
    values = head.values(b"idempotency-key")
    if not values:
        return None
    if len(values) > 1 or not 0 < len(values[0]) <= keys.MAX_KEY_LENGTH:
        raise EndpointError(400, "invalid_header", "Idempotency-Key is one text of 1 to 255 characters")
    return sha256(client.name.encode() + b"\0" + values[0]).hexdigest()[:32]


def _listed(client: EndpointClient) -> str:
    names = client.tasks[:_SHOWN]
    rest = len(client.tasks) - len(names)
    return (", ".join(names) or "(none)") + (f" and {rest} more" if rest else "")


def _model(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "lanewise"}
