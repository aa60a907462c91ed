"""What the viewer sees: the table that fills while the show runs, plain lines for logs, and the summary."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

from rich.console import Group, RenderableType
from rich.constrain import Constrain
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from lanewise.cli.demo.stage import Phase
from lanewise.cli.demo.tally import DemoVerdict, Side, Tally, TallyLine, percentile
from lanewise.types import LaneName

__all__ = [
    "INDENT",
    "app_log_text",
    "declared",
    "final_frame",
    "frame",
    "intro",
    "ledger_stays",
    "printed",
    "results",
    "so_far",
    "summary",
    "verdict_text",
]

LANES = {LaneName.PRIMARY: "green", LaneName.EQUIVALENT: "cyan", LaneName.DEGRADED: "yellow"}
INDENT = 2
NOTHING = Text("·", style="dim")
MOST_COLUMNS = 96
"""Columns: wider tables are hard to read."""


def intro(seconds: float, rate: int) -> RenderableType:
    """The opening text: what the demo is going to show."""
    return _narrow(
        Text.assemble(
            ("Lanewise demo", "bold"),
            f"  One web app on this machine gets {rate} requests/s on each of two endpoints, for {seconds:.0f} "
            "seconds: /routed asks through Lanewise, /plain asks the main provider through the OpenAI SDK as it "
            "comes, with its two retries.",
        )
    )


def declared(config: str) -> RenderableType:
    """The routed app's config."""
    toml = Syntax(config.rstrip(), "toml", theme="ansi_dark", background_color="default", word_wrap=True)
    return Group(Text("What the routed app declares", style="bold"), Padding(toml, (0, 0, 0, 2)))


def results(phases: Sequence[Phase], tally: Tally, begun: int) -> RenderableType:
    """A line a phase: what became of the requests that were sent in it."""
    ours, theirs = tally.total(Side.ROUTED), tally.total(Side.PLAIN)
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, expand=True, show_footer=True, footer_style="bold")
    table.add_column("\nphase", "all", no_wrap=True)
    for heading, cell in zip(ROUTED_HEADINGS, ROUTED_CELLS, strict=True):
        table.add_column(heading, cell(ours), justify="right", no_wrap=True)
    for heading, cell in zip(PLAIN_HEADINGS, PLAIN_CELLS, strict=True):
        table.add_column(heading, cell(theirs), justify="right", no_wrap=True)
    for index, phase in enumerate(phases):
        routed, plain = tally.line(Side.ROUTED, index), tally.line(Side.PLAIN, index)
        table.add_row(
            Text(phase.name, style="" if index <= begun else "dim"),
            *(cell(routed) for cell in ROUTED_CELLS),
            *(cell(plain) for cell in PLAIN_CELLS),
        )
    return _narrow(Group(table, _legend()))


def _answered(line: TallyLine) -> Text:
    if not line.ended:
        return NOTHING
    if line.ended < line.sent:  # a percentage of these would change its mind
        return Text(f"{line.answered}/{line.sent}")
    return Text(f"{100 * line.answered // line.sent} %", style="green" if line.answered == line.sent else "red")


def _lanes(line: TallyLine) -> Text:
    if not line.lanes:
        return NOTHING
    counts = [Text(str(line.lanes[lane]), style=style if line.lanes[lane] else "dim") for lane, style in LANES.items()]
    return Text("/", style="dim").join(counts)


def _absorbed(line: TallyLine) -> Text:
    return Text(str(line.absorbed)) if line.absorbed else NOTHING


def _p50(line: TallyLine) -> Text:
    return Text(_seconds(percentile(line.waits, 0.5)))


def _p95(line: TallyLine) -> Text:
    return Text(_seconds(percentile(line.waits, 0.95)))


def _seconds(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f} s" if value < 9.95 else f"{value:.1f} s"


ROUTED_HEADINGS = ("routed\nanswered", "\nby lane", "failures\nabsorbed", "waited\np50", "\np95")
ROUTED_CELLS = (_answered, _lanes, _absorbed, _p50, _p95)
PLAIN_HEADINGS = ("plain SDK\nanswered", "waited\np50", "\np95")
PLAIN_CELLS = (_answered, _p50, _p95)


