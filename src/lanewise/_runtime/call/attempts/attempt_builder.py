"""What goes out: the body, the headers and the key of each attempt of a call, and what its failures teach the next."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Final

import msgspec

from lanewise._contracts.contract import Repair
from lanewise._failures.additions import Addition, Removal, to_take_out
from lanewise._routing import idempotency as keys
from lanewise._routing.model_match import is_substitute
from lanewise._runtime.call.attempts.attempt_types import AttemptRequest, BuiltAttempt
from lanewise._runtime.call.resolve import ResolvedCall
from lanewise._runtime.upstreams import Upstream
from lanewise._transform.capabilities import has_attachments
from lanewise._transform.repair import repaired
from lanewise._transform.request_transform import RequestBody, UpstreamBody
from lanewise.config import Route
from lanewise.types import Api, Attempt, Call, Failure, FailureKind, Send

__all__ = ["AttemptBuilder", "RetryHints"]

_NOTHING: Final[frozenset[str]] = frozenset()
_MAY_GO_OF_SENSITIVE: Final = frozenset({Addition.USAGE.value})


class RetryHints(msgspec.Struct, frozen=True):
    """What the plan must know of a failed attempt: whether the refused parameter can be left out the next time,
    whether this route got another body than the app wrote, and whether it may mend its answer."""

    droppable: bool
    transformed: bool
    repairable: bool


class AttemptBuilder:
    """Makes the attempts of one call."""

    def __init__(self, resolved: ResolvedCall, on_bytes: Callable[[], None]) -> None:
        self._context = resolved.context
        self._runtime = resolved.context.runtime
        self._resolved = resolved
        self._on_bytes = on_bytes
        self._call = resolved.call
        self._loop = resolved.context.loop.loop
        self._sent: tuple[str, UpstreamBody] | None = None
        self._fresh = False
        self._replays: dict[str, int] = {}
        self._left_out: dict[str, frozenset[str]] = {}
        self._removals: dict[str, tuple[Removal, ...]] = {}
        self._body = resolved.body
        self._mended: RequestBody | None = None
        self._may_mend = resolved.contract is not None

    def make(self, send: Send, latest: float) -> BuiltAttempt:
        """The attempt that the plan asks for; the call may last until ``latest``. Raises RouterClosed."""
        upstream = self._runtime.upstreams[send.route]
        self._body = self._resolved.body
        if send.cause == "repair" and self._mended is not None:
            self._body = self._mended
        self._mended = None
        rendered = self._render(upstream)
        self._sent = send.route, rendered
        key = self._key(upstream, rendered)
        resolved, context = self._resolved, self._context
        attempt_request = AttemptRequest(
            transport=context.loop.transport(upstream.provider.name),
            upstream=upstream,
            api=self._call.api,
            target=upstream.target(self._call.api, context.request.query),
            headers=self._headers(send, upstream, key),
            body=rendered.raw,
            stream=resolved.body.stream,
            hide_usage=rendered.injected_usage,
            hold_all=resolved.hold_all,
            choices=resolved.choices,
            bound=resolved.bound,
            fresh=self._fresh,
            timeout=send.timeout,
            latest=latest,
            first_token=send.first_token,
            first_byte=send.first_byte,
            limits=self._runtime.limits,
            lag=context.loop.lag,
            on_bytes=self._on_bytes,
            has_attachments=partial(has_attachments, resolved.body, self._call.api),
            added=rendered.added,
            accepts=partial(_is_asked_for, upstream.route) if self._call.sensitive else None,
            keep_content=resolved.contract is not None,
        )
        record = _attempt_record(
            self._call, send, model=upstream.route.model, host=upstream.host, key=key, rendered=rendered
        )
        return BuiltAttempt(
            attempt_request, record, self._more(send, upstream, rendered, attempt_request) if rendered.calls > 1 else ()
        )

    def _more(
        self, send: Send, upstream: Upstream, rendered: UpstreamBody, attempt_request: AttemptRequest
    ) -> tuple[AttemptRequest, ...]:
        """The requests beside the first, each with a key and an id of its own: nobody must take them for one."""
        more: tuple[AttemptRequest, ...] = ()
        for number in range(2, rendered.calls + 1):
            key = self._key(upstream, rendered, b"%d" % number)
            more += (
                msgspec.structs.replace(attempt_request, headers=self._headers(send, upstream, key, f"-{number}")),
            )
        return more

    def learn(self, failure: Failure) -> RetryHints:
        """Take a failure of the latest attempt into account, for the attempts to come."""
        assert self._sent is not None, "only an attempt fails"
        route, rendered = self._sent
        if failure.executed:
            self._replays[route] = self._replays.get(route, 0) + 1
        self._fresh = failure.stale_connection
        removal = self._to_take_out(route, rendered, failure)
        if removal is not None:
            self._removals[route] = (*self._removals.get(route, ()), removal)
            self._left_out[route] = self._left_out.get(route, _NOTHING).union(removal.additions)
        return RetryHints(removal is not None, rendered.transformed, self._mended is not None)

    def answered(self) -> None:
        """The latest attempt was answered: what had been taken out for it is remembered for its route.

        If the refusal named it, or once it has happened before.
        """
        if not self._removals or self._sent is None:
            return
        route, _ = self._sent
        learned, now = self._runtime.learned, self._loop.time()
        for removal in self._removals.pop(route, ()):
            for name in removal.additions:
                if (removal.named or learned.suspect(route, name, now)) and learned.add(route, name, now):
                    self._runtime.recording.log.learned(
                        self._call, route, name, self._runtime.upstreams[route].route.drop
                    )

    def may_mend(self, repair: Repair | None) -> None:
        """The latest attempt's answer broke its contract: keep what its route must be shown to mend it, once a call."""
        if repair is None or not self._may_mend:
            return
        self._may_mend = False
        self._mended = repaired(self._resolved.body, self._call.api, repair.choice, repair.problem)

    def _render(self, upstream: Upstream) -> UpstreamBody:
        body, api = self._body, self._call.api
        route = upstream.route.name
        without = self._runtime.learned.of(route, self._loop.time())
        if self._left_out:
            without |= self._left_out.get(route, _NOTHING)
        if without and self._call.sensitive:
            without &= _MAY_GO_OF_SENSITIVE
        return upstream.transform.render(
            body,
            api,
            inject_usage=api is Api.CHAT and body.stream,
            added_format=self._resolved.added_format,
            without=without,
        )

    def _key(self, upstream: Upstream, rendered: UpstreamBody, number: bytes = b"") -> str:
        resolved = self._resolved
        call_id, subject = self._context.key_names()
        return keys.idempotency_key(
            call_id,
            body_digest=self._body.digest,
            recipe_fingerprint=rendered.fingerprint + number,
            route=upstream.route.name,
            subject=subject,
            secret=self._runtime.secret,
            ordinal=resolved.ordinal,
            retry=self._replays.get(upstream.route.name, 0),
        )

    def _headers(self, send: Send, upstream: Upstream, key: str, which: str = "") -> list[tuple[str, str]]:
        headers = [("X-Client-Request-Id", keys.client_request_id(self._call.id, send.attempt_number) + which)]
        if upstream.provider.idempotency_header:
            headers.append((upstream.provider.idempotency_header, key))
        forwarded, own = self._context.caller.forwarded, self._context.request.headers
        if forwarded or own:
            headers += upstream.allowed(forwarded)
            headers += upstream.allowed(own)
        return headers

    def _to_take_out(self, route: str, rendered: UpstreamBody, failure: Failure) -> Removal | None:
        """What is left out of the next try on this route, if the failure says that something of it was refused.

        A parameter of the app's never from a sensitive call.
        """
        sensitive = bool(self._call.sensitive)
        removal = to_take_out(failure, rendered.added, sensitive=sensitive)
        if removal is not None or sensitive or failure.kind is not FailureKind.UNSUPPORTED_PARAMETER:
            return removal
        parameter = self._runtime.upstreams[route].transform.droppable(failure.param, self._resolved.body, rendered)
        return None if parameter is None else Removal((parameter,), named=True)


def _is_asked_for(route: Route, model: str) -> bool:
    return not is_substitute(route.model, model, route.answers_as)


def _attempt_record(call: Call, send: Send, *, model: str, host: str, key: str, rendered: UpstreamBody) -> Attempt:
    """The record of an attempt that is about to go out."""
    return Attempt(
        call_id=call.id,
        attempt_number=send.attempt_number,
        route=send.route,
        lane=send.lane,
        model_asked=model,
        provider_host=host,
        idempotency_key=key,
        started_at=datetime.now(UTC),
        dropped=rendered.dropped,
        adapted=rendered.adapted,
    )
