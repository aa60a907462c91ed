"""The demo: what it counts, what it says when it can't start, and the show itself."""

from __future__ import annotations

import io
import os
import shlex
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from busy_machine import LONG_ENOUGH, without_lag
from lanewise.cli import main
from lanewise.cli.demo import screen
from lanewise.cli.demo.hosting import AppProcess, CouldNotStart
from lanewise.cli.demo.stage import PHASES, Stage
from lanewise.cli.demo.tally import Sample, Side, Tally, percentile, verdict
from lanewise.cli.demo.traffic import RATE, scheduled
from lanewise.config import Config
from lanewise.types import LaneName

COMMAND = [sys.executable, "-c", "from lanewise.cli import main; main()", "demo", "--no-live"]


def answered(side: Side = Side.ROUTED, phase: int = 0, failures: int = 0, seconds: float = 0.2) -> Sample:
    lane = (LaneName.EQUIVALENT if failures else LaneName.PRIMARY) if side is Side.ROUTED else None
    return Sample(side, phase, f"demo-{failures:06}", seconds, lane=lane, failures=failures)


def lost(side: Side = Side.ROUTED, phase: int = 0, error: str = "UpstreamTimeout") -> Sample:
    return Sample(side, phase, "demo-lost", 10.0, error=error)


def tally_of(*samples: Sample) -> Tally:
    tally = Tally()
    for sample in samples:
        tally.sent(sample.side, sample.phase)
        tally.ended(sample)
    return tally


def verdict_of(tally: Tally) -> tuple[int, str]:
    end = verdict(tally.total(Side.ROUTED), tally.total(Side.PLAIN))
    return end.exit_code, end.text


def test_the_verdict_is_good_if_every_routed_request_was_answered() -> None:
    """Whatever became of the plain ones."""
    tally = tally_of(answered(), answered(phase=1, failures=3), answered(Side.PLAIN), lost(Side.PLAIN))
    assert verdict_of(tally) == (
        0,
        "All 2 requests to the routed app were answered, 3 failures absorbed. The plain app answered 1 of 2.",
    )


def test_one_lost_routed_request_is_exit_code_1() -> None:
    """And the verdict says what its user saw."""
    code, text = verdict_of(tally_of(*(answered() for _ in range(500)), lost(phase=4), answered(Side.PLAIN)))
    assert code == 1
    assert "1 of 501 requests to the routed app got no answer (1 UpstreamTimeout)" in text


def test_a_routed_request_that_never_ended_is_not_answered() -> None:
    """Sent and never heard of again is lost."""
    tally = tally_of(answered())
    tally.sent(Side.ROUTED, 0)
    assert verdict_of(tally)[0] == 1


def test_a_show_without_requests_is_not_good() -> None:
    """Nothing answered is no proof."""
    assert verdict_of(Tally())[0] == 1


def test_a_lost_request_is_the_one_that_is_explained() -> None:
    """Else the one that met the most failures; none of none."""
    assert Tally().most_eventful() is None
    eventful = tally_of(answered(), answered(failures=3), answered(failures=1), lost(Side.PLAIN)).most_eventful()
    assert eventful is not None
    assert eventful.failures == 3
    failed = tally_of(answered(failures=3), lost()).most_eventful()
    assert failed is not None
    assert failed.request_id == "demo-lost"


@pytest.mark.parametrize(("share", "expected"), [(0.5, 5), (0.95, 10), (0.0, 1), (1.0, 10)])
def test_percentiles_are_values_that_were_measured(share: float, expected: float) -> None:
    """By the nearest rank."""
    assert percentile([10, 1, 9, 2, 8, 3, 7, 4, 6, 5], share) == expected
    assert percentile([], share) is None


@pytest.mark.parametrize("seconds", [5, 26, 60])
def test_traffic_is_steady_through_all_phases(seconds: float) -> None:
    """Each phase has requests, at the rate that is told, within the time that was asked for."""
    times = list(scheduled(PHASES, seconds))
    assert [index for index, _ in groupby(phase for _, phase in times)] == list(range(len(PHASES)))
    assert times[-1][0] < seconds
    assert len(times) == pytest.approx(seconds * RATE, abs=len(PHASES))


def test_the_shares_of_the_phases_are_the_whole() -> None:
    """So that the show lasts as long as it says."""
    assert sum(phase.share for phase in PHASES) == pytest.approx(1)


@pytest.mark.parametrize("columns", [80, 120])
def test_the_table_fits_a_terminal(columns: int) -> None:
    """No name and no figure is cut, at 80 columns, of a long show."""
    samples = [answered(phase=index, failures=3, seconds=9.87) for index in range(len(PHASES)) for _ in range(100)]
    samples += [lost(Side.PLAIN, phase=index) for index in range(len(PHASES)) for _ in range(100)]
    text = io.StringIO()
    console = Console(file=text, width=columns, force_terminal=True, color_system=None)
    console.print(screen.frame(PHASES, tally_of(*samples), phase=3, elapsed=17.2, seconds=26))
    told = text.getvalue()
    assert "…" not in told
    for said in ("rate limited", "0/500/0", "1500", "9.87 s", "10.0 s", "100 %", "17 of 26 s", "down: The main"):
        assert said in told
    assert max(len(line) for line in told.splitlines()) <= columns


