"""The commands that the viewer has too, run as they would be typed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

__all__ = ["run_command"]

PATIENCE = 60.0
"""Seconds: each takes one or two."""
_RUN = "from understudy.cli import main; main()"


def run_command(arguments: Sequence[str], columns: int) -> str:
    """What an ``understudy`` command prints where there are so many columns."""
    done = subprocess.run(
        [sys.executable, "-c", _RUN, *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=PATIENCE,
        env={**os.environ, "COLUMNS": str(columns), "PYTHONIOENCODING": "utf-8"},
        check=False,
    )
    return done.stdout + done.stderr
