"""Configs to test with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def complete() -> Path:
    """A config in TOML that uses most keys."""
    return Path(__file__).parent / "complete.toml"


@pytest.fixture
def in_file(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a text as a config file."""

    def write(text: str) -> Path:
        file = tmp_path / "lanewise.toml"
        file.write_text(text, encoding="utf-8")
        return file

    return write
