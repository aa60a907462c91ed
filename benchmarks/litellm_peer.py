"""The LiteLLM side, and the Python that has it: this one where it is installed beside ours, else one of its own."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

__all__ = ["VERSION", "environment"]

VERSION = "1.110.2"

_MESSAGES = [
    {"role": "system", "content": "You summarise support tickets in two sentences, in the language of the ticket."},
    {"role": "user", "content": "The invoice of October was charged twice, and nobody answers the telephone. " * 6},
]


def environment() -> Path:
    """The Python of an environment with LiteLLM in it: this one, or one made at the first use and kept in the user's
    cache.

    Raises RuntimeError: it can't be made here.
    """
    if _has_litellm(Path(sys.executable)):
        return Path(sys.executable)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = next((place for place in (cache, Path(tempfile.gettempdir())) if _writable(place)), None)
    if home is None:
        raise RuntimeError("there is no directory to make its environment in")
    place = home / f"lanewise-benchmarks-litellm-{VERSION}"
    python = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if _has_litellm(python):
        return python
    try:
        venv.create(place, with_pip=True, clear=True)
        install = [str(python), "-m", "pip", "install", "--quiet", f"litellm=={VERSION}"]
        subprocess.run(install, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        raise RuntimeError(f"its environment can't be made: {said.strip().splitlines()[-1]}") from None
    return python


def _writable(place: Path) -> bool:
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(place, os.W_OK)


def _has_litellm(python: Path) -> bool:
    look = "import importlib.metadata as m; print(m.version('litellm'))"
    try:
        found = subprocess.run([python, "-c", look], capture_output=True, text=True)
    except OSError:
        return False
    return found.stdout.strip() == VERSION


def _measured(url: str, at_once: int) -> None:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it fetches a list of prices when it is imported
    import litellm  # type: ignore[import-not-found]

    from benchmarks.meter import serve_async

    litellm.suppress_debug_info = True
    params = {"model": "openai/gpt-4o", "api_base": url, "api_key": "key"}
    second = {**params, "model": "openai/gpt-4o-mini"}
    router = litellm.Router(
        model_list=[
            {"model_name": "task", "litellm_params": params},
            {"model_name": "equivalent", "litellm_params": second},
        ],
        fallbacks=[{"task": ["equivalent"]}],
    )

    async def call() -> None:
        await router.acompletion(model="task", messages=_MESSAGES, temperature=0.2)

    serve_async(asyncio.new_event_loop(), call, at_once)


if __name__ == "__main__":
    from benchmarks.meter import pin

    url, at_once, core = sys.argv[1:]
    pin(int(core) if core else None)
    _measured(url, int(at_once))
