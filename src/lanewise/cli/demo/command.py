"""The command ``lanewise demo``: its options, the packages that it needs, and its exit codes."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import FrameType

import click

__all__ = ["demo"]

INTERRUPTED = 128
"""A process that a signal ended exits with this plus the signal's number."""


@click.command()
@click.option(
    "--live/--no-live", default=None, help="A live table, or plain lines for logs.  [default: is it a terminal]"
)
@click.option(
    "--seconds",
    type=click.FloatRange(5, 600),
    default=26.0,
    show_default=True,
    help="How long the traffic lasts; the phases share it. Below 20 the SDK's retries outlive the failures.",
)
def demo(live: bool | None, seconds: float) -> None:
    """Show a failing provider, and an app that keeps answering.

    Two fake providers, a web app and its users, all on this machine. Exit code 0 only if every request to the routed
    endpoint was answered.
    """
    _require_extra()
    with _sigterm_as_interrupt() as came:
        try:
            sys.exit(_run(live, seconds))
        except KeyboardInterrupt:
            if came:
                sys.exit(INTERRUPTED + came[0])
            click.echo("\nStopped. Nothing is left running.", err=True)
            sys.exit(INTERRUPTED + signal.SIGINT)


def _run(live: bool | None, seconds: float) -> int:
    from rich.console import Console  # these take a moment, in which Ctrl-C works already

    from lanewise.cli.demo.hosting import CouldNotStart
    from lanewise.cli.demo.show import LOG_COLUMNS, run

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=LOG_COLUMNS)
    try:
        return run(console, live=console.is_terminal if live is None else live, seconds=seconds).exit_code
    except CouldNotStart as error:
        click.echo(f"lanewise demo: {error}", err=True)
        return 1


def _require_extra() -> None:
    missing = [name for name in ("starlette", "uvicorn", "sqlalchemy", "alembic") if find_spec(name) is None]
    if missing:
        click.echo(
            f"lanewise demo: {' and '.join(missing)} not installed. The demo runs a real web app:\n\n"
            "    pip install 'lanewise[demo]'",
            err=True,
        )
        sys.exit(1)


@contextmanager
def _sigterm_as_interrupt() -> Iterator[list[int]]:
    """Makes SIGTERM end the demo as Ctrl-C does: with its app, and with the terminal restored.

    Yields the list of signals that came.
    """
    came: list[int] = []

    def end(number: int, _: FrameType | None) -> None:
        came.append(number)
        signal.raise_signal(signal.SIGINT)  # which asyncio turns into a cancellation, where raising would tear tasks

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield came
    finally:
        signal.signal(signal.SIGTERM, before)
