"""The report's arithmetic: facts put together by day, task, lane and route, in any combination."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from lanewise._ledger.queries.aggregates import Aggregates, AttemptFact, CallFact, GroupBy, ScoreFact
from lanewise._ledger.queries.histogram import percentile
from lanewise.types import FailureKind, LaneName, Outcome

__all__ = ["ReportLine", "lines", "total"]


@dataclass(slots=True)
class ReportLine:
    """What happened under one key.

    Where a lane or a route is in the key, ``calls`` are those that came to it, ``answered`` those that it answered,
    and times are those of its answers; else times are of whole calls. Calls that came to no route have a key of their
    own there, in brackets: how they ended. Elsewhere ``outcomes`` counts calls by how they ended.

    ``by_fallback`` counts the answers of other lanes than the primary one, ``taken_out`` the attempts by parameter,
    ``failures`` the attempts by kind. Costs are in US dollars, and ``None`` if nothing of them is known;
    ``estimated_cost_usd`` is the part that is an estimate, ``unpriced`` counts the attempts whose cost is not known.
    """

    key: tuple[str, ...] = ()
    calls: int = 0
    answered: int = 0
    attempts: int = 0
    absorbed: int = 0
    by_fallback: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None
    estimated_cost_usd: float | None = None
    fallback_cost_usd: float | None = None
    unpriced: int = 0
    taken_out: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    times: Counter[int] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    scored: Counter[str] = field(default_factory=Counter)
    score_sums: dict[str, float] = field(default_factory=dict)

    @property
    def answered_share(self) -> float | None:
        """The share of its calls that were answered, from 0 to 1."""
        return self.answered / self.calls if self.calls else None

    @property
    def fallback_share(self) -> float | None:
        """The share of its answers that no primary lane gave, from 0 to 1."""
        return self.by_fallback / self.answered if self.answered else None

    @property
    def contract_failures(self) -> int:
        """The answers that did not keep their contract."""
        return self.failures[FailureKind.CONTRACT]

    @property
    def scores(self) -> dict[str, float]:
        """The mean of each score."""
        return {name: self.score_sums[name] / count for name, count in sorted(self.scored.items())}

    def time(self, share: float) -> float | None:
        """The time in milliseconds that a share of its calls stayed below, within 4 %."""
        return percentile(self.times, share)


def total(aggregates: Aggregates) -> ReportLine:
    """Everything in one line."""
    return next(iter(lines(aggregates, ())), ReportLine())


def lines(aggregates: Aggregates, by: Sequence[GroupBy]) -> list[ReportLine]:
    """A line a key, in the order of the keys.

    Example::

        for line in lines(facts, [By.TASK, By.ROUTE]):
            print(line.key, line.calls, line.cost_usd)
    """
    found: dict[tuple[str, ...], ReportLine] = {}
    _Sum(by, found).add(aggregates)
    return sorted(found.values(), key=lambda line: tuple(_place(part) for part in line.key))


_LANES = {lane.value: str(number) for number, lane in enumerate(LaneName)}


GIVEN_AGAIN: Final = "given again"
"""How a call ended that was answered by what an earlier one was answered."""


def _place(part: str) -> str:
    return f"~{part}" if part.startswith("(") else _LANES.get(part, part)


class _Sum:
    def __init__(self, by: Sequence[GroupBy], found: dict[tuple[str, ...], ReportLine]) -> None:
        self._by = by
        self._found = found
        self._by_route = GroupBy.ROUTE in by
        self._by_way = self._by_route or GroupBy.LANE in by

    def add(self, aggregates: Aggregates) -> None:
        for call in aggregates.calls:
            if not self._by_way:
                self._add_call(self._line((call.day, call.task, "", "")), call)
            elif call.unsent:
                self._add_unsent(call)
        for attempt in aggregates.attempts:
            self._add_attempt(self._line((attempt.day, attempt.task, attempt.lane, attempt.route)), attempt)
        for times in aggregates.times if self._by_way else ():
            self._line((times.day, times.task, times.lane, times.route)).times[times.bucket] += times.answers
        for score in aggregates.scores:
            self._add_score(self._line((score.day, score.task, score.lane or "", score.route or "")), score)

    def _line(self, values: tuple[str, str, str, str]) -> ReportLine:
        named = dict(zip(GroupBy, values, strict=True))
        key = tuple(named[by] for by in self._by)
        line = self._found.get(key)
        if line is None:
            line = self._found[key] = ReportLine(key)
        return line

    def _add_unsent(self, fact: CallFact) -> None:
        """Add calls that were sent to no route, so that the lines account for every call."""
        answered = fact.outcome == Outcome.ANSWERED
        ended = f"({GIVEN_AGAIN if answered else fact.outcome.replace('_', ' ')})"
        line = self._line((fact.day, fact.task, ended, ended))
        line.calls += fact.unsent
        line.answered += fact.unsent if answered else 0

    def _add_call(self, line: ReportLine, fact: CallFact) -> None:
        line.calls += fact.calls
        line.outcomes[fact.outcome] += fact.calls
        if fact.outcome != Outcome.ANSWERED:
            return
        line.answered += fact.calls
        if fact.lane != LaneName.PRIMARY:
            line.by_fallback += fact.calls
        if fact.bucket is not None:
            line.times[fact.bucket] += fact.calls

    def _add_attempt(self, line: ReportLine, fact: AttemptFact) -> None:
        line.attempts += fact.attempts
        line.absorbed += fact.absorbed
        line.input_tokens += fact.input_tokens
        line.output_tokens += fact.output_tokens
        line.unpriced += fact.unpriced
        if fact.estimated is not None:
            line.estimated_cost_usd = (line.estimated_cost_usd or 0.0) + fact.estimated
        if fact.cost is not None:
            line.cost_usd = (line.cost_usd or 0.0) + fact.cost
            if fact.lane != LaneName.PRIMARY:
                line.fallback_cost_usd = (line.fallback_cost_usd or 0.0) + fact.cost
        if fact.failure is not None:
            line.failures[fact.failure] += fact.attempts
        for parameter in _named(fact.dropped):
            line.taken_out[parameter] += fact.attempts
        if self._by_way:
            self._add_way(line, fact)

    def _add_way(self, line: ReportLine, fact: AttemptFact) -> None:
        line.calls += fact.came_to_route if self._by_route else fact.came_to_lane
        line.answered += fact.answered
        if fact.lane != LaneName.PRIMARY:
            line.by_fallback += fact.answered

    def _add_score(self, line: ReportLine, fact: ScoreFact) -> None:
        line.scored[fact.name] += fact.scores
        line.score_sums[fact.name] = line.score_sums.get(fact.name, 0.0) + fact.sum


def _named(dropped: str) -> Iterable[str]:
    return dropped.split(",") if dropped else ()
