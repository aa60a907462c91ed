"""``python -m lanewise.cli.demo.serve``: the demo's app on uvicorn, until stdin closes."""

from __future__ import annotations

import os
import socket
import sys
import threading
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import uvicorn


def main() -> None:
    """Prints the app's URL once it serves."""
    import uvicorn  # of the extra `demo`

    class Announced(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            if self.started:
                port = self.servers[0].sockets[0].getsockname()[1]
                click.echo(f"http://127.0.0.1:{port}")

    server = Announced(
        uvicorn.Config(
            "lanewise.cli.demo.app:app",
            host="127.0.0.1",
            port=0,
            lifespan="on",
            log_level="warning",
            timeout_graceful_shutdown=1,
        )
    )
    threading.Thread(target=_stop_with_stdin, args=(server,), daemon=True).start()
    server.run()
    sys.exit(0 if server.started else 1)


def _stop_with_stdin(server: uvicorn.Server) -> None:
    # Not through sys.stdin: the interpreter can't end while a daemon thread holds the lock of its buffer.
    while os.read(0, 4096):
        pass
    server.should_exit = True


if __name__ == "__main__":
    main()
