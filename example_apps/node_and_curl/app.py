"""A Starlette app with an endpoint of its own, and callers that know nothing of Lanewise: Node and curl."""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from lanewise import Router
from lanewise.testing import FakeProvider, Status
from lanewise.web import OpenAIEndpoint
from starlette_lanewise import LanewiseMiddleware, lifespan

HERE = Path(__file__).parent


def create_app(router: Router) -> Starlette:
    """The app: whatever it does itself, and the endpoint for those outside of it."""

    async def home(request: object) -> PlainTextResponse:
        return PlainTextResponse("The endpoint is at /ai/v1\n")

    return Starlette(
        routes=[Route("/", home), Mount("/ai/v1", OpenAIEndpoint(router))],
        middleware=[Middleware(LanewiseMiddleware, router=router)],
        lifespan=lifespan(router),
    )


def router_for(key: str) -> Router:
    """The router of the config, whose client has this key."""
    config = tomllib.loads((HERE / "lanewise.toml").read_text())
    config["clients"]["scripts"]["key"] = f"sha256:{sha256(key.encode()).hexdigest()}"
    return Router.from_mapping(config)


@contextmanager
def serving(app: Starlette, port: int) -> Iterator[str]:
    """The endpoint's address, while the app is served."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise SystemExit("the app did not start: is the port taken?")
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}/ai/v1"
    finally:
        server.should_exit = True
        thread.join()


def run_callers(url: str, key: str) -> int:
    """Run the scripts in a copy of their folder, where Node's packages go; how many of them failed."""
    with TemporaryDirectory() as folder:
        copied = Path(shutil.copytree(HERE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules")))
        return _run_callers(copied, url, key)


def _run_callers(folder: Path, url: str, key: str) -> int:
    environ = {**os.environ, "OPENAI_BASE_URL": url, "OPENAI_API_KEY": key}
    commands = [["sh", "ask.sh"]]
    if shutil.which("node") and shutil.which("npm"):
        install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
        subprocess.run(install, cwd=folder / "node", check=True)
        commands.append(["node", "node/ask.mjs"])
    else:
        print("There is no Node here: only curl asks.")
    failed = 0
    for command in commands:
        print(f"\n$ {' '.join(command)}", flush=True)
        failed += subprocess.run(command, cwd=folder, env=environ, check=False).returncode != 0
    return failed


def main() -> int:
    """Break the main provider, and have curl and Node ask through the endpoint all the same."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, default=8015)
    parser.add_argument("--keep", action="store_true", help="go on serving afterwards, until Ctrl-C")
    arguments = parser.parse_args()
    key = f"lw_{secrets.token_hex(32)}"
    with FakeProvider(port=18151) as openai, FakeProvider(port=18152):
        openai.script_all(Status(500))
        with serving(create_app(router_for(key)), arguments.port) as url:
            print("The main provider answers every request with 500. The callers ask for the task ticket-summary.")
            failed = run_callers(url, key)
            if arguments.keep:
                print(f"\nOPENAI_BASE_URL={url}\nOPENAI_API_KEY={key}", flush=True)
                threading.Event().wait()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
