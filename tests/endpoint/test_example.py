"""The example with callers in Node and curl, run by its one command (--slow): it prints what its README shows."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
APP = "example_apps/node_and_curl/app.py"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_readme_is_true() -> None:
    """Both scripts are answered while the main provider is down."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("there is no Node here: what it prints is not shown")
    readme = (ROOT / APP).with_name("README.md").read_text()
    shown = re.findall(r"```console\n(.*?)```", readme, re.DOTALL)[0]
    assert shown.startswith(f"$ python {APP}\n")
    done = subprocess.run([sys.executable, APP, "--port", "18015"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == shown.partition("\n")[2]
