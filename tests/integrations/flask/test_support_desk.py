"""The example app, run by its one command and tried by the commands of its README."""

from __future__ import annotations

import http.client
import json
import os
import runpy
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from flask_understudy import assert_endpoints_declared

ROOT = Path(__file__).parents[3]
APP = "example_apps/flask_support_desk/app.py"
README = (ROOT / APP).with_name("README.md").read_text()
ENVIRON = {**os.environ, "NO_COLOR": "1"}


@dataclass(frozen=True)
class Answer:
    """What curl would show."""

    status: int
    headers: http.client.HTTPMessage
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def commands(section: str) -> list[str]:
    """The commands of a section of the README."""
    text = README.split(f"## {section}\n")[1].split("\n## ")[0]
    return [line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ ")]


def curl(command: str) -> Answer:
    """What a curl command of the README gets, without needing curl."""
    words = iter(shlex.split(command)[1:])
    method, headers, data, url = "", {}, None, ""
    for word in words:
        match word:
            case "-X":
                method = next(words)
            case "-H":
                name, _, value = next(words).partition(": ")
                headers[name] = value
            case "-d":
                data = next(words)
            case "-i" | "-N":
                pass
            case _:
                url = word
    parts = urlsplit(url)
    assert parts.hostname is not None
    with closing(http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)) as connection:
        connection.request(method or ("GET" if data is None else "POST"), parts.path, data, headers)
        with connection.getresponse() as answer:
            return Answer(answer.status, answer.headers, answer.read().decode())


@pytest.fixture
def running() -> Iterator[None]:
    """The app, as the README starts it."""
    assert f"$ python {APP}" in README
    process = subprocess.Popen([sys.executable, APP], cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 30
        while not _answers():
            assert process.poll() is None, "it ended at once: is a port taken?"
            assert time.monotonic() < until
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(10)


def _answers() -> bool:
    try:
        return curl("curl http://127.0.0.1:5005/").status == 200
    except OSError:
        return False


@pytest.mark.usefixtures("running")
def test_the_readme_is_true() -> None:
    """Its commands in order: summaries, a broken primary, a refund that fails closed, and the mended primary."""
    plain, with_id = [curl(command) for command in commands("A summary")]
    assert plain.json["route"] == "flagship"
    assert "answered by flagship" in plain.json["why"]
    assert with_id.headers["X-Request-ID"] == "req-2026-000042"

    (routine,) = [curl(command) for command in commands("Routine work")]
    assert (routine.json["route"], routine.json["summary"]) == ("mini", "Written by the small one.")
    assert "starts in degraded: tokens < 45 and not stream" in routine.json["why"]

    broken, summary, reply, refund = [curl(command) for command in commands("Break the primary")]
    assert broken.status == 200
    assert (summary.json["route"], summary.json["summary"]) == ("sonnet", "Written by its understudy.")
    assert reply.body == "Written by its understudy."
    assert (refund.status, refund.headers["content-type"]) == (503, "application/problem+json")
    assert refund.headers["cache-control"] == "no-store"

    _, mended = [curl(command) for command in commands("Mend it")]
    assert mended.json == {"decision": "Back again.", "route": "flagship"}
    assert curl("curl -X POST http://127.0.0.1:5005/tickets/3/summary").status == 404


@pytest.mark.parametrize("command", commands("See what is declared"))
def test_the_readmes_flask_commands_work(command: str) -> None:
    """The endpoints and the routes of the app."""
    words = [sys.executable, "-m", *shlex.split(command)]
    done = subprocess.run(words, cwd=ROOT, env=ENVIRON, capture_output=True, text=True, check=True)
    assert "flagship" in done.stdout


def test_every_endpoint_of_the_example_is_declared() -> None:
    """As an app's own test would have it."""
    assert_endpoints_declared(runpy.run_path(str(ROOT / APP))["create_app"]())
