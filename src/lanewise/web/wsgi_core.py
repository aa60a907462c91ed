"""What all WSGI adapters share: a scope around each request, its id echoed, hang-ups noticed, streams ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Final

from lanewise.errors import RoutingError
from lanewise.scope import Scope, begin_serving, end_serving, state_of
from lanewise.web.call_errors import hang_up_in, log_hang_up
from lanewise.web.inbound import Inbound
from lanewise.web.lane_header import with_lane
from lanewise.web.wsgi_disconnects import (
    WsgiDisconnectWatcher,
    abort_connection,
    caller_left_error,
    disconnect_probe,
)

if TYPE_CHECKING:
    from _typeshed import OptExcInfo
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["WsgiCore", "wsgi_headers"]

_MOST_DIGITS: Final = 18
"""Of a Content-Length that is one."""
Headers = list[tuple[str, str]]
Write = Callable[[bytes], object]


class WsgiCore:
    """Serves one inbound request after another.

    ``answer`` makes the app's own answer to an error of a call that a body raised before its first piece: what it made
    the body for is over by then.
    """

    def __init__(self, inbound: Inbound, answer: Callable[[RoutingError, WSGIEnvironment], WSGIApplication]) -> None:
        self._inbound = inbound
        self._answer = answer

    def serve(
        self, app: WSGIApplication, environ: WSGIEnvironment, scope: Scope, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Run ``app`` for one request, in the scope that was made for it."""
        start = _Start(start_response, self._inbound, scope)
        probe = disconnect_probe(environ)
        watcher = None if probe is None else _watcher(scope, probe)
        token = begin_serving(scope)
        try:
            body = app(environ, start)
            context = copy_context()
        except BaseException:
            state_of(scope).finish()
            raise
        finally:
            end_serving(scope, token)
        wrapper = environ.get("wsgi.file_wrapper")
        if isinstance(wrapper, type) and isinstance(body, wrapper):  # the server may send a file in ways of its own
            start.send()
            state_of(scope).finish()
            return body
        stream = _Stream(body, scope, context, start, self._answer, watcher, environ)
        try:
            stream.begin()
        except BaseException:
            stream.close()
            raise
        return stream


