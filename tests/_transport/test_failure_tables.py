"""Each exception of aiohttp and of httpx2 has a signal."""

from __future__ import annotations

import ssl

import aiohttp
import httpx2
import pytest
from aiohttp import client_exceptions

from lanewise._failures.signals import TransportFailure, TransportSignal
from lanewise._transport import aiohttp_failures as aio_failures
from lanewise._transport import httpx_failures as handed_failures
from lanewise._transport.aiohttp_pool import AttemptState

AIOHTTP = sorted(
    (kind for kind in vars(client_exceptions).values() if isinstance(kind, type) and issubclass(kind, Exception)),
    key=lambda kind: kind.__name__,
)
HTTPX2 = sorted(
    (
        kind
        for kind in vars(httpx2).values()
        if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, Warning)
    ),
    key=lambda kind: kind.__name__,
)


def written(*, reused: bool = False) -> AttemptState:
    attempt = AttemptState(1.0, fresh=False)
    attempt.written = True
    attempt.reused = reused
    return attempt


def bare(kind: type[Exception]) -> Exception:
    """An exception of a class whose constructor wants what only its library has."""
    error = kind.__new__(kind)
    error.args = ("canary",)
    if isinstance(error, aiohttp.ServerDisconnectedError):
        error.message = "Server disconnected"
    return error


@pytest.mark.parametrize("kind", AIOHTTP, ids=lambda kind: kind.__name__)
def test_every_exception_of_aiohttp_has_a_row(kind: type[Exception]) -> None:
    """A class that a new version adds fails here, not in production."""
    row = next((row for row in aio_failures.CLASSES if issubclass(kind, row[0])), None)
    assert row is not None
    assert row[0] is not aiohttp.ClientError or kind is aiohttp.ClientError
    failure = aio_failures.send_failure(bare(kind), written())
    assert isinstance(failure.signal, TransportSignal)
    assert "canary" not in str(failure)
    assert isinstance(aio_failures.body_failure(bare(kind)).signal, TransportSignal)


@pytest.mark.parametrize("kind", HTTPX2, ids=lambda kind: kind.__name__)
def test_every_exception_of_httpx2_has_a_row(kind: type[Exception]) -> None:
    """The same for the client that an app hands in."""
    assert any(issubclass(kind, row[0]) for row in handed_failures.CLASSES)
    failure = handed_failures.send_failure(bare(kind), handed_failures.HttpxClientState())
    assert isinstance(failure.signal, TransportSignal)
    assert "canary" not in str(failure)


@pytest.mark.parametrize("table", [aio_failures.CLASSES, handed_failures.CLASSES])
def test_no_row_is_hidden_by_a_row_above(table: tuple[tuple[type[BaseException], object, str], ...]) -> None:
    """The first class that fits decides, so a base stands below what derives from it."""
    for index, (kind, _, _) in enumerate(table):
        assert not any(issubclass(kind, above) for above, _, _ in table[:index])


@pytest.mark.parametrize(
    ("attempt", "signal"),
    [
        (AttemptState(1.0, fresh=False), TransportSignal.UNREACHABLE),
        (written(), TransportSignal.RESET_AFTER_WRITE),
        (written(reused=True), TransportSignal.STALE_CONNECTION),
    ],
)
def test_a_lost_connection_means_what_the_attempt_had_done(attempt: AttemptState, signal: TransportSignal) -> None:
    """Nothing written, written on a fresh connection, written on a reused one."""
    assert aio_failures.send_failure(aiohttp.ServerDisconnectedError(), attempt).signal is signal
    assert aio_failures.send_failure(ConnectionResetError(), attempt).signal is signal


def test_an_unknown_exception_is_a_lost_connection() -> None:
    """When in doubt, the request may have run."""
    assert aio_failures.send_failure(KeyError("canary"), written()).signal is TransportSignal.RESET_AFTER_WRITE
    assert aio_failures.send_failure(ssl.SSLError(), written()).signal is TransportSignal.TLS


def test_a_failure_survives_pickling() -> None:
    """Failures cross process borders as they are."""
    import pickle

    failure = pickle.loads(pickle.dumps(TransportFailure(TransportSignal.CUT, "detail")))
    assert (failure.signal, failure.detail) == (TransportSignal.CUT, "detail")
