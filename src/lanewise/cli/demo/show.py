"""Running the demo from its opening text to its verdict, with a live table or in plain lines."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import which

import anyio
from rich.console import Console, RenderableType
from rich.live import Live

import lanewise.cli.demo.screen as screen
from lanewise.cli.demo.hosting import AppProcess, CouldNotStart
from lanewise.cli.demo.stage import PHASES, Stage
from lanewise.cli.demo.tally import DemoVerdict, Side, Tally, verdict
from lanewise.cli.demo.traffic import RATE, Traffic

__all__ = ["LOG_COLUMNS", "run"]

LOG_COLUMNS = 110
"""Columns of the output if it is no terminal."""
COMMAND_PATIENCE = 60.0
"""Seconds that a command may take: each takes one or two."""
PICTURES = 5
"""A second: enough to see it move, and little work beside what is measured."""


def run(console: Console, *, live: bool, seconds: float) -> DemoVerdict:
    """Run the demo, and return its verdict.

    Raises:
        CouldNotStart: a provider or the app did not start.
        KeyboardInterrupt: the viewer had enough; everything has been ended.
    """
    console.print(screen.intro(seconds, RATE))
    console.print()
    tally = Tally()
    stage = Stage()
    try:
        stage.start()
    except OSError as error:
        raise CouldNotStart(f"a fake provider did not start on 127.0.0.1: {error}") from error
    with stage:
        console.print(screen.declared(stage.config_text()))
        with AppProcess(stage) as app:
            traffic = Traffic(app.base_url, stage, PHASES, seconds, tally)
            play = _Play(console, traffic, tally, seconds)
            _ended(play.live if live else play.plain)
            app_log = app.last_lines()
    if not live:
        console.print(screen.final_frame(PHASES, tally))
    end = verdict(tally.total(Side.ROUTED), tally.total(Side.PLAIN))
    _print(console, screen.summary(PHASES, tally))
    _print_records(console, app.home, tally)
    if not end.ok:
        _print(console, screen.app_log_text(app_log))
    _print(console, screen.verdict_text(end))
    return end


def _print(console: Console, part: RenderableType) -> None:
    console.print()
    console.print(part)


def _print_records(console: Console, home: Path, tally: Tally) -> None:
    """Show the ledger of the demo by ``lanewise report`` and ``lanewise explain``, as the viewer would."""
    config = str(home / "lanewise.toml")
    _print(console, screen.ledger_stays(home))
    _print_command(console, "report", "--by", "lane,route", config)
    sample = tally.most_eventful()
    if sample is not None:
        _print_command(console, "explain", sample.request_id, config)


def _print_command(console: Console, *arguments: str) -> None:
    line = shlex.join((_as_typed(), *arguments))
    console.print()
    console.print(f"$ {line}", style="bold", markup=False, soft_wrap=True)  # to be copied, however long
    console.print(screen.printed(_printed_by(arguments, console.width - screen.INDENT), console.width))


def _ended(play: Callable[[], Awaitable[None]]) -> None:
    """Run it; SystemExit and KeyboardInterrupt are raised bare, not in a task group's exception group."""
    try:
        anyio.run(play)
    except BaseExceptionGroup as group:
        ending: BaseException | None = group.subgroup((SystemExit, KeyboardInterrupt))
        if ending is None:
            raise
        while isinstance(ending, BaseExceptionGroup):
            ending = ending.exceptions[0]
        raise ending from None


@dataclass(frozen=True)
class _Play:
    console: Console
    traffic: Traffic
    tally: Tally
    seconds: float

    async def live(self) -> None:
        """With a table that fills."""
        with Live(self._picture(), console=self.console, auto_refresh=False) as table:
            async with anyio.create_task_group() as beside:
                beside.start_soon(_refresh, table, self._picture)
                await self.traffic.run(lambda phase: None)
                beside.cancel_scope.cancel()
            table.update(screen.final_frame(PHASES, self.tally), refresh=True)

    async def plain(self) -> None:
        """With a line where a phase begins, and one where it ends."""
        await self.traffic.run(self._phase_began)
        self._phase_ended(len(PHASES) - 1)

    def _picture(self) -> RenderableType:
        return screen.frame(PHASES, self.tally, self.traffic.phase, self.traffic.elapsed, self.seconds)

    def _phase_began(self, index: int) -> None:
        if index == 0:
            self.console.print()
        else:
            self._phase_ended(index - 1)
        self._say(f"{self.traffic.elapsed:5.1f} s  {PHASES[index].name}: {PHASES[index].caption}")

    def _phase_ended(self, index: int) -> None:
        routed, plain = (self.tally.line(side, index) for side in (Side.ROUTED, Side.PLAIN))
        self._say(f"{'':9}{screen.so_far(routed, plain)}")

    def _say(self, line: str) -> None:
        self.console.print(line, soft_wrap=True)


async def _refresh(table: Live, picture: Callable[[], RenderableType]) -> None:
    while True:
        table.update(picture(), refresh=True)
        await anyio.sleep(1 / PICTURES)


def _printed_by(arguments: Sequence[str], columns: int) -> str:
    """The output of a ``lanewise`` command at this width."""
    done = subprocess.run(
        [sys.executable, "-c", "from lanewise.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=COMMAND_PATIENCE,
        env={**os.environ, "COLUMNS": str(columns), "PYTHONIOENCODING": "utf-8"},
        check=False,
    )
    return done.stdout + done.stderr


def _as_typed() -> str:
    """The command as this shell finds it: by its name if it is on the path, else where this Python has it.

    Example::

        assert _as_typed() in ("lanewise", ".venv/bin/lanewise")  # after ``make demo``
    """
    own = Path(sys.executable).with_name("lanewise")
    found = which("lanewise")
    if not own.exists() or (found is not None and Path(found).samefile(own)):
        return "lanewise"
    return str(own.relative_to(Path.cwd()) if own.is_relative_to(Path.cwd()) else own)
