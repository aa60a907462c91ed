"""The OpenAI endpoint for WSGI frameworks: a request comes with its environ, and streams go through the portal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from time import perf_counter
from typing import Final

import msgspec

from lanewise._runtime.loops.bridge import ThreadStream
from lanewise._runtime.messages import API_OF_PATH
from lanewise.errors import RoutingError
from lanewise.router import Router
from lanewise.scope import Scope, serving, state_of
from lanewise.types import Api
from lanewise.web.call_errors import log_hang_up
from lanewise.web.openai_endpoint.endpoint_answers import (
    EndpointAnswer,
    EndpointError,
    HeaderList,
    answer_for,
    broken_stream_event,
    log_failure,
)
from lanewise.web.openai_endpoint.endpoint_callers import EndpointClient, authentication_failed, is_http_error
from lanewise.web.openai_endpoint.endpoint_core import EndpointCore
from lanewise.web.openai_endpoint.endpoint_request import BodyReader, RequestHead, depth_checks
from lanewise.web.wsgi_core import wsgi_headers
from lanewise.web.wsgi_disconnects import WsgiDisconnectWatcher, caller_left_error, disconnect_probe

__all__ = ["WsgiAnswer", "WsgiEndpoint", "endpoint_error"]

_PIECE: Final = 64 * 1024
Environ = Mapping[str, object]


class WsgiAnswer(msgspec.Struct, frozen=True):
    """What goes back: ``body`` is to be closed, whether it was read or not."""

    status: int
    headers: list[tuple[str, str]]
    body: Iterable[bytes]


class WsgiEndpoint:
    """The router as an OpenAI-compatible endpoint, for an adapter to mount.

    Raises ConfigError: no client has a key, and there is no ``authenticate``.

    Example::

        answer = endpoint.serve(environ, "chat/completions", read=request.stream.read, tell=tell)
    """

    def __init__(self, router: Router, authenticate: Callable[..., object] | None = None) -> None:
        self._core = EndpointCore.of(router, authenticate)

    def serve(
        self, environ: Environ, path: str, *, read: Callable[[int], bytes], tell: Callable[[], object]
    ) -> WsgiAnswer:
        """Answer a request. ``path`` is what follows the endpoint's place, ``read`` reads some of the body.

        ``tell`` gives what the app's function says of the request.
        """
        return _Request(self._core, environ, path, read, tell).answer()


def endpoint_error(status: int, name: str) -> WsgiAnswer:
    """An HTTP error of a framework, in OpenAI's shape.

    Example::

        answer = endpoint_error(413, "Request Entity Too Large")
    """
    answer = EndpointError(status, name.lower().replace(" ", "_"), name).answer()
    return WsgiAnswer(answer.status, _as_text(answer.headers), (answer.body,))


class _Request:
    """One request, until its answer begins."""

    def __init__(
        self,
        core: EndpointCore,
        environ: Environ,
        path: str,
        read: Callable[[int], bytes],
        tell: Callable[[], object],
    ) -> None:
        self._started = perf_counter()
        self._core = core
        self._environ = environ
        self._path = path
        self._read = read
        self._tell = tell
        self._request_id = ""

    def answer(self) -> WsgiAnswer:
        try:
            return self._answer()
        except EndpointError as refused:
            return self._whole(refused.answer())

    def _answer(self) -> WsgiAnswer:
        core = self._core
        head = RequestHead(str(self._environ["REQUEST_METHOD"]), self._path.strip("/"), _headers(self._environ))
        self._request_id = core.request_id(head)
        core.check_target(head)
        client = core.client(head, None if core.authenticate is None else self._told())
        models = core.models(client, head)
        if models is not None:
            return self._whole(models)
        leave = core.enter(client)
        try:
            paths = (_decoded(self._environ, "SCRIPT_NAME") + _decoded(self._environ, "PATH_INFO"),)
            scope = core.scope(client, head, self._request_id, paths, "")
        except BaseException:
            leave()
            raise
        ending = _Ending(scope, self._environ, leave)
        try:
            with serving(scope):
                answer = self._call(scope, client, head, ending)
        except BaseException:
            ending()
            raise
        if not isinstance(answer.body, _Stream):
            ending()
        return answer

    def _told(self) -> object:
        """What the app's function says of the request. An HTTP error of the framework is its own to answer."""
        try:
            return self._tell()
        except Exception as error:
            if is_http_error(error):
                raise
            failed = authentication_failed(error)
        raise failed

    def _call(self, scope: Scope, client: EndpointClient, head: RequestHead, ending: _Ending) -> WsgiAnswer:
        request = self._core.request(client, head, self._body(head))
        try:
            reply, stream = self._core.scopes.ask_sync(request, scope)
        except RoutingError as error:
            answer = answer_for(error)
            log_failure(answer.status, error, scope)
            return self._whole(answer)
        headers = _as_text(self._core.reply_headers(reply, scope, self._started))
        if stream is None:
            return WsgiAnswer(reply.status, headers, (reply.body,))
        return WsgiAnswer(reply.status, headers, _Stream(stream, scope, API_OF_PATH[head.path], ending))

    def _body(self, head: RequestHead) -> bytes:
        reader = BodyReader(head)
        while piece := self._some_of_body():
            reader.feed(piece)
        body = reader.finish()
        for _ in depth_checks(body):
            pass
        return body

    def _some_of_body(self) -> bytes:
        try:
            return self._read(_PIECE)
        except OSError:  # gunicorn's and mod_wsgi's, for chunks that are none and for a caller that has gone
            raise EndpointError(400, "invalid_body", "The body could not be read to its end") from None

    def _whole(self, answer: EndpointAnswer) -> WsgiAnswer:
        headers = self._core.headers(answer, self._request_id or self._core.fresh_request_id())
        return WsgiAnswer(answer.status, _as_text(headers), (answer.body,))


