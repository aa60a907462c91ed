"""Whose call it is: the clients of the config, known by their keys or by a function of the app."""

from __future__ import annotations

import hmac
import logging
import sys
import traceback
from collections.abc import Callable
from hashlib import sha256
from http import HTTPStatus
from typing import Final, Protocol

from lanewise.config import Client, Config, ConfigError, Mistake
from lanewise.web.openai_endpoint.endpoint_answers import EndpointError
from lanewise.web.openai_endpoint.endpoint_request import RequestHead

__all__ = [
    "AppCallers",
    "Callers",
    "EndpointClient",
    "KeyCallers",
    "LoopbackCallers",
    "authentication_failed",
    "is_http_error",
    "usable_tasks",
]

_log: Final = logging.getLogger("lanewise")

_NO_CLIENTS: Final = Mistake(
    "clients",
    "nobody could call the endpoint: no client is declared, and the app gives no `authenticate` function",
    "`lanewise keys create NAME` prints a key, and what belongs under [clients.NAME].",
)
_OF_BROWSERS: Final = (b"cookie", b"origin")
"""What a browser sends for any page: with cookies, passwords (Basic) and certificates, which the app may go by."""
_BEARER: Final = b"bearer "
_FRAMEWORKS: Final = ("starlette.exceptions", "litestar.exceptions", "werkzeug.exceptions")
_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}
_LONGEST_NAME: Final = 256
"""Characters of a client's name. It stands in records, digests and log lines."""


class EndpointClient:
    """A client as the endpoint knows it: its marks, its labels and the tasks that it may use."""

    def __init__(self, name: str, declared: Client, config: Config) -> None:
        self.name = name
        self.declared = declared
        self.sensitive = frozenset(() if declared.sensitive is None else (declared.sensitive,))
        self.tasks = usable_tasks(declared, config)
        self.labels = declared.labels or None
        header = declared.subject_header
        self._subject_header = None if header is None else header.encode("ascii")
        self._others = config.clients.keys() - {name}

    def __repr__(self) -> str:
        return f"<EndpointClient {self.name}>"

    def subject(self, head: RequestHead) -> str:
        """The subject of a call: what the declared header says, or the client itself.

        The name of another client is that one's own subject: whoever sends it spends nothing of its budgets.
        """
        if self._subject_header is None:
            return self.name
        values = head.values(self._subject_header)
        if len(values) != 1 or not (said := values[0].strip()):
            return self.name
        told = said.decode("utf-8", "backslashreplace")
        return f"{self.name}/{told}" if told in self._others else told


def usable_tasks(client: Client, config: Config) -> tuple[str, ...]:
    """The tasks that a client may use: those that it lists, else all that are not sensitive."""
    if client.tasks is not None:
        return tuple(name for name in config.tasks if name in client.tasks)
    return tuple(name for name, task in config.tasks.items() if task.sensitive is None)


class Callers(Protocol):
    """Tells whose request it is."""

    def client_of(self, head: RequestHead, told: object) -> EndpointClient:
        """The client that makes a request; ``told`` is what the app's function said of it, if there is one.

        Raises EndpointError: it is none.
        """
        ...

    @property
    def authenticate(self) -> Callable[..., object] | None:
        """The app's function that is to be asked first."""
        ...


class KeyCallers:
    """The clients of the config, each known by its keys. Raises ConfigError: there are none with a key."""

    authenticate: Callable[..., object] | None = None

    def __init__(self, config: Config) -> None:
        self._known: list[tuple[bytes, EndpointClient]] = []
        for name, declared in config.clients.items():
            client = EndpointClient(name, declared, config)
            self._known += [(bytes.fromhex(digest.removeprefix("sha256:")), client) for digest in declared.key]
        if not self._known:
            raise ConfigError([_NO_CLIENTS], None if config.source is None else str(config.source))

    def client_of(self, head: RequestHead, told: object) -> EndpointClient:
        """As :meth:`Callers.client_of`: by the key in ``Authorization: Bearer``, or in ``api-key``."""
        digest = sha256(_key_in(head)).digest()
        found = None
        for known, client in self._known:  # each of them: how long it takes tells nothing
            if hmac.compare_digest(known, digest):
                found = client
        if found is None:
            raise _unauthorized("The API key is not the key of any client")
        return found


