"""Measures two sides in turns (A B A B ...), each in a process of its own, and takes the median of the runs' ratios."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.cases import Case

__all__ = ["Cores", "Result", "Side", "choose_cores", "compare", "machine"]

_ROOT = Path(__file__).resolve().parent.parent
_TURNS = 8
"""How many turns a run is cut into: the shorter they are, the more what disturbs one side disturbs the other."""


@dataclass(frozen=True)
class Cores:
    """Where the measured side and the provider run; ``None`` where a process can't choose."""

    side: int | None
    provider: int | None


@dataclass(frozen=True)
class Result:
    """CPU microseconds a call of both sides, each a median of the runs, and the median of the runs' ratios."""

    case: Case
    ours_us: float
    theirs_us: float
    ratio: float
    lowest: float
    highest: float

    @property
    def holds(self) -> bool:
        """Whether the ratio is within the figure to hold."""
        return self.ratio <= self.case.hold


class Side:
    """A measuring process. It is warm when it is entered, and waits between its runs."""

    def __init__(self, command: list[str]) -> None:
        self._command = command

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT
        )
        self._read()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def run(self, calls: int) -> float:
        """CPU seconds a call, over so many calls. Raises RuntimeError: the side has ended; its stderr says why."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{calls}\n")
        self._process.stdin.flush()
        return self._read()["cpu"] / calls

    def _read(self) -> dict[str, float]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        while line and not line.startswith("{"):  # LiteLLM prints to stdout
            line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a measured process has ended")
        answer: dict[str, float] = json.loads(line)
        return answer


def compare(case: Case, ours: Side, theirs: Side, *, runs: int, calls: int) -> Result:
    """Measure two entered sides in turns."""
    pairs = [_run(ours, theirs, calls) for _ in range(runs)]
    ratios = [our / their for our, their in pairs]
    return Result(
        case,
        ours_us=statistics.median(our for our, _ in pairs) * 1e6,
        theirs_us=statistics.median(their for _, their in pairs) * 1e6,
        ratio=statistics.median(ratios),
        lowest=min(ratios),
        highest=max(ratios),
    )


def _run(ours: Side, theirs: Side, calls: int) -> tuple[float, float]:
    turns = [(ours.run(calls // _TURNS), theirs.run(calls // _TURNS)) for _ in range(_TURNS)]
    return statistics.fmean(our for our, _ in turns), statistics.fmean(their for _, their in turns)


def choose_cores() -> Cores:
    """One core for the measured sides, which run one at a time, and another one for the provider."""
    if not hasattr(os, "sched_getaffinity"):
        return Cores(None, None)
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(allowed[-1], allowed[0])


def machine() -> str:
    """Processor, cores, system and versions, in a line."""
    from importlib.metadata import version

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    packages = ", ".join(f"{name} {version(name)}" for name in ("openai", "httpx2", "aiohttp", "msgspec"))
    return (
        f"{_processor()}, {cores} cores, {platform.system()} {platform.release()}; "
        f"{platform.python_implementation()} {platform.python_version()}, {packages}; "
        f"load {_load()}; {sys.platform}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
