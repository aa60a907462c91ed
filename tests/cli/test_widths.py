"""Terminals of any width: no word and no figure of a table is broken, and a wide one has more on a line."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from busy_machine import LONG_ENOUGH
from lanewise._ledger.sink import LedgerSink
from lanewise.cli import main, terminal
from lanewise.cli.terminal import fitted
from lanewise.types import Api, Attempt, Call, CostStatus, FailureKind, LaneName, Outcome

WIDTHS = (80, 100, 120)
TASK = "summaries-of-the-tickets-of-a-whole-quarter"
LONGEST = "a-model-with-a-name-that-is-longer-than-any-terminal-" + "x" * 90
ROUTES = ("flagship-of-the-frankfurt-region", "sonnet", "the-route-of-the-last-resort-in-a-very-small-data-centre")
WORDS = st.text("abcdefghijklmnop-0123456789.,$%", min_size=1, max_size=24)
CELLS = st.lists(WORDS, max_size=5).map(" ".join)


@given(
    rows=st.integers(1, 6).flatmap(lambda n: st.lists(st.lists(CELLS, min_size=n, max_size=n), min_size=1, max_size=4)),
    width=st.sampled_from([40, 80, 100, 120, 200]),
    figures=st.sets(st.integers(0, 5)),
)
def test_a_table_of_anything_keeps_its_words(rows: list[list[str]], width: int, figures: set[int]) -> None:
    """Whatever it holds and however wide it may be: every word stands whole in one line, and a line is only wider than
    the terminal for a word that is. Columns of figures are not wrapped at all."""
    table = Table()
    for number in range(len(rows[0])):
        table.add_column(f"title {number}", no_wrap=number in figures)
    for row in rows:
        table.add_row(*map(Text, row))
    screen = Console(width=width, file=io.StringIO(), force_terminal=False)
    with screen.capture() as captured:
        screen.print(fitted(table, width, screen), crop=False)
    lines = captured.get().splitlines()
    shown = [re.split(r"[│┃\s]+", line) for line in lines]
    for row in rows:
        for number, cell in enumerate(row):
            assert all(any(word in line for line in shown) for word in cell.split())
            if number in figures and not _is_in_blocks(lines):
                assert any(cell in line for line in lines)
    unbroken = [word for row in rows for cell in row for word in terminal._BETWEEN_WORDS.split(cell)]
    longest = max(map(cell_len, unbroken), default=0)
    assert all(cell_len(line.rstrip()) <= max(width, longest + 14) for line in lines)


def _is_in_blocks(lines: Sequence[str]) -> bool:
    return not lines[0].startswith(("┏", "+"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config with long names, its ledger with large sums, and a prompt."""
    place = tmp_path_factory.mktemp("a-directory-with-a-rather-long-name-as-deployments-have-them")
    config = f"""
[router]
ledger = "sqlite:///lanewise.db"
[providers.openai]
base_url = "http://127.0.0.1:9/v1"
[routes.{ROUTES[0]}]
provider = "openai"
model = "gpt-5.5-2026-11-30-of-a-very-particular-kind"
price = {{ input = 125000.0, output = 1000000.0 }}
context_window = 128000000
[routes.{ROUTES[1]}]
provider = "openai"
model = "claude-sonnet-4-6"
[routes.{ROUTES[2]}]
provider = "openai"
model = "{LONGEST}"
price = {{ input = 1.0, output = 1.0 }}
[tasks.{TASK}]
deadline = "45s"
primary = "{ROUTES[0]}"
equivalent = "sonnet"
degraded = {{ routes = ["{ROUTES[2]}"], on = ["rate_limit", "outage", "timeout", "unreachable", "contract"] }}
[budgets.the-budget-of-all-the-tasks-of-the-whole-company]
limit = "987654.32 USD"
window = "30d"
[sensitive.payment-data-of-the-customers]
routes = ["{ROUTES[0]}"]
[endpoints]
"/payments/and/more/*" = "payment-data-of-the-customers"
"""
    (place / "lanewise.toml").write_text(config)
    (place / "prompt.txt").write_text("How many angels dance on the head of a pin? " * 2000)
    url = f"sqlite:///{place / 'lanewise.db'}"
    sink = LedgerSink(url, timedelta(days=90))
    sink.write(list(_calls()))
    sink.close()
    return place


def _calls() -> Iterator[Call]:
    for number in range(40):
        lane, route = list(zip(LaneName, ROUTES, strict=True))[number % 3]
        at = datetime.now(UTC) - timedelta(minutes=number)
        call_id = f"01a22eb1-b39e-72a1-bd20-{number:012}"
        attempt = Attempt(
            call_id=call_id,
            attempt_number=1,
            route=route,
            lane=lane,
            model_asked="gpt-5.5-2026-11-30-of-a-very-particular-kind",
            provider_host="an-endpoint-of-ours.internal.example.com",
            idempotency_key="k",
            started_at=at,
            http_status=200,
            input_tokens=123456789,
            output_tokens=98765432,
            cost_usd=1234567.89,
            cost_status=CostStatus.KNOWN,
            dropped=("temperature", "frequency_penalty", "parallel_tool_calls"),
            total_ms=123456.0,
        )
        failed = number % 7 == 0
        yield Call(
            id=call_id,
            request_id=f"req-of-the-nightly-job-{number}",
            task=TASK,
            api=Api.CHAT,
            started_at=at,
            route=None if failed else route,
            lane=None if failed else lane,
            outcome=Outcome.FAILED if failed else Outcome.ANSWERED,
            failure=FailureKind.OUTAGE if failed else None,
            attempts=(attempt,),
            notes=((1.0, "a note about what happened here, which is about as long as such notes are, or longer"),),
            labels=(("customer-of-the-request", "a-customer-with-a-long-name"),),
            total_ms=123456.0,
        )