class AppCallers:
    """The clients that a function of the app tells. Where the config declares clients, it must name one of them."""

    def __init__(self, config: Config, authenticate: Callable[..., object]) -> None:
        if not callable(authenticate):
            raise TypeError(f"authenticate is a function of the request, not {type(authenticate).__name__}")
        self.authenticate: Callable[..., object] | None = authenticate
        self._config = config
        self._clients = {name: EndpointClient(name, declared, config) for name, declared in config.clients.items()}

    def client_of(self, head: RequestHead, told: object) -> EndpointClient:
        """As :meth:`Callers.client_of`."""
        if told is None:
            raise _unauthorized("The request is not authenticated")
        if not isinstance(told, str) or not 0 < len(told) <= _LONGEST_NAME or not told.isprintable():
            _log.error("authenticate gave %s, where a client's name or None belongs", _kind_of(told))
            raise _unauthorized("The request is not authenticated")
        if head.method == "POST" and any(map(head.values, _OF_BROWSERS)):
            head.require_json()  # which no page sends without asking first
        client = self._clients.get(told)
        if client is None:
            if self._config.clients:
                _log.error("authenticate named a client that the config does not declare: add it under [clients]")
                raise _unauthorized("The request is not authenticated")
            client = EndpointClient(told, Client(), self._config)
        return client


class LoopbackCallers:
    """Whoever reaches the endpoint on this machine, but no web page: a page can't choose its Host, nor send JSON."""

    authenticate: Callable[..., object] | None = None

    def __init__(self, config: Config) -> None:
        self._client = EndpointClient("open", Client(), config)

    def client_of(self, head: RequestHead, told: object) -> EndpointClient:
        """As :meth:`Callers.client_of`."""
        head.require_loopback()
        if head.method == "POST":
            head.require_json()
        return self._client


def authentication_failed(error: Exception) -> EndpointError:
    """What a caller is told when the app's function raised: the status of the framework's HTTP error, else a 500.

    The log has the error's class and place, and not its text: a mapping that lacks a key shows it in its KeyError.
    """
    status = getattr(error, "status_code", None)
    if is_http_error(error) and status in _PHRASES and status >= 400:
        phrase = _PHRASES[status]
        headers = ((b"www-authenticate", b"Bearer"),) if status == 401 else ()
        return EndpointError(status, phrase.lower().replace(" ", "_"), phrase, headers=headers)
    place = traceback.extract_tb(error.__traceback__)[-1]
    _log.error("authenticate raised %s (%s, line %s)", type(error).__name__, place.filename, place.lineno)
    return EndpointError(500, "internal_error", "The server made a mistake")


def is_http_error(error: Exception) -> bool:
    """Whether an exception is how an app of a framework that is loaded refuses a request."""
    classes = (getattr(sys.modules.get(module), "HTTPException", None) for module in _FRAMEWORKS)
    return any(isinstance(error, each) for each in classes if each is not None)


def _kind_of(told: object) -> str:
    if not isinstance(told, str):
        return type(told).__name__
    return "a text that is empty, longer than 256 characters or not printable"


def _key_in(head: RequestHead) -> bytes:
    authorizations, api_keys = head.values(b"authorization"), head.values(b"api-key")
    keys = {value.strip() for value in api_keys}
    for value in authorizations:
        if value[: len(_BEARER)].lower() == _BEARER:
            keys.add(value[len(_BEARER) :].strip())
    keys.discard(b"")
    if len(authorizations) > 1 or len(api_keys) > 1 or len(keys) > 1:
        raise _unauthorized("The request has more than one API key")
    if not keys:
        raise _unauthorized("The request has no API key: send it as `Authorization: Bearer <key>`")
    return keys.pop()


def _unauthorized(message: str) -> EndpointError:
    return EndpointError(401, "invalid_api_key", message, headers=((b"www-authenticate", b"Bearer"),))
