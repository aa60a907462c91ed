"""Plays ``lanewise demo`` and draws its last table as ``docs/_static/demo.svg``: ``python docs/picture.py``."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console, RenderableType

from lanewise.cli.demo import screen
from lanewise.cli.demo.show import run
from lanewise.cli.demo.stage import Phase
from lanewise.cli.demo.tally import Tally

PICTURE: Final = Path(__file__).parent / "_static" / "demo.svg"
COLUMNS: Final = 98
SECONDS: Final = 26.0


def play() -> tuple[RenderableType, RenderableType]:
    """The demo's last table and its last sentence. What it prints meanwhile goes to the terminal."""
    tables: list[RenderableType] = []
    final_frame = screen.final_frame

    def kept(phases: Sequence[Phase], tally: Tally) -> RenderableType:
        tables.append(final_frame(phases, tally))
        return tables[-1]

    screen.final_frame = kept
    end = run(Console(highlight=False), live=False, seconds=SECONDS)
    if not end.ok:
        sys.exit("a routed request got no answer: no picture was drawn")
    return tables[-1], screen.verdict_text(end)


def draw(table: RenderableType, sentence: RenderableType) -> None:
    """Write both as a picture that loads nothing."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, highlight=False)
    console.print("[bold]$ lanewise demo[/bold]")
    console.print(table)
    console.print()
    console.print(sentence)
    svg = console.export_svg(title="lanewise demo")
    PICTURE.write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL))


if __name__ == "__main__":
    draw(*play())
