"""Counts of what the users of both apps saw, and the verdict. Pure, so that it is tested without a demo."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from math import ceil

from lanewise.types import LaneName

__all__ = ["DemoVerdict", "Sample", "Side", "Tally", "TallyLine", "percentile", "verdict"]


class Side(StrEnum):
    """Which endpoint was asked."""

    ROUTED = "routed"
    PLAIN = "plain"


@dataclass(frozen=True)
class Sample:
    """One request of a user, ended. ``seconds`` is how long the user waited for the answer, or for the error.

    ``error`` is ``None`` if it was answered; ``lane`` is the lane that answered a routed one, ``failures`` the
    attempts that had failed before.
    """

    side: Side
    phase: int
    request_id: str
    seconds: float
    error: str | None = None
    lane: LaneName | None = None
    failures: int = 0


@dataclass
class TallyLine:
    """Requests that were sent to one side. ``absorbed`` counts the failed attempts that no user saw."""

    sent: int = 0
    answered: int = 0
    absorbed: int = 0
    lanes: Counter[LaneName] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    waits: list[float] = field(default_factory=list)

    @property
    def ended(self) -> int:
        """How many were answered or failed; the others are under way."""
        return len(self.waits)

    def add(self, other: TallyLine) -> None:
        """Count another line's requests too."""
        self.sent += other.sent
        self.answered += other.answered
        self.absorbed += other.absorbed
        self.lanes.update(other.lanes)
        self.errors.update(other.errors)
        self.waits += other.waits


class Tally:
    """All requests of the show, by side and by the phase in which they were sent."""

    def __init__(self) -> None:
        self._lines: defaultdict[tuple[Side, int], TallyLine] = defaultdict(TallyLine)
        self._samples: list[Sample] = []

    def sent(self, side: Side, phase: int) -> None:
        """A request goes out."""
        self._lines[side, phase].sent += 1

    def ended(self, sample: Sample) -> None:
        """A request was answered, or it failed."""
        self._samples.append(sample)
        line = self._lines[sample.side, sample.phase]
        line.waits.append(sample.seconds)
        if sample.error is not None:
            line.errors[sample.error] += 1
            return
        line.answered += 1
        line.absorbed += sample.failures
        if sample.lane is not None:
            line.lanes[sample.lane] += 1

    def line(self, side: Side, phase: int) -> TallyLine:
        """What is known so far of the requests of one phase."""
        return self._lines[side, phase]

    def total(self, side: Side) -> TallyLine:
        """What is known so far of all requests."""
        total = TallyLine()
        for (of, _), line in self._lines.items():
            if of is side:
                total.add(line)
        return total

    def most_eventful(self) -> Sample | None:
        """The routed request that is worth explaining: one that failed, else one that met the most failures."""
        routed = [sample for sample in self._samples if sample.side is Side.ROUTED]
        return max(routed, key=lambda sample: (sample.error is not None, sample.failures), default=None)


def percentile(values: Iterable[float], share: float) -> float | None:
    """The smallest value that at least this share of all values does not exceed; ``None`` of nothing."""
    ordered = sorted(values)
    return ordered[max(ceil(share * len(ordered)) - 1, 0)] if ordered else None


@dataclass(frozen=True)
class DemoVerdict:
    """How the show ended: well if every routed request was answered, and there was one at all."""

    ok: bool
    text: str

    @property
    def exit_code(self) -> int:
        """0 if it ended well."""
        return 0 if self.ok else 1


def verdict(routed: TallyLine, plain: TallyLine) -> DemoVerdict:
    """The last sentence of the show."""
    other = f"The plain app answered {plain.answered} of {plain.sent}."
    if routed.sent and routed.answered == routed.sent:
        absorbed = f"{routed.absorbed} failures absorbed"
        return DemoVerdict(True, f"All {routed.sent} requests to the routed app were answered, {absorbed}. {other}")
    errors = ", ".join(f"{count} {name}" for name, count in routed.errors.most_common())
    missing = routed.sent - routed.answered
    return DemoVerdict(
        False, f"{missing} of {routed.sent} requests to the routed app got no answer ({errors}). {other}"
    )
