"""What changed from one span of time to the next: the figures side by side, and what stands out among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final

from lanewise._ledger.queries.report_lines import ReportLine
from lanewise.cli.formatting import NOTHING, dollars, duration, percent

__all__ = ["Change", "Notable", "changes", "notable_failures", "notable_lines"]

ENOUGH: Final = 50
"""Answers on either side, below which a time or a cost says little."""
SURE: Final = 3.0
"""Standard errors that two shares must lie apart: by chance that is one case in 370."""
POINTS: Final = 0.01
"""The least change of a share of calls that is listed, however significant."""
SLIGHT: Final = 0.05
SLIGHT_POINTS: Final = 0.002
"""Below these a change is called neither better nor worse."""
SLOWER: Final = 1.5
DEARER: Final = 1.25
MORE_FAILURES: Final = 2.0


@dataclass(frozen=True, slots=True)
class Change:
    """One figure now and before. ``good`` says whether it changed for the better; ``None``: neither."""

    measure: str
    now: str
    before: str
    change: str
    good: bool | None


@dataclass(frozen=True, slots=True)
class Notable:
    """A change that stands out: ``name`` is what changed, ``text`` how. ``good``: for the better; ``None``: neither."""

    name: str
    text: str
    good: bool | None


@dataclass(frozen=True, slots=True)
class _Measure:
    name: str
    of: Callable[[ReportLine], float | None]
    shown: Callable[[float], str]
    more_is_good: bool | None = None
    is_share: bool = False


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _per_thousand(line: ReportLine) -> float | None:
    return line.cost_usd / line.answered * 1000 if line.cost_usd is not None and line.answered else None


def _off_contract(line: ReportLine) -> float | None:
    return line.contract_failures / line.attempts if line.attempts else None


_MEASURES: Final = (
    _Measure("Calls", lambda line: line.calls, _count),
    _Measure("Answered", lambda line: line.answered_share, percent, more_is_good=True, is_share=True),
    _Measure("Answered by a fallback", lambda line: line.fallback_share, percent, more_is_good=False, is_share=True),
    _Measure("Failures absorbed", lambda line: line.absorbed, _count),
    _Measure("Attempts off their contract", _off_contract, percent, more_is_good=False, is_share=True),
    _Measure("Half of the answers within", lambda line: line.time(0.5), duration, more_is_good=False),
    _Measure("95 % of the answers within", lambda line: line.time(0.95), duration, more_is_good=False),
    _Measure("Cost", lambda line: line.cost_usd, dollars),
    _Measure("Cost of 1,000 answers", _per_thousand, dollars, more_is_good=False),
)


def changes(now: ReportLine, before: ReportLine) -> list[Change]:
    """The figures of two spans, without those that neither has.

    Example::

        for change in changes(total(facts), total(facts_before)):
            print(change.measure, change.before, change.now, change.change)
    """
    scores = [
        _Measure(f"Score {name}", _score(name), "{:.2f}".format) for name in sorted({*now.scores, *before.scores})
    ]
    return [_change(measure, now, before) for measure in (*_MEASURES, *scores) if measure.of(now) or measure.of(before)]


def _score(name: str) -> Callable[[ReportLine], float | None]:
    return lambda line: line.scores.get(name)


def _change(measure: _Measure, now: ReportLine, before: ReportLine) -> Change:
    new, old = measure.of(now), measure.of(before)
    shown = [NOTHING if value is None else measure.shown(value) for value in (new, old)]
    if new is None or old is None:
        return Change(measure.name, shown[0], shown[1], NOTHING, None)
    if shown[0] == shown[1]:
        return Change(measure.name, shown[0], shown[1], "as before", None)
    change = _points(new - old) if measure.is_share else _relative(new, old)
    slight = abs(new - old) < (SLIGHT_POINTS if measure.is_share else SLIGHT * max(new, old))
    good = None if measure.more_is_good is None or slight else (new > old) is measure.more_is_good
    return Change(measure.name, shown[0], shown[1], change, good)


def _points(difference: float) -> str:
    return f"{difference * 100:+.1f} points" if abs(difference) >= 0.0005 else f"{difference * 100:+.2f} points"


def _relative(new: float, old: float) -> str:
    if old <= 0 or new < 0:
        return f"{new - old:+,.4g}"
    return f"{new / old:,.1f} times" if new >= 2 * old else f"{(new / old - 1) * 100:+.0f} %"


def notable_lines(what: str, now: Sequence[ReportLine], before: Sequence[ReportLine]) -> Iterator[Notable]:
    """What stands out among the lines of one key; ``what`` is that key (task, route)."""
    old = {line.key: line for line in before if line.calls}
    for line in now:
        if not line.calls or line.key[-1].startswith("("):
            continue
        name = f"{what} {line.key[-1]}"
        if line.key not in old:
            yield Notable(name, f"is new: {line.calls:,} of the calls", None)
        else:
            yield from _compared(name, line, old[line.key])
    gone = old.keys() - {line.key for line in now if line.calls}
    for key in sorted(gone):
        if not key[-1].startswith("("):
            yield Notable(f"{what} {key[-1]}", f"had {old[key].calls:,} of the calls before, and has none now", None)


def _compared(name: str, now: ReportLine, before: ReportLine) -> Iterator[Notable]:
    shares = (
        ("answered", now.answered, now.calls, before.answered, before.calls, True),
        ("from a fallback", now.by_fallback, now.answered, before.by_fallback, before.answered, False),
    )
    for what, new, of_new, old, of_old, more_is_good in shares:
        if _differ(new, of_new, old, of_old) and abs(new / of_new - old / of_old) >= POINTS:
            better = (new / of_new > old / of_old) is more_is_good
            yield Notable(name, f"{what}: {percent(new / of_new)}, before {percent(old / of_old)}", better)
    if min(now.answered, before.answered) < ENOUGH:
        return
    ratios = (
        ("95 % of the answers within", now.time(0.95), before.time(0.95), duration, SLOWER),
        ("1,000 answers cost", _per_thousand(now), _per_thousand(before), dollars, DEARER),
    )
    for what, is_now, was, shown, least in ratios:
        if is_now and was and not 1 / least < is_now / was < least:
            yield Notable(name, f"{what} {shown(is_now)}, before {shown(was)}", is_now < was)


def notable_failures(now: ReportLine, before: ReportLine) -> Iterator[Notable]:
    """The kinds of failure that come clearly more often than before, or more rarely, among all attempts."""
    for kind in sorted({*now.failures, *before.failures}):
        new, old = now.failures[kind], before.failures[kind]
        if not _differ(new, now.attempts, old, before.attempts):
            continue
        rate, was = new / now.attempts, old / before.attempts
        if max(rate, was) >= MORE_FAILURES * min(rate, was):
            text = f"failed {new:,} of {now.attempts:,} attempts, before {old:,} of {before.attempts:,}"
            yield Notable(f"failure {kind}", text, rate < was)


def _differ(new: int, of_new: int, old: int, of_old: int) -> bool:
    """Whether two shares differ by more than chance."""
    if not of_new or not of_old:
        return False
    both = (new + old) / (of_new + of_old)
    error = sqrt(both * (1 - both) * (1 / of_new + 1 / of_old))
    return error > 0 and abs(new / of_new - old / of_old) >= SURE * error
