"""Several worker processes over one store: started, listened to, and ended, some of them by force."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from busy_machine import LONG_ENOUGH
from lanewise.testing import FakeProvider
from router.driving import FIRST_MODEL, SECOND_MODEL

__all__ = ["Worker", "config", "until", "workers"]

TESTS = Path(__file__).parents[1]


class Worker:
    """A process of ``worker.py``; ``said`` is what it has told so far."""

    def __init__(self, mapping: Mapping[str, Any], interval: float) -> None:
        self.said: list[dict[str, Any]] = []
        self.process = subprocess.Popen(
            [sys.executable, str(TESTS / "_health" / "worker.py"), json.dumps(mapping), str(interval)],
            stdout=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(json.loads(line))

    def calls(self, since: float = 0.0) -> list[dict[str, Any]]:
        """Its calls that ended since then."""
        return [fact for fact in tuple(self.said) if "took" in fact and fact["at"] >= since]

    def opened_at(self, since: float = 0.0) -> float | None:
        """When its breaker of the first route opened."""
        return next((fact["at"] for fact in tuple(self.said) if fact.get("open") and fact["at"] >= since), None)

    @property
    def name(self) -> str:
        """What it is called where leases are held."""
        return next(fact["worker"] for fact in tuple(self.said) if "worker" in fact)

    def end(self) -> None:
        """Kill it, whatever it does."""
        self.process.kill()
        self.process.wait(LONG_ENOUGH)
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextmanager
def workers(count: int, mapping: Mapping[str, Any], *, rate: float) -> Iterator[list[Worker]]:
    """So many workers that have made their first call; together they make ``rate`` calls a second."""
    started = [Worker(mapping, count / rate) for _ in range(count)]
    try:
        until(lambda: all(worker.calls() for worker in started), 40)
        yield started
    finally:
        for worker in started:
            worker.end()


def config(first: FakeProvider, second: FakeProvider, state: str, **health: object) -> dict[str, Any]:
    """A task with a primary route at one provider and an equivalent one at the other."""
    return {
        "router": {"state": state, "health": {"retry_tokens": 1000.0, **health}},
        "providers": {"first": {"base_url": first.base_url}, "second": {"base_url": second.base_url}},
        "routes": {
            "first": {"provider": "first", "model": FIRST_MODEL, "timeout": 5.0},
            "second": {"provider": "second", "model": SECOND_MODEL},
        },
        "tasks": {"task": {"primary": "first", "equivalent": "second"}},
    }


def until(true: Callable[[], object], seconds: float) -> None:
    """Wait until it is so; fails if it does not come about."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.01)
