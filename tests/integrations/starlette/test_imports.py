"""The adapter without its framework: an error that names the extra, and nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("missing", "module", "extra"),
    [
        ("starlette", "starlette_lanewise", "lanewise[starlette]"),
        ("fastapi", "starlette_lanewise.fastapi", "lanewise[fastapi]"),
    ],
)
def test_without_the_framework_the_extra_is_named(missing: str, module: str, extra: str) -> None:
    """``pip install`` and what to install."""
    code = f"""
import sys
sys.modules[{missing!r}] = None
try:
    import {module}
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"pip install '{extra}'" in done.stdout


def test_starlette_alone_is_enough_for_starlette() -> None:
    """FastAPI is imported by nobody but its own module."""
    code = "import sys; sys.modules['fastapi'] = None; import starlette_lanewise; assert 'uvicorn' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
