"""Notices that the caller of a WSGI request has hung up while a call runs, by what the server leaves in the environ.

WSGI has no word for it. gunicorn and werkzeug leave the connection's socket, which is asked without reading from it.
waitress leaves a function, which by itself only knows with a ``channel_request_lookahead``; so the socket of its
channel is asked too. uWSGI tells the number of the connection's descriptor. Where a server leaves nothing (granian,
mod_wsgi, a WSGI app within an ASGI server), a call runs to its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
import ssl
import struct
import sys
from collections.abc import Callable, Mapping
from errno import EPIPE
from functools import partial
from typing import Final

from lanewise.scope import Scope, state_of

__all__ = ["WsgiDisconnectWatcher", "abort_connection", "caller_left_error", "disconnect_probe"]

EVERY: Final = 0.1
"""Seconds between two looks."""
_SOCKETS: Final = ("gunicorn.socket", "werkzeug.socket")
_WAITRESS: Final = "waitress.client_disconnected"
_GONE: Final = getattr(select, "POLLRDHUP", 0) | getattr(select, "POLLHUP", 0) | getattr(select, "POLLERR", 0)


def disconnect_probe(environ: Mapping[str, object]) -> Callable[[], bool] | None:
    """A function that looks whether a request's caller has gone; ``None`` where its server leaves nothing to look at.

    Example::

        probe = disconnect_probe(environ)
        if probe is not None and probe():
            ...
    """
    for name in _SOCKETS:
        connection = environ.get(name)
        if isinstance(connection, socket.socket):
            return partial(_has_hung_up, connection)
    number = _number_of_uwsgi(environ)
    if number is not None:
        return partial(_has_closed, number)
    asked = environ.get(_WAITRESS)
    if not callable(asked):
        return None
    connection = getattr(getattr(asked, "__self__", None), "socket", None)
    if not isinstance(connection, socket.socket):
        return lambda: bool(asked())
    return lambda: bool(asked()) or _has_hung_up(connection)


def caller_left_error(environ: Mapping[str, object]) -> Exception:
    """What a body raises whose reader has gone: the server takes it for that, and for no error of the app's."""
    of_waitress = getattr(sys.modules.get("waitress.channel"), "ClientDisconnected", None)
    if _WAITRESS in environ and isinstance(of_waitress, type) and issubclass(of_waitress, Exception):
        return of_waitress()
    if "uwsgi.version" in environ:
        return StopIteration()  # it has no word for it, and prints a traceback of anything else
    return BrokenPipeError(EPIPE, "the caller hung up")


def abort_connection(environ: Mapping[str, object]) -> None:
    """Have a broken answer end as one where the server would close it in order: uWSGI sends no chunks.

    Its connection is reset as soon as it is closed, in place of the end that a whole answer has. One over a unix socket
    can't be.
    """
    number = _number_of_uwsgi(environ)
    if number is None:
        return
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(number)) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _number_of_uwsgi(environ: Mapping[str, object]) -> int | None:
    """The descriptor of the connection of the request that this thread serves, under uWSGI."""
    uwsgi = sys.modules.get("uwsgi") if "uwsgi.version" in environ else None
    ask = getattr(uwsgi, "connection_fd", None)
    return int(ask()) if callable(ask) else None


class WsgiDisconnectWatcher:
    """Looks after one request's connection while calls of its scope run. ``left`` says that the caller has gone.

    It looks in the loop that the calls run in, and takes no thread of its own.
    """

    def __init__(self, scope: Scope, probe: Callable[[], bool]) -> None:
        self.left = False
        self._state = state_of(scope)
        self._probe = probe
        self._looks = False
        self._stopped = False

    def watch(self) -> None:
        """A call begins, in the running loop."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        if not self._looks and not self._stopped:
            self._looks = True
            loop.call_later(EVERY, self._look, loop)

    def stop(self) -> None:
        """The request is over, or its whole answer with the server, whose business the connection is from then on."""
        self._stopped = True

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._stopped or not self._state.is_busy:
            self._looks = False
        elif self._probe() and not self._stopped:  # it may have been told to stop, and the caller have gone, meanwhile
            self.left = True
            self._looks = False
            self._state.hang_up()
        else:
            loop.call_later(EVERY, self._look, loop)


def _has_hung_up(connection: socket.socket) -> bool:
    """Whether the peer has closed its end, without taking a byte: a next request may wait there.

    Other than by a look at what can be read, a close is seen behind bytes, and through TLS.
    """
    try:
        number = connection.fileno()
        if number < 0:
            return False  # the server has closed it: the request is over
        if not hasattr(select, "POLLRDHUP"):  # macOS
            return _has_ended(connection)
        return _has_closed(number)
    except (OSError, ValueError):
        return False


def _has_closed(number: int) -> bool:
    if not hasattr(select, "POLLRDHUP"):
        return False
    asking = select.poll()
    asking.register(number, select.POLLRDHUP)
    return any(happened & _GONE for _, happened in asking.poll(0))


def _has_ended(connection: socket.socket) -> bool:
    if isinstance(connection, ssl.SSLSocket) or not select.select([connection], [], [], 0)[0]:
        return False
    return connection.recv(1, socket.MSG_PEEK) == b""
