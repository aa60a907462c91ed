"""``python -m lanewise.testing``: a fake provider in a process of its own, in the foreground."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading

from lanewise.testing.provider import FakeProvider


def main() -> None:
    """Prints the base URL as its first line, and serves until SIGTERM, Ctrl-C, or the end of stdin if that is asked."""
    parser = argparse.ArgumentParser(prog="python -m lanewise.testing", description=FakeProvider.__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--until-stdin-closes", action="store_true", help="stop when stdin ends")
    arguments = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if arguments.until_stdin_closes:
        threading.Thread(target=_read_stdin, args=(stop,), daemon=True).start()
    provider = FakeProvider(arguments.host, arguments.port, journal_limit=100)
    try:
        provider.start()
    except OSError as error:
        parser.exit(1, f"can't listen on {arguments.host} port {arguments.port}: {error.strerror or error}\n")
    with provider:
        sys.stdout.write(f"{provider.base_url}\n")
        sys.stdout.flush()
        stop.wait()


def _read_stdin(stop: threading.Event) -> None:
    # Not through sys.stdin: the interpreter can't end while a daemon thread holds the lock of its buffer.
    while os.read(0, 4096):
        pass
    stop.set()


if __name__ == "__main__":
    main()
