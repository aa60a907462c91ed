"""The commands that the viewer has too, run as they would be typed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from shutil import which

__all__ = ["as_typed", "run_command"]

PATIENCE = 60.0
"""Seconds: each takes one or two."""
_RUN = "from lanewise.cli import main; main()"


def run_command(arguments: Sequence[str], columns: int) -> str:
    """What an ``lanewise`` command prints where there are so many columns."""
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


def as_typed() -> str:
    """The command as this shell finds it: by its name if it is on the path, else where this Python has it.

    Example::

        assert as_typed() in ("lanewise", ".venv/bin/lanewise")  # after ``make demo``
    """
    own = Path(sys.executable).with_name("lanewise")
    found = which("lanewise")
    if not own.exists() or (found is not None and Path(found).samefile(own)):
        return "lanewise"
    return str(own.relative_to(Path.cwd()) if own.is_relative_to(Path.cwd()) else own)
