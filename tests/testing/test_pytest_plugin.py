"""The pytest plugin, as an app's own tests meet it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import lanewise.testing

APP_TEST = """
import urllib.request

def test_app(fake_provider):
    with urllib.request.urlopen(fake_provider.base_url + "/models") as answer:
        assert answer.status == 200
    assert len(fake_provider.journal) == 1
"""


def test_the_fixture_is_there_without_any_import(tmp_path: Path) -> None:
    """Installing the package is enough, and it brings no warning."""
    (tmp_path / "test_app.py").write_text(APP_TEST)
    command = [sys.executable, "-m", "pytest", "-W", "error", "-p", "no:cacheprovider", "-q", str(tmp_path)]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=50)
    assert "1 passed" in result.stdout, result.stdout + result.stderr


def test_the_plugin_imports_next_to_nothing() -> None:
    """Every pytest run loads it, also those that have nothing to do with us."""
    heavy = "('openai', 'aiohttp', 'asyncio', 'msgspec', 'pydantic')"
    code = f"import sys, lanewise.testing.pytest_plugin; print([n for n in {heavy} if n in sys.modules])"
    known = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert known.stdout.strip() == "[]"


def test_every_public_name_is_there() -> None:
    """They are imported on first use, and a wrong name is an ordinary error."""
    assert all(getattr(lanewise.testing, name) is not None for name in lanewise.testing.__all__)
    assert dir(lanewise.testing) == sorted(lanewise.testing.__all__)
    assert not hasattr(lanewise.testing, "no_such_name")
