"""Tables and lines as wide as the terminal, wrapped only between words and figures.

Columns share the width by what they need. Where even their longest words don't fit beside each other, each row of the
table becomes a block of lines. In a pipe there is no width to keep to; where COLUMNS names one, tables keep to it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

__all__ = ["console", "fitted", "print_line", "print_styled", "print_table"]

_BETWEEN_WORDS: Final = re.compile(r" (?!(?<=\d )(?:%|ms|s|min|h|d|kB|MB|USD)[,;:.)]*(?: |$))")
"""A figure and its unit are one word."""
PIPE_WIDTH: Final = 1000
"""Columns of a line in a pipe."""


def console() -> Console:
    """The terminal; in a pipe without COLUMNS one that is wide enough for any line."""
    if at_a_terminal() or os.environ.get("COLUMNS", "").isdigit():
        return Console(highlight=False)
    return Console(highlight=False, width=PIPE_WIDTH)


def at_a_terminal() -> bool:
    """Whether the output is a terminal. FORCE_COLOR alone makes none: a pipe has no width."""
    return sys.stdout.isatty()


def print_table(table: Table, *, whole_in_pipes: bool = False) -> None:
    """Print a table of texts, each of its columns no narrower than its longest word.

    A column with ``no_wrap`` has figures: none of its cells is wrapped at all. ``whole_in_pipes``: a row stays one line
    there whatever COLUMNS says, to be looked for.
    """
    screen = console()
    if not at_a_terminal() and (whole_in_pipes or screen.width == PIPE_WIDTH):
        screen = Console(highlight=False, width=max(PIPE_WIDTH, _width_of(table, screen)))
    screen.print(fitted(table, screen.width, screen), crop=False)


def fitted(table: Table, width: int, screen: Console) -> RenderableType:
    """A table made to fit a width: with columns that leave words whole, or as a block a row."""
    whole = _width_of(table, screen)
    if whole <= width:
        return table
    measured = [_column(table, number) for number in range(len(table.columns))]
    frames = whole - sum(most for _, most in measured)
    widths = [least for least, _ in measured]
    left = width - frames - sum(widths)
    if left < 0:
        return _Blocks(table)
    while left > 0:  # the narrowest column that could be wider gets the next character
        wanting = [number for number, (_, most) in enumerate(measured) if widths[number] < most]
        if not wanting:
            break
        narrowest = min(wanting, key=lambda number: widths[number])
        widths[narrowest] += 1
        left -= 1
    for column, chosen in zip(table.columns, widths, strict=True):
        column.width = chosen
    return table


def print_styled(screen: Console, text: Text) -> None:
    """Print a text with styles, wrapped between its words."""
    offsets, end = [], 0
    for line in _words(text.plain, screen.width, "", "")[:-1]:
        end += len(line) + 1
        offsets.append(end)
    for part in text.divide(offsets):
        part.rstrip()
        screen.print(part, soft_wrap=True)


def print_line(text: str, *, hang: int = 2, column: int | None = None) -> None:
    """Print lines, on a terminal wrapped between their words; what follows is indented by ``hang`` more, or to a
    ``column``.

    Example::

        print_line("  flagship: its price is not known, and not guessed")
    """
    screen = console()
    for line in text.split("\n"):
        for part in _wrapped(line, screen.width, hang, column) if at_a_terminal() else [line]:
            screen.print(Text(part), soft_wrap=True)


def _wrapped(line: str, width: int, hang: int, column: int | None) -> list[str]:
    if cell_len(line) <= width:
        return [line]
    indent = line[: len(line) - len(line.lstrip())]
    later = " " * (len(indent) + hang if column is None else column)
    return _words(line.strip(), width, indent, later)


def _words(text: str, width: int, first: str, later: str) -> list[str]:
    """Lines of whole words, a figure with its unit being one. A word that is wider than a line stays whole, too."""
    lines = [first]
    used = cell_len(first)
    is_new = True
    for word in _BETWEEN_WORDS.split(text):
        if not is_new and used + 1 + cell_len(word) > width:
            lines.append(later)
            used, is_new = cell_len(later), True
        lines[-1] += word if is_new else f" {word}"
        used += cell_len(word) + (not is_new)
        is_new = False
    return lines


def _width_of(table: Table, screen: Console) -> int:
    """The width of a table whose columns are as wide as their longest cells."""
    return Measurement.get(screen, screen.options.update(max_width=1_000_000), table).maximum


def _column(table: Table, number: int) -> tuple[int, int]:
    """The width of a column at its longest word, and at its longest cell."""
    column = table.columns[number]
    texts = [_text(column.header), *(_text(cell) for cell in column.cells)]
    most = max(cell_len(line) for text in texts for line in text.split("\n"))
    least = max((cell_len(word) for text in texts for word in text.split()), default=1)
    return (most if column.no_wrap else least), most


def _text(cell: RenderableType) -> str:
    return cell.plain if isinstance(cell, Text) else str(cell)


class _Blocks:
    """A table whose rows are printed as blocks: the first cell, and below it the others with their titles."""

    def __init__(self, table: Table) -> None:
        self._title = table.title
        self._titles = [_text(column.header) for column in table.columns]
        self._rows = list(_rows(table.columns[0].cells, *(column.cells for column in table.columns[1:])))

    def __rich_console__(self, console: Console, options: object) -> Iterator[RenderableType]:
        widest = max(cell_len(title) for title in self._titles)
        if self._title is not None:
            yield Text(str(self._title), style="italic")
        head = ""
        for row in self._rows:
            head = row[0] or head  # a blank one repeats that of the row above
            for part in _words(head, console.width, "", ""):
                yield Text(part, style="bold", no_wrap=True, overflow="ignore")
            for title, cell in zip(self._titles[1:], row[1:], strict=True):
                if not cell:
                    continue
                start = f"  {title}{' ' * (widest - cell_len(title))}  "
                room = max(1, console.width - cell_len(start))
                first, *more = _words(cell, room, "", "")
                yield Text(start + first, no_wrap=True, overflow="ignore")
                for line in more:
                    yield Text(" " * cell_len(start) + line, no_wrap=True, overflow="ignore")


def _rows(*columns: Iterable[RenderableType]) -> Iterator[Sequence[str]]:
    for cells in zip(*columns, strict=True):
        yield [_text(cell) for cell in cells]
