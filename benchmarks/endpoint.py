"""``python -m benchmarks.endpoint``: ``lanewise serve`` beside LiteLLM's proxy and Portkey's gateway.

Each is a process of its own on one core, at its own default settings; the provider behind them and what makes the
requests are on the other core. Requests a second and core are requests by the seconds of CPU that the gateway took for
them, all its processes together: what else the machine does, and how fast the requests are made, is not in them. Of the
rounds the median counts; the gateways take turns. Latency is that of one request at a time, beside the provider's own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from benchmarks.gateways import LITELLM, PORTKEY, Gateway, lanewise, litellm, portkey
from benchmarks.measure import choose_cores, machine
from benchmarks.meter import pin

_UPSTREAM_PORT = 18_899
_MESSAGES = [
    {"role": "system", "content": "You summarise support tickets in two sentences, in the language of the ticket."},
    {"role": "user", "content": "The invoice of October was charged twice, and nobody answers the telephone. " * 6},
]
_START = 120.0
"""Seconds that a gateway has to start; LiteLLM's proxy takes half a minute."""
_HOLD = {"Portkey gateway": 5.0, "LiteLLM proxy": 50.0}
_HOLD_MB = 100.0
_NOT_COMPARABLE = """
Not comparable: Portkey's gateway checks no key, and its caller names the provider. LiteLLM's proxy logs each access and
reckons its cost. Neither judges a stream while it passes it on; ours holds deadlines, breakers and contracts besides.
"""
_TICKS = os.sysconf("SC_CLK_TCK")
_MAKERS: dict[str, Callable[[str, Path, int], Gateway]] = {"lanewise": lanewise, "portkey": portkey, "litellm": litellm}
_CASES = (("whole", 1), ("whole", 32), ("stream", 1), ("stream", 32), ("paced", 32))
_NOT_HELD = "paced"
"""The chunks come 10 ms apart, as a model writes them: it is told, and no figure is promised for it."""


@dataclass
class Figures:
    """What was measured of a gateway: by case its requests a second and core, and by quantile its latency in ms."""

    per_core: dict[tuple[str, int], list[float]] = field(default_factory=dict)
    idle_mb: float = 0.0
    busy_mb: float = 0.0
    latencies: list[float] = field(default_factory=list)
    failing: dict[tuple[str, int], str] = field(default_factory=dict)

    def of(self, case: tuple[str, int]) -> float | None:
        return statistics.median(self.per_core[case]) if case in self.per_core else None


def main() -> int:
    """Print the tables; 1 if a figure does not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.endpoint", description=__doc__)
    parser.add_argument("--only", action="append", choices=list(_MAKERS), help="leave the others out")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="how long a gateway is measured in a round, a case")
    arguments = parser.parse_args()
    print(f"machine: {machine()}")
    cores = choose_cores()
    pin(cores.provider)
    with ExitStack() as stack:
        upstream = stack.enter_context(_provider())
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        running: dict[str, tuple[Gateway, int]] = {}
        figures: dict[str, Figures] = {}
        for number, name in enumerate(arguments.only or _MAKERS):
            try:
                gateway = _MAKERS[name](upstream, directory, 18_900 + number)
                pid = stack.enter_context(_started(gateway, cores.side, directory))
            except RuntimeError as error:
                print(f"left out: {name}: {error}")
                continue
            running[gateway.name] = gateway, pid
            figures[gateway.name] = Figures(idle_mb=_memory(pid))
        uvloop.run(_measure(running, figures, upstream, arguments.rounds, arguments.seconds))
    return 0 if _print(figures) else 1


@contextmanager
def _provider() -> Iterator[str]:
    """The address of the provider behind the gateways, in a process of its own on this core."""
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.endpoint_upstream", str(_UPSTREAM_PORT)])
    try:
        yield f"http://127.0.0.1:{_UPSTREAM_PORT}/v1"
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _started(gateway: Gateway, core: int | None, directory: Path) -> Iterator[int]:
    """The process of a gateway that answers, on its core."""
    with (directory / f"{gateway.port}.log").open("w+") as log:
        process = subprocess.Popen(
            gateway.command,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **gateway.environ},
            preexec_fn=lambda: pin(core),
            start_new_session=True,
        )
        try:
            until = time.monotonic() + _START
            while not asyncio.run(_answers(gateway)) or process.poll() is not None:
                if process.poll() is not None or time.monotonic() > until:  # what answers may be another one
                    log.seek(0)
                    raise RuntimeError(f"it did not start: {log.read()[-300:]}")
                time.sleep(0.5)
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


async def _answers(gateway: Gateway) -> bool:
    try:
        await asyncio.wait_for(_Connection(gateway, "whole").once(), 20)
    except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
        return False
    return True


class _Connection:
    """One connection that asks the same thing again and again, reading no more of the answer than it must."""

    def __init__(self, gateway: Gateway, case: str) -> None:
        body: dict[str, object] = {"model": case, "messages": _MESSAGES}
        if case != "whole":
            body["stream"] = True
        content = json.dumps(body).encode()
        headers = {"Host": f"127.0.0.1:{gateway.port}", "Content-Type": "application/json", **gateway.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"POST {gateway.path} HTTP/1.1\r\n{lines}Content-Length: {len(content)}\r\n\r\n"
        self._request = head.encode() + content
        self._port = gateway.port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def once(self) -> None:
        """One connection, one request."""
        await self.ask()
        self.close()

    async def ask(self) -> None:
        """Ask, and read the whole answer. Raises ValueError: it is none."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(self._request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200"):
            raise ValueError(head.decode("latin-1"))
        if b"content-length: " in head:
            await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            return
        while (size := int(await reader.readuntil(b"\r\n"), 16)) > 0:
            await reader.readexactly(size + 2)
        await reader.readexactly(2)

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()