COMMANDS: dict[str, list[str]] = {
    "report": ["report", "lanewise.toml"],
    "report by all": ["report", "--by", "day,task,lane,route", "lanewise.toml"],
    "explain": ["explain", "req-of-the-nightly-job-7", "lanewise.toml"],
    "check": ["check", "lanewise.toml"],
    "routes": ["routes", "lanewise.toml"],
    "estimate": [
        *("estimate", "prompt.txt", "--config", "lanewise.toml", "--task", TASK),
        *("--requests-per-day", "50000000", "--output-tokens", "3000"),
    ],
    "budgets": ["budgets", "lanewise.toml"],
    "endpoints": ["endpoints", "wide_app:app"],
    "ledger status": ["ledger", "status", "lanewise.toml"],
}
APP = """
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from lanewise import Router
from starlette_lanewise import LanewiseMiddleware, lifespan, sensitive
router = Router.from_file("lanewise.toml")
@sensitive("payment-data-of-the-customers")
async def refund_of_the_whole_order_and_more(request): return PlainTextResponse("")
async def quiet(request): return PlainTextResponse("")
refund = refund_of_the_whole_order_and_more
app = Starlette(
    routes=[
        Route("/orders/{order_number:int}/refunds/{refund_number:int}/and/its/documents", refund),
        Route("/payments/and/more/of/the/same", quiet),
    ],
    middleware=[Middleware(LanewiseMiddleware, router=router)], lifespan=lifespan(router),
)
"""


def shown(command: str, width: int | None, place: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines that a command prints where the terminal is so wide; without a width, in a pipe."""
    monkeypatch.chdir(place)
    monkeypatch.setattr(terminal, "at_a_terminal", lambda: width is not None)
    (place / "wide_app.py").write_text(APP)
    if width is None:
        monkeypatch.delenv("COLUMNS", raising=False)
    else:
        monkeypatch.setenv("COLUMNS", str(width))
    sys.modules.pop("wide_app", None)
    done = CliRunner().invoke(main, COMMANDS[command])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.output
    assert "mistakes:" not in done.output
    assert len(done.output) > 80
    return done.output.splitlines()


def words_of(lines: Sequence[str]) -> set[str]:
    """The words and figures that are shown, without frames."""
    return {word for line in lines for word in re.split(r"[│┃━┏┳┓┡╇┩└┴┘├┼┤─\s]+", line) if word}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("command", COMMANDS)
def test_no_word_and_no_figure_is_broken(
    command: str, width: int, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is shown there are words that a pipe, which has no width, shows as well; and a line only goes over the edge
    for one that would not fit into any."""
    whole = words_of(shown(command, None, place, monkeypatch))
    lines = shown(command, width, place, monkeypatch)
    told = {
        "Columns",
        "were",
        "left",
        "out:",
        "a",
        "wider",
        "terminal",
        "shows",
        "them,",
        "and",
        "so",
        "do",
        "--csv",
        "--json.",
    }
    assert words_of(lines) - told <= whole
    for line in lines:
        longest = max((cell_len(word) for word in re.split(r"\s+", line)), default=0)
        assert cell_len(line.rstrip()) <= width or longest > width - 40, line


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("report", "report by all")])
def test_nothing_is_left_out(command: str, width: int, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A narrow terminal shows what a wide one does. (A report says which columns it leaves out, and where they are.)"""
    whole = words_of(shown(command, None, place, monkeypatch))
    of_blocks = {"task", "lane", "budget", "endpoint"}  # the heading of what a block begins with
    assert whole - of_blocks <= words_of(shown(command, width, place, monkeypatch))


def test_a_wider_terminal_has_more_on_a_line(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks become tables, and a report has more columns."""
    narrow, wide = (shown("estimate", width, place, monkeypatch) for width in (80, 300))
    assert len(wide) < len(narrow)
    monkeypatch.setitem(COMMANDS, "short", ["report", "--by", "lane", "lanewise.toml"])
    columns = [len(shown("short", width, place, monkeypatch)) for width in (80, 120)]
    heads = [next(line for line in shown("short", width, place, monkeypatch) if "calls" in line) for width in (80, 120)]
    assert columns
    assert len(heads[1].split()) >= len(heads[0].split())


def test_a_real_terminal_is_asked_for_its_width(place: Path) -> None:
    """Without COLUMNS, by what it says itself."""
    pty = pytest.importorskip("pty")
    import fcntl
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
    command = [sys.executable, "-c", "from lanewise.cli import main; main()", *COMMANDS["routes"]]
    environ: dict[str, Any] = {"PATH": "/usr/bin", "TERM": "xterm", "NO_COLOR": "1"}
    with subprocess.Popen(command, cwd=place, stdout=theirs, stderr=theirs, stdin=theirs, env=environ) as running:
        import os

        os.close(theirs)
        read = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:
                break
            if not piece:
                break
            read += piece
        assert running.wait(LONG_ENOUGH) == 0
    os.close(ours)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", read.decode()).splitlines()
    assert any(LONGEST in line for line in lines)
    assert any(ROUTES[0] in line for line in lines)
    assert all(len(line.rstrip()) <= 80 for line in lines if LONGEST not in line)
