"""The demo's app as a process of its own: started with its config, ended with the demo at the latest."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from lanewise.cli.demo.stage import PLAIN_KEY, ROUTED_KEY, Stage

__all__ = ["AppProcess", "CouldNotStart"]

START_SECONDS = 20.0
STOP_SECONDS = 5.0
LINES_QUOTED = 12


class CouldNotStart(Exception):
    """A part of the demo did not start; the message says which, and quotes its log."""


class AppProcess:
    """Runs the web app on a free port. Its ``base_url`` is known once it is entered.

    Its ``home`` has its config and its ledger: it is kept if the demo ran to its end, and removed otherwise.

    Raises:
        CouldNotStart: with the last lines of the app's log.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.base_url = ""
        self.home = Path()

    def __enter__(self) -> Self:
        home = self.home = Path(tempfile.mkdtemp(prefix="lanewise-demo-"))
        home.joinpath("lanewise.toml").write_text(self._stage.config_text(), encoding="utf-8")
        self._log = home / "app.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "lanewise.cli.demo.serve"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._environment(home),
                start_new_session=True,  # Ctrl-C is for the demo, which ends the app in its own time
                text=True,
            )
        try:
            self.base_url = self._announced()
            if not self.base_url:
                raise CouldNotStart(self._last_words())
        except BaseException:
            self._stop()
            shutil.rmtree(self.home, ignore_errors=True)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()
        if kind is not None:
            shutil.rmtree(self.home, ignore_errors=True)

    def _environment(self, home: Path) -> dict[str, str]:
        # A proxy, or OPENAI_* of the user's own, would make it another demo.
        own = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("OPENAI_") and not name.lower().endswith("_proxy")
        }
        return {
            **own,
            "LANEWISE_CONFIG": str(home / "lanewise.toml"),
            "MAIN_KEY": ROUTED_KEY,
            "SPARE_KEY": ROUTED_KEY,
            "OPENAI_BASE_URL": self._stage.main.base_url,
            "OPENAI_API_KEY": PLAIN_KEY,
        }

    def _announced(self) -> str:
        """The line with the app's URL, or nothing if it ended or took too long."""
        assert self._process.stdout is not None
        too_late = threading.Timer(START_SECONDS, self._process.kill)
        too_late.start()
        try:
            return self._process.stdout.readline().strip()
        finally:
            too_late.cancel()

    def last_lines(self) -> str:
        """The end of the app's log, indented."""
        log_lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-LINES_QUOTED:]
        return "\n".join(f"    {line}" for line in log_lines) or "    (nothing)"

    def _last_words(self) -> str:
        code = self._process.wait(STOP_SECONDS)
        return f"the demo's web app did not start (exit code {code}). It said:\n{self.last_lines()}"

    def _stop(self) -> None:
        # Its stdin closes with the pipes, and that ends it.
        with self._process as process:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