async def _measure(
    running: dict[str, tuple[Gateway, int]], figures: dict[str, Figures], upstream: str, rounds: int, seconds: float
) -> None:
    direct = Gateway("direct", (), int(upstream.split(":")[2].partition("/")[0]))
    figures["direct"] = Figures()
    for name, (gateway, _) in running.items():
        for case, at_once in _CASES:
            try:
                await _ask_for(gateway, case, at_once, seconds / 2)  # warm
            except (ValueError, OSError, asyncio.IncompleteReadError) as error:
                figures[name].failing[case, at_once] = str(error).partition("\r\n")[0]
    for _ in range(rounds):
        for case, at_once in _CASES:
            for name, (gateway, pid) in running.items():
                if (case, at_once) in figures[name].failing:
                    continue
                before = _cpu(pid)
                asked = await _ask_for(gateway, case, at_once, seconds)
                figures[name].per_core.setdefault((case, at_once), []).append(asked / max(_cpu(pid) - before, 1e-3))
        for gateway in (direct, *(each for each, _ in running.values())):
            figures[gateway.name].latencies += await _latencies(gateway, 200)
    for name, (_, pid) in running.items():
        figures[name].busy_mb = _memory(pid)


async def _ask_for(gateway: Gateway, case: str, at_once: int, seconds: float) -> int:
    """How many requests were answered in so many seconds."""
    until = time.perf_counter() + seconds

    async def work() -> int:
        connection = _Connection(gateway, case)
        asked = 0
        while time.perf_counter() < until:
            await connection.ask()
            asked += 1
        connection.close()
        return asked

    return sum(await asyncio.gather(*(work() for _ in range(at_once))))


async def _latencies(gateway: Gateway, count: int) -> list[float]:
    connection = _Connection(gateway, "whole")
    await connection.ask()
    found = []
    for _ in range(count):
        began = time.perf_counter()
        await connection.ask()
        found.append((time.perf_counter() - began) * 1000)
    connection.close()
    return found


def _tree(pid: int) -> list[int]:
    """A process and all that it has started."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    found = [pid]
    if children.exists():
        for child in children.read_text().split():
            found += _tree(int(child))
    return found


def _cpu(pid: int) -> float:
    """Seconds of CPU that a process and its children have taken."""
    total = 0
    for each in _tree(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def _memory(pid: int) -> float:
    """Resident memory in MB."""
    pages = sum(int(Path(f"/proc/{each}/statm").read_text().split()[1]) for each in _tree(pid))
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _print(figures: dict[str, Figures]) -> bool:
    direct = figures.pop("direct")
    holds = True
    print(f"\n{'requests a second and core':<28}" + "".join(f"{f'{case}, {n} at once':>20}" for case, n in _CASES))
    for name, found in figures.items():
        cells = ("fails" if (rate := found.of(case)) is None else f"{rate:.0f}" for case in _CASES)
        print(f"{name:<28}" + "".join(f"{cell:>20}" for cell in cells))
        for case, at_once in found.failing:
            print(f"  {case}, {at_once} at once: {found.failing[case, at_once]}")
    ours = figures.get("lanewise")
    for name, hold in _HOLD.items():
        if ours is None or name not in figures:
            continue
        pairs = [(ours.of(case), figures[name].of(case)) for case in _CASES]
        ratios = [None if mine is None or theirs is None else mine / theirs for mine, theirs in pairs]
        held = [ratio for ratio, (case, _) in zip(ratios, _CASES, strict=True) if case != _NOT_HELD]
        holds = holds and min(ratio for ratio in held if ratio is not None) >= hold
        cells = ("" if ratio is None else f"{ratio:.1f}x" for ratio in ratios)
        print(f"{f'lanewise by {name}':<28}" + "".join(f"{cell:>20}" for cell in cells) + f"   to hold: {hold:g}x")
    base50, base99 = _quantiles(direct.latencies)
    print(f"\n{'added latency, 1 at once':<28}{'p50':>12}{'p99':>12}   (direct: {base50:.2f} ms, {base99:.2f} ms)")
    for name, found in figures.items():
        half, high = _quantiles(found.latencies)
        print(f"{name:<28}{half - base50:>9.2f} ms{high - base99:>9.2f} ms")
    print(f"\n{'resident memory':<28}{'idle':>12}{'after':>12}")
    for name, found in figures.items():
        print(f"{name:<28}{found.idle_mb:>9.0f} MB{found.busy_mb:>9.0f} MB")
    print(f"\nLiteLLM {LITELLM}, Portkey {PORTKEY}, Python {sys.version.split()[0]}.\n{_NOT_COMPARABLE}")
    return holds and (ours is None or ours.idle_mb <= _HOLD_MB)


def _quantiles(latencies: list[float]) -> tuple[float, float]:
    ordered = sorted(latencies)
    return ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]


if __name__ == "__main__":
    sys.exit(main())