class _Ending:
    """What is to be done once, when a request is over; until then its connection is watched while calls run."""

    def __init__(self, scope: Scope, environ: Environ, leave: Callable[[], None]) -> None:
        self.environ = environ
        self._scope = scope
        self._leave = leave
        self._done = False
        probe = disconnect_probe(environ)
        self._watcher = None if probe is None else WsgiDisconnectWatcher(scope, probe)
        if self._watcher is not None:
            state_of(scope).on_busy = self._watcher.watch

    @property
    def caller_left(self) -> bool:
        return self._watcher is not None and self._watcher.left

    def __call__(self) -> None:
        if self._done:
            return
        self._done = True
        if self._watcher is not None:
            self._watcher.stop()
        state_of(self._scope).on_busy = None
        state_of(self._scope).finish()
        self._leave()


class _Stream:
    """A stream as a WSGI body. Closing it closes the upstream exchange, also where nothing of it was read."""

    def __init__(self, stream: ThreadStream, scope: Scope, api: Api, ending: _Ending) -> None:
        self._stream = stream
        self._scope = scope
        self._api = api
        self._ending = ending
        self._ended = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._ended:
            raise StopIteration
        try:
            piece = self._stream.read()
        except RoutingError as error:
            self.close()  # werkzeug's server does not, where its client has reset the connection
            if not self._ending.caller_left:
                log_failure(200, error, self._scope)
                return broken_stream_event(error, self._api)
            log_hang_up(error, self._scope)
        else:
            if piece:
                return piece
            self._ended = True
            self._ending()  # before the caller has the end: it may begin another call then
            raise StopIteration
        raise caller_left_error(self._ending.environ)

    def close(self) -> None:
        """The server is done with it, or its client has gone."""
        self._ended = True
        try:
            self._stream.close()
        finally:
            self._ending()


def _headers(environ: Environ) -> Iterator[tuple[bytes, bytes]]:
    for name, value in wsgi_headers(environ):
        yield name.lower().encode("latin-1"), value.encode("latin-1", "replace")


def _decoded(environ: Environ, name: str) -> str:
    """Text of a WSGI environ as what was meant: its characters stand for bytes (PEP 3333)."""
    return str(environ.get(name, "")).encode("latin-1", "replace").decode("utf-8", "replace")


def _as_text(headers: HeaderList) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