def wsgi_headers(environ: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """The headers of a request, as its environ has them (PEP 3333).

    Example::

        dict(wsgi_headers({"HTTP_X_REQUEST_ID": "req-2026-000042"}))  # {"X-REQUEST-ID": "req-2026-000042"}
    """
    for name, value in environ.items():
        if not isinstance(value, str):
            continue
        if name.startswith("HTTP_"):
            yield name[5:].replace("_", "-"), value
        elif name in ("CONTENT_TYPE", "CONTENT_LENGTH") and value:
            yield name.replace("_", "-"), value


def _watcher(scope: Scope, probe: Callable[[], bool]) -> WsgiDisconnectWatcher:
    """Has the connection watched while calls run."""
    watcher = WsgiDisconnectWatcher(scope, probe)
    state_of(scope).on_busy = watcher.watch
    return watcher


class _Start:
    """The server's ``start_response``, held back for bodies of unknown length until they have begun.

    Servers send no header before the first piece of the body anyway (PEP 3333), and what fails until then is still
    answered in full: with a problem.
    """

    __slots__ = ("_id_header", "_scope", "_sends_lane", "_start_response", "_waiting", "_write", "done", "length")

    def __init__(self, start_response: StartResponse, inbound: Inbound, scope: Scope) -> None:
        self._start_response = start_response
        self._id_header = inbound.request_id_header
        self._sends_lane = inbound.tells_callers
        self._scope = scope
        self._waiting: tuple[str, Headers] | None = None
        self._write: Write | None = None
        self.done = False
        self.length: int | None = None
        """The bytes of the body, where the app has said how many they are."""

    def __call__(self, status: str, headers: Headers, exc_info: OptExcInfo | None = None, /) -> Write:
        plain = dict(headers)
        values = dict(zip(map(str.lower, plain), plain.values(), strict=True))
        if self._id_header.lower() not in values:
            headers = [*headers, (self._id_header, state_of(self._scope).request_id)]
        length = values.get("content-length", "")
        self.length = int(length) if length.isdecimal() and len(length) <= _MOST_DIGITS else None
        if exc_info is not None:
            self.done = True
            if self._sends_lane:
                headers = with_lane(headers, self._scope)
            return self._start_response(status, headers, exc_info)
        self._waiting = (status, headers)
        if "content-length" in values:
            self.send()
        return self._write_out

    def send(self) -> None:
        """Pass on what was held back."""
        if self._waiting is not None:
            (status, headers), self._waiting = self._waiting, None
            self.done = True
            if self._sends_lane:
                headers = with_lane(headers, self._scope)
            self._write = self._start_response(status, headers)

    def _write_out(self, data: bytes) -> None:
        self.send()
        if self._write is not None:
            self._write(data)


class _Stream:
    """A body. Its pieces, and what runs when it is closed, belong to the request and its context: then that is over.

    Closing one of unknown length early ends its calls.

    The first piece of one of unknown length is made before the server has the body: granian takes the status and the
    headers when the app returns. An error before the first piece becomes the app's answer to that error. A later one is
    raised, for the server to abort the connection: a broken answer never ends as if it were whole.
    """

    def __init__(
        self,
        body: Iterable[bytes],
        scope: Scope,
        context: Context,
        start: _Start,
        answer: Callable[[RoutingError, WSGIEnvironment], WSGIApplication],
        watcher: WsgiDisconnectWatcher | None,
        environ: WSGIEnvironment,
    ) -> None:
        self._body = body
        self._pieces = iter(body)
        self._scope = scope
        self._context = context
        self._start = start
        self._answer = answer
        self._watcher = watcher
        self._environ = environ
        self._ended = False
        self._closed = False
        self._first = b""
        self._sized = start.done
        """It has a Content-Length, so that a close does not show whether its reader has gone."""
        self._handed_out = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def begin(self) -> None:
        """Make the first piece, unless the answer has begun already, and begin the answer."""
        if not self._start.done:
            self._context.run(self._first_piece)

    def __next__(self) -> bytes:
        if self._first:
            piece, self._first = self._first, b""
        elif self._ended:
            if self._watcher is not None:
                self._watcher.stop()
            raise StopIteration
        else:
            try:
                piece = self._context.run(self._later_piece)
            except StopIteration:
                if self._watcher is not None:
                    self._watcher.stop()
                raise
            except BaseException:
                self.close()  # werkzeug's server does not, where its client has reset the connection
                raise
        self._handed_out += len(piece)
        length = self._start.length
        if self._watcher is not None and length is not None and self._handed_out >= length:
            self._watcher.stop()  # the server has the whole answer: its reader may go while what runs behind it goes on
        return piece

    def _first_piece(self) -> None:
        try:
            self._first = self._piece()
            while not self._first:
                self._first = self._piece()
        except RoutingError as error:
            self._close_body()
            self._body = self._answer(error, self._environ)(self._environ, self._start)
            self._pieces = iter(self._body)
        except StopIteration:
            pass
        self._start.send()

    def _later_piece(self) -> bytes:
        try:
            return next(self._pieces)
        except StopIteration:
            self._ended = True
            raise
        except Exception as error:
            gone = None if self._watcher is None or not self._watcher.left else hang_up_in(error)
            if gone is None:
                abort_connection(self._environ)
                raise
        log_hang_up(gone, self._scope)
        raise caller_left_error(self._environ)

    def close(self) -> None:
        """The server is done with it, or its client has gone. Idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._watcher is not None:
            self._watcher.stop()
        if not self._ended and not self._sized:
            state_of(self._scope).hang_up()
        try:
            self._context.copy().run(self._close_body)  # a copy: another thread may be waiting for a piece
        finally:
            state_of(self._scope).finish()

    def _piece(self) -> bytes:
        try:
            return next(self._pieces)
        except StopIteration:
            self._ended = True
            raise

    def _close_body(self) -> None:
        close = getattr(self._body, "close", None)
        if close is not None:
            close()
