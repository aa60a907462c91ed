"""A llama.cpp server for tests: started in a process of its own, which ends with the one that started it."""

from __future__ import annotations

import importlib.util
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from real.tiny_model import write_tiny_model

__all__ = ["CONTEXT", "MODEL", "Llama", "llama_server", "unsupported"]

MODEL = "tiny-llama"
CONTEXT = 256
"""The server's context in tokens, which are characters."""

_HAS_WHEEL = {
    "linux": {"x86_64", "aarch64"},
    "darwin": {"x86_64", "arm64"},
    "win32": {"AMD64"},
}


@dataclass(frozen=True)
class Llama:
    """A llama.cpp server that runs."""

    address: str

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as its ``base_url``."""
        return f"{self.address}/v1"


def unsupported() -> str | None:
    """Why there can be no llama.cpp on this platform; where there can be and is none, the tests have to fail."""
    if importlib.util.find_spec("xllamacpp") is not None:
        return None
    if platform.machine() in _HAS_WHEEL.get(sys.platform, ()):
        return None
    return f"xllamacpp has no wheel for {sys.platform} on {platform.machine()}"


@contextmanager
def llama_server(folder: Path) -> Iterator[Llama]:
    """A server with the tiny model, on a free port of loopback, once it accepts connections."""
    model = folder / "tiny.gguf"
    write_tiny_model(model)
    command = [sys.executable, str(Path(__file__).with_name("serve_llama.py")), str(model), MODEL, str(CONTEXT)]
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        if not address:
            process.wait(45)
            said.seek(0)
            raise RuntimeError(f"the llama.cpp server did not start:\n{said.read()}")
        try:
            yield Llama(address)
        finally:
            process.stdin.close()  # tells it to end
            try:
                code = process.wait(45)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        assert code == 0, f"the llama.cpp server ended with {code}"