def _legend() -> Text:
    lanes = Text(" / ").join(Text(lane, style=style) for lane, style in LANES.items())
    return Text.assemble(("by lane: ", "dim"), lanes, ("   waited: until the answer or the error", "dim"))


def frame(phases: Sequence[Phase], tally: Tally, phase: int, elapsed: float, seconds: float) -> RenderableType:
    """The table at one moment of the live show."""
    bar = Table.grid(padding=(0, 1), expand=True)
    bar.add_column(ratio=1)
    bar.add_column(no_wrap=True)
    bar.add_row(
        ProgressBar(total=seconds, completed=elapsed, complete_style="cyan"), f"{elapsed:.0f} of {seconds:.0f} s"
    )
    caption = Text.assemble((f"{phases[phase].name}: ", "bold"), phases[phase].caption)
    return Group("", results(phases, tally, phase), "", _narrow(Group(bar, caption)))


def final_frame(phases: Sequence[Phase], tally: Tally) -> RenderableType:
    """The table as it stays on the screen after the show."""
    return Group("", results(phases, tally, len(phases)))


def so_far(routed: TallyLine, plain: TallyLine) -> str:
    """How the requests of a phase stand at its end, for logs."""
    return f"routed: {_standing(routed)}; plain SDK: {_standing(plain)}"


def _standing(line: TallyLine) -> str:
    under_way = line.sent - line.ended
    return f"{line.answered} of {line.sent} answered" + (f", {under_way} under way" if under_way else "")


def summary(phases: Sequence[Phase], tally: Tally) -> RenderableType:
    """What the users of both apps saw, phase by phase."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("sent while", no_wrap=True)
    table.add_column("the users of the plain app", ratio=1)
    table.add_column("the users of the routed app", ratio=1)
    for index, phase in enumerate(phases):
        plain, routed = (tally.line(side, index) for side in (Side.PLAIN, Side.ROUTED))
        table.add_row(phase.name, _saw(plain), _saw(routed))
    note = Text("A request counts where it was sent; its retries may have met what came later.", style="dim")
    return _narrow(Group(Text("What the users saw", style="bold"), table, note))


def _saw(line: TallyLine) -> Text:
    if line.answered == line.sent:
        all_of_them = Text(f"all {line.sent} answered within {_seconds(max(line.waits, default=0.0))}")
        lanes = ", ".join(f"{line.lanes[lane]} {lane}" for lane in LANES if line.lanes[lane])
        return all_of_them.append(f"\n{lanes}" if lanes else "", style="dim")
    errors = ", ".join(f"{count} {name}" for name, count in line.errors.most_common())
    return Text(f"{line.sent - line.answered} of {line.sent} got no answer", style="red").append(
        f"\n{errors}", style="default"
    )


def ledger_stays(home: Path) -> RenderableType:
    """Where the record of the show is."""
    return Group(
        Text("What is on record", style="bold"),
        Text(
            f"The routed app's ledger stays in {home}, until you remove it (rm -r {shlex.quote(str(home))}). "
            "Two ways to look into it:",
            overflow="fold",
        ),
    )


def printed(text: str, columns: int) -> RenderableType:
    """What a command printed, indented; a long line is wrapped to the column of its text."""
    lines = (
        fill(line, columns - 1, initial_indent=" " * INDENT, subsequent_indent=" " * 18, drop_whitespace=False)
        if len(line) + INDENT > columns
        else " " * INDENT + line
        for line in text.rstrip().splitlines()
    )
    return Text("\n".join(lines))


def app_log_text(lines: str) -> RenderableType:
    """The end of the app's log, where it did not answer."""
    return Group(Text("The last that the app's log says", style="bold"), Text(lines))


def verdict_text(end: DemoVerdict) -> RenderableType:
    """The verdict, the last sentence of the demo."""
    return _narrow(Text(end.text, style="bold green" if end.ok else "bold red"))


def _narrow(content: RenderableType) -> RenderableType:
    return Constrain(content, MOST_COLUMNS)
