"""The gateways that the endpoint is measured beside, each in an environment of its own, as they come."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

__all__ = ["LITELLM", "MODELS", "PORTKEY", "Gateway", "lanewise", "litellm", "portkey"]

LITELLM = "1.110.2"
PORTKEY = "1.15.2"
_HONO = "1.14.1"
"""Of the server that Portkey's gateway stands on: with what npm takes by itself, and from 1.14.2 on, each stream is a
500 ("TypeError: immutable"), which is known there (Portkey-AI/gateway, issue 1389)."""
MODELS = ("whole", "stream", "paced")
"""What the provider behind them knows."""
_KEY = "lw_" + sha256(b"of the benchmark").hexdigest()
_PROXY = """
fastapi uvicorn uvloop httptools orjson apscheduler cryptography pyjwt python-multipart backoff gunicorn websockets rich
email-validator redis boto3 mcp semver fastapi-sso rq azure-identity azure-storage-blob pynacl polars soundfile
expression
"""
"""What its proxy imports, where its extra can't be resolved."""


@dataclass(frozen=True)
class Gateway:
    """How a gateway is started, and what a request to it looks like."""

    name: str
    command: tuple[str, ...]
    port: int
    path: str = "/v1/chat/completions"
    headers: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)


def lanewise(upstream: str, directory: Path, port: int) -> Gateway:
    """``lanewise serve``, with one client."""
    config = directory / "lanewise.toml"
    routes = "".join(
        f'[routes.{name}]\nprovider = "fake"\nmodel = "{name}"\n[tasks.{name}]\nprimary = "{name}"\n' for name in MODELS
    )
    client = f'[clients.bench]\nkey = "sha256:{sha256(_KEY.encode()).hexdigest()}"\n'
    config.write_text(f'[providers.fake]\nbase_url = "{upstream}"\n{routes}{client}')
    run = "from lanewise.cli import main; main()"
    command = (sys.executable, "-c", run, "serve", str(config), "--port", str(port))
    return Gateway("lanewise", command, port, headers={"Authorization": f"Bearer {_KEY}"})


def litellm(upstream: str, directory: Path, port: int) -> Gateway:
    """LiteLLM's proxy, with a master key, which it demands. Raises RuntimeError: it can't be installed here."""
    key = f"sk-{sha256(b'of the benchmark').hexdigest()}"
    models = "".join(
        f"  - model_name: {name}\n    litellm_params:\n      model: openai/{name}\n      api_base: {upstream}\n"
        "      api_key: none\n"
        for name in MODELS
    )
    config = directory / "litellm.yaml"
    config.write_text(f"model_list:\n{models}general_settings:\n  master_key: {key}\n")
    command = (str(_litellm_home() / "bin" / "litellm"), "--config", str(config), "--port", str(port))
    headers = {"Authorization": f"Bearer {key}"}
    return Gateway("LiteLLM proxy", command, port, headers=headers, environ={"LITELLM_MODE": "PRODUCTION"})


def portkey(upstream: str, directory: Path, port: int) -> Gateway:
    """Portkey's gateway: its caller names the provider. Raises RuntimeError: it can't be installed here."""
    home = _cache() / f"lanewise-benchmarks-portkey-{PORTKEY}-{_HONO}"
    start = home / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    if not start.exists():
        if shutil.which("npm") is None:
            raise RuntimeError("there is no Node here")
        home.mkdir(parents=True, exist_ok=True)
        wanted = {"dependencies": {"@portkey-ai/gateway": PORTKEY}, "overrides": {"@hono/node-server": _HONO}}
        (home / "package.json").write_text(json.dumps(wanted))
        _run(["npm", "install", "--prefix", str(home), "--no-audit", "--no-fund", "--ignore-scripts"])
    headers = {
        "Authorization": "Bearer none",
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": upstream,
    }
    return Gateway("Portkey gateway", ("node", str(start), f"--port={port}", "--headless"), port, headers=headers)


def _litellm_home() -> Path:
    home = _cache() / f"lanewise-benchmarks-litellm-proxy-{LITELLM}"
    if (home / "complete").exists():
        return home
    try:
        venv.create(home, with_pip=True, clear=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise RuntimeError(f"its environment can't be made: {error}") from None
    pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    try:
        _run([*pip, f"litellm[proxy]=={LITELLM}"])
    except RuntimeError:
        _run([*pip, f"litellm=={LITELLM}", *_PROXY.split()])
    (home / "complete").touch()
    return home


def _cache() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache if os.access(cache, os.W_OK) else Path(tempfile.gettempdir())


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except OSError as error:
        raise RuntimeError(f"it can't be installed: {error}") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines()
        raise RuntimeError(f"it can't be installed: {said[-1] if said else error}") from None
