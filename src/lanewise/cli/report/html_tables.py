"""The tables of the HTML page: the columns of the report on a terminal, without its bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lanewise._ledger.queries.aggregates import GroupBy
from lanewise._ledger.queries.report_lines import ReportLine
from lanewise.cli.report.screen import texts

__all__ = ["Table", "table_of"]


@dataclass(frozen=True, slots=True)
class Table:
    """Texts under headings. The first of each row names it; ``prose`` are the columns of words, not figures."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    prose: frozenset[int] = frozenset()


def table_of(heading: str, keys: Sequence[GroupBy], found: Sequence[ReportLine], names: Sequence[str]) -> Table:
    columns, rows = texts(keys, found)
    headings = (heading, *(column.heading for column in columns))
    prose = frozenset(number for number, column in enumerate(columns, 1) if column.left_aligned)
    return Table(headings, tuple((name, *row) for name, row in zip(names, rows, strict=True)), prose)
