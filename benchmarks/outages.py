"""What an outage of the first route costs a call, ours and LiteLLM's, at the defaults of both: sends and seconds."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lanewise.testing import Answer, FakeProviderProcess, Scripted, Silence, Status

__all__ = ["OUTAGES", "Outage", "Suffered", "suffered"]

_ROOT = Path(__file__).resolve().parent.parent
LONGEST = 150.0
"""Seconds after which a side that has not ended is stopped: its calls have taken longer than that."""


@dataclass(frozen=True)
class Outage:
    """So many calls, one after the other, of which the first route answers none; the second answers all."""

    name: str
    what: str
    calls: int
    first: Scripted


OUTAGES = (
    Outage("errors", "15 calls, the first provider answers 500", 15, Status(500)),
    Outage("rate-limit", "a call, the first answers 429 with Retry-After: 30", 1, Status(429, retry_after=30)),
    Outage("silence", "a call, the first takes the request and says nothing", 1, Silence()),
)


@dataclass(frozen=True)
class Suffered:
    """What one side's calls came to: how many were answered, the requests at the first provider, and the seconds of
    each call that ended."""

    side: str
    outage: Outage
    answered: int
    sends: int
    seconds: tuple[float, ...]

    @property
    def ended(self) -> bool:
        """Whether all calls did."""
        return len(self.seconds) == self.outage.calls

    def text(self) -> str:
        """In a cell of a table."""
        requests = f"{self.sends} request" + ("s" if self.sends != 1 else "")
        if not self.ended:
            return f"{requests} there, no answer in {LONGEST:.0f} s"
        lost = "" if self.answered == self.outage.calls else f", {self.outage.calls - self.answered} not answered"
        return f"{requests} there, {sum(self.seconds):.1f} s{lost}"


def suffered(sides: dict[str, Path]) -> Iterator[Suffered]:
    """Each outage on each side; of each the Python is given that has it."""
    with FakeProviderProcess() as provider:
        for outage in OUTAGES:
            for side, python in sides.items():
                provider.reset()
                provider.script("first", outage.first)
                provider.script("second", Answer("Fine."))
                ends = _calls(side, python, provider.base_url, outage.calls)
                sends = provider.counts().by_model.get("first", 0)
                yield Suffered(side, outage, sum(end["answered"] for end in ends), sends, tuple(e["s"] for e in ends))


def _calls(side: str, python: Path, url: str, calls: int) -> list[dict[str, float]]:
    """How each of the calls ended that did in time."""
    command = [str(python), "-m", "benchmarks.outage_sides", side, url, str(calls)]
    environ = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}  # else it fetches a list of prices at its import
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_ROOT, env=environ)
    try:
        out, _ = process.communicate(timeout=LONGEST)
    except subprocess.TimeoutExpired:
        process.kill()
        out, _ = process.communicate()
    else:
        if process.returncode:
            raise RuntimeError("a measured process has ended")
    return [json.loads(line) for line in out.splitlines() if line.startswith('{"s":')]
