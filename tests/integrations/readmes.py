"""Example apps run by their one command, and tried by the commands of their READMEs."""

from __future__ import annotations

import ast
import http.client
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from busy_machine import LONG_ENOUGH

__all__ = ["ROOT", "Curled", "Example", "curl"]

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Curled:
    """What curl would show. ``broken`` says that the body ended before its end."""

    status: int
    headers: http.client.HTTPMessage
    body: str
    broken: bool = False

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Example:
    """An example app: ``example_apps/<name>``, which answers at ``url``."""

    def __init__(self, name: str, url: str) -> None:
        self.app = f"example_apps/{name}/app.py"
        self.readme = (ROOT / self.app).with_name("README.md").read_text()
        self._url = url

    @contextmanager
    def running(self) -> Iterator[None]:
        """The app, as its README starts it."""
        assert f"$ python {self.app}\n" in self.readme
        free_by = time.monotonic() + LONG_ENOUGH
        while self._answers():
            assert time.monotonic() < free_by, f"something else answers at {self._url}"
            time.sleep(0.2)
        files = self._files()
        with tempfile.TemporaryFile() as printed:
            # A command of Flask that ran in this process has left a word that keeps an app from serving.
            environ = {name: value for name, value in os.environ.items() if name != "FLASK_RUN_FROM_CLI"}
            words = [sys.executable, self.app]
            process = subprocess.Popen(words, cwd=ROOT, env=environ, stdout=printed, stderr=printed)
            try:
                until = time.monotonic() + 120
                while not self._answers():
                    assert process.poll() is None, f"it ended at once: {_last_lines(printed)}"
                    assert time.monotonic() < until
                    time.sleep(0.05)
                yield
            finally:
                process.send_signal(signal.SIGINT)
                assert process.wait(LONG_ENOUGH) in (0, 130, -signal.SIGINT)
            printed.seek(0)
            self._check_first_screen(printed.read().decode(errors="replace"))
        assert self._files() == files, "it leaves nothing behind"

    def _check_first_screen(self, text: str) -> None:
        """It says what it shows, how to ask, and how to break it, by commands of the README."""
        assert ast.get_docstring(ast.parse((ROOT / self.app).read_text())) in text
        commands = [line.strip() for line in text.splitlines() if line.startswith(("  curl ", "  for "))]
        assert len(commands) > 1
        assert any("/_fake/script" in command for command in commands)
        assert not [command for command in commands if f"$ {command}\n" not in self.readme]

    def _files(self) -> set[Path]:
        return {path for path in (ROOT / self.app).parent.rglob("*") if "__pycache__" not in path.parts}

    def commands(self, section: str) -> list[str]:
        """The commands of a section of the README."""
        text = self.readme.split(f"## {section}\n")[1].split("\n## ")[0]
        return [line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ ")]

    def curled(self, section: str) -> list[Curled]:
        """What the curl commands of a section get, in order; ``sleep`` sleeps."""
        got = []
        for command in self.commands(section):
            if command.startswith("sleep "):
                time.sleep(float(command.removeprefix("sleep ")))
            else:
                got.append(curl(command))
        return got

    def printed(self, command: str) -> str:
        """What one of the project's own commands prints."""
        words = [sys.executable, "-c", "from lanewise.cli import main; main()", *shlex.split(command)[1:]]
        environ = {**os.environ, "NO_COLOR": "1", "COLUMNS": "120"}
        return subprocess.run(words, cwd=ROOT, env=environ, capture_output=True, text=True, check=True).stdout

    def _answers(self) -> bool:
        try:
            return curl(f"curl {self._url}").status == 200
        except OSError:
            return False


def _last_lines(printed: IO[bytes]) -> str:
    printed.seek(0)
    return printed.read().decode(errors="replace")[-2000:]


def curl(command: str) -> Curled:
    """What a curl command gets, without needing curl."""
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
    with closing(http.client.HTTPConnection(parts.hostname, parts.port, timeout=LONG_ENOUGH)) as connection:
        connection.request(method or ("GET" if data is None else "POST"), parts.path or "/", data, headers)
        with connection.getresponse() as answer:
            try:
                return Curled(answer.status, answer.headers, answer.read().decode())
            except http.client.IncompleteRead as error:
                return Curled(answer.status, answer.headers, error.partial.decode(), broken=True)