def test_what_is_under_way_is_no_percentage() -> None:
    """While requests hang, what has ended says nothing of them."""
    tally = tally_of(answered(Side.PLAIN))
    tally.sent(Side.PLAIN, 0)
    text = io.StringIO()
    Console(file=text, width=90).print(screen.results(PHASES, tally, 0))
    assert "1/2" in text.getvalue()
    assert "100 %" not in text.getvalue()


def test_the_config_that_is_shown_is_right() -> None:
    """The one that the app reads has no mistakes, and fits a terminal."""
    text = Stage().config_text()
    assert all(len(line) <= 78 for line in text.splitlines())
    Config.from_mapping(tomllib.loads(text.replace(":0/", ":65535/")))


@pytest.mark.parametrize("module", ["starlette", "uvicorn", "sqlalchemy"])
def test_without_the_extra_it_says_what_to_install(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing starts, and the message is a command to copy."""
    monkeypatch.setitem(sys.modules, module, None)
    result = CliRunner().invoke(main, ["demo"])
    assert result.exit_code == 1
    assert f"{module} not installed" in result.output
    assert "pip install 'lanewise[demo]'" in result.output


class StageWithAMistake(Stage):
    """Declares a route that does not exist."""

    def config_text(self) -> str:
        return super().config_text().replace('"flagship"', '"flagshipp"')


@pytest.fixture
def stage_with_a_mistake() -> Iterator[Stage]:
    """A stage whose app can't start."""
    stage = StageWithAMistake()
    stage.start()
    with stage:
        yield stage


def test_an_app_that_does_not_start_is_quoted(stage_with_a_mistake: Stage) -> None:
    """The viewer sees why, without looking for a log."""
    with pytest.raises(CouldNotStart) as raised, AppProcess(stage_with_a_mistake):
        pass
    assert "web app did not start (exit code 1)" in str(raised.value)
    assert "flagshipp" in str(raised.value)


def test_the_show_answers_every_routed_request(tmp_path: Path) -> None:
    """The whole of it in short: in plain lines, with nothing on stderr, and exit code 0. What it points at is there."""
    started = time.monotonic()
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([*COMMAND, "--seconds", "6"], capture_output=True, text=True, timeout=55, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert without_lag(done.stderr) == []
    assert time.monotonic() - started < 50
    for phase in PHASES:
        assert f"s  {phase.name}: {phase.caption}" in done.stdout
    assert "requests to the routed app were answered" in done.stdout
    assert "failures absorbed" in done.stdout
    assert "\x1b" not in done.stdout
    commands = [line.removeprefix("$ ") for line in done.stdout.splitlines() if line.startswith("$ ")]
    assert [line.split()[1] for line in commands] == ["report", "explain"]
    for line in commands:  # as they are printed: copied into the shell that the demo ran in
        again = subprocess.run(shlex.split(line), capture_output=True, text=True, timeout=30)
        assert again.returncode == 0, again.stdout + again.stderr
    [home] = tmp_path.iterdir()
    assert f"until you remove it (rm -r {home})" in " ".join(done.stdout.split())
    assert "=> answered by" in done.stdout
    assert "switches to" in done.stdout
    assert "By lane and route" in done.stdout


def test_a_closed_pipe_ends_it_quietly(tmp_path: Path) -> None:
    """As `lanewise demo | head` does."""
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [*COMMAND, "--seconds", "5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def processes_of(directory: Path) -> list[str]:
    """The processes that have this directory in their environment, told apart by nothing else."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if str(directory).encode() in environ.read_bytes():
                found.append(environ.parent.name)
        except OSError:
            continue  # gone meanwhile, or somebody else's
    return found


@pytest.fixture
def running(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A show that has begun, with its temporary files in ``tmp_path``."""
    process = subprocess.Popen(
        [*COMMAND, "--seconds", "20"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        start_new_session=True,
    )
    with process:
        assert process.stdout is not None
        assert any("healthy:" in line for line in process.stdout)
        yield process


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes where Linux lists them")
@pytest.mark.parametrize(
    ("number", "code", "last_words"),
    [
        (signal.SIGINT, 130, "\nStopped. Nothing is left running.\n"),
        (signal.SIGTERM, 143, ""),
        (signal.SIGKILL, -signal.SIGKILL, ""),
    ],
)
def test_a_signal_leaves_nothing_running(
    running: subprocess.Popen[str], tmp_path: Path, number: signal.Signals, code: int, last_words: str
) -> None:
    """To the whole group, as a terminal sends Ctrl-C: the app is in a group of its own, and ends all the same."""
    assert len(processes_of(tmp_path)) >= 2
    os.killpg(running.pid, number)
    _, said = running.communicate(timeout=LONG_ENOUGH)
    assert running.returncode == code
    assert said == last_words
    patience = time.monotonic() + LONG_ENOUGH
    while processes_of(tmp_path) and time.monotonic() < patience:
        time.sleep(0.05)
    assert processes_of(tmp_path) == []
    if number is not signal.SIGKILL:
        assert list(tmp_path.iterdir()) == []
