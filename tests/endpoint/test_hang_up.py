"""A caller that hangs up: the request upstream is closed at once, whole or in the middle of a stream."""

from __future__ import annotations

import json
import socket
import statistics
import time
from typing import Any

import pytest

from busy_machine import LONG_ENOUGH
from endpoint.stage import KEY, WAYS, Stage, mounted
from lanewise.testing import Received, Silence, StreamOf

WITHIN = {"starlette": 0.1, "flask": 0.2, "alone": 0.1}
"""Seconds, on an idle machine."""


def request(url: str, **body: Any) -> socket.socket:
    """A connection on which a call has been sent."""
    address, _, path = url.removeprefix("http://").partition("/")
    host, _, port = address.partition(":")
    content = json.dumps({"messages": [{"role": "user", "content": "x"}], **body}).encode()
    head = (
        f"POST /{path}/chat/completions HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    connection = socket.create_connection((host, int(port)), timeout=LONG_ENOUGH)
    connection.sendall(head.encode() + content)
    return connection


def hang_up(stage: Stage, url: str, *, stream: bool) -> float:
    """The seconds from a hang-up to the moment at which the provider sees its peer go."""
    before = stage.first.request_count
    connection = request(url, model="alone", stream=stream)
    stage.first.wait_for(before + 1)
    if stream:
        while b"word" not in connection.recv(65536):
            pass
    gone = time.monotonic()
    connection.close()
    received: Received = stage.first.journal[before]
    stage.first.wait_until(lambda: received.client_gone is not None)
    assert received.client_gone
    assert received.finished_at is not None
    return received.finished_at - gone


@pytest.mark.parametrize("mount", WAYS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_hang_up_closes_what_is_upstream(
    stage: Stage, mount: str, stream: bool, caplog: pytest.LogCaptureFixture, pytestconfig: pytest.Config
) -> None:
    """Within 100 ms under ASGI, 200 ms under WSGI, which is held where nothing else runs (--slow); always soon."""
    stage.first.script_all(StreamOf(chunks=["word"], interval=0.01, stall_after=1) if stream else Silence())
    with mounted(mount, stage.router()) as endpoint:
        took = [hang_up(stage, endpoint.base_url, stream=stream) for _ in range(5)]
    assert max(took) < 5
    if pytestconfig.getoption("--slow"):
        assert statistics.median(took) < WITHIN[mount]
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")], caplog.text
    assert "was answered with" not in caplog.text


@pytest.mark.parametrize("mount", WAYS)
def test_a_place_is_free_again_after_a_hang_up(stage: Stage, mount: str) -> None:
    """Of a client that may make one call at a time."""
    config = stage.config()
    config["clients"]["node"]["max_concurrency"] = 1
    stage.first.script_all(StreamOf(chunks=["word"], stall_after=1))
    with mounted(mount, stage.router(**config)) as endpoint:
        for _ in range(2):
            hang_up(stage, endpoint.base_url, stream=True)
            until = time.monotonic() + LONG_ENOUGH
            while endpoint.post(model="backup").status_code == 429:
                assert time.monotonic() < until
                time.sleep(0.02)


@pytest.mark.parametrize("mount", WAYS)
def test_half_a_body_is_no_call(stage: Stage, mount: str) -> None:
    """Whoever leaves before the body is whole has asked nothing."""
    with mounted(mount, stage.router()) as endpoint:
        address, _, path = endpoint.base_url.removeprefix("http://").partition("/")
        host, _, port = address.partition(":")
        head = f"POST /{path}/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
        head += "Content-Length: 900\r\n\r\n"
        with socket.create_connection((host, int(port)), timeout=LONG_ENOUGH) as connection:
            connection.sendall(head.encode() + b'{"model": "alone"')
        assert endpoint.post(model="backup").status_code == 200
    assert stage.first.request_count == 0
