"""Several workers over one real Valkey: all leave a dead provider alone together, and all go back to it."""

from __future__ import annotations

import json
import os
import signal
import statistics
import time
from dataclasses import dataclass
from itertools import pairwise

import pytest

from _health.workers import Worker, config, until, workers
from lanewise.testing import Answer, SlowHeaders, Status
from real_valkey import Valkey, running_valkey
from router.driving import FIRST_MODEL, Stage

PROBE_TAKES = 0.2
"""Seconds that each attempt on the dead provider takes, so that two at a time would show."""
MISSING = Status(404, error={"code": "model_not_found"})
"""Opens a route at once."""
BUSY = 3.0
"""Seconds that a busy machine may add to what is promised."""


@dataclass(frozen=True)
class Pace:
    """How fast things go: by the defaults, or a tenth of them. Times in seconds."""

    first_break: float
    longest_break: float
    watched: float
    attempts: int = 15

    @property
    def health(self) -> dict[str, float]:
        return {"break_duration": self.first_break, "max_break_duration": self.longest_break}

    @property
    def used_again(self) -> float:
        return self.longest_break + 5.0 * self.longest_break / 30.0


BY_DEFAULT = Pace(10.0, 30.0, 60.0)
QUICK = Pace(1.0, 3.0, 6.0)


@pytest.mark.parametrize(
    "pace",
    [
        pytest.param(QUICK, id="quick"),
        pytest.param(BY_DEFAULT, id="by default", marks=[pytest.mark.slow, pytest.mark.timeout(300)]),
    ],
)
def test_four_workers_leave_a_dead_provider_alone_together(pace: Pace, stage: Stage, valkey: Valkey) -> None:
    """All breakers open within a second of the first, one probe is in flight at a time, at most 15 attempts are made in
    the first minute at 50 calls a second, and the provider is used again within 35 s of its recovery."""
    with workers(4, config(stage.first, stage.second, valkey.url, **pace.health), rate=50) as running:
        time.sleep(0.5)
        stage.first.reset()
        stage.first.script_all(SlowHeaders(PROBE_TAKES, then=Status(500)))
        dead = time.monotonic()
        until(lambda: all(worker.opened_at() for worker in running), 5 + BUSY)
        opened = [worker.opened_at() or 0.0 for worker in running]
        assert max(opened) - min(opened) <= 1.0 + BUSY

        time.sleep(max(0.0, dead + pace.watched - time.monotonic()))
        tried = [received.at for received in stage.first.journal]
        probes = [at for at in tried if at > max(opened)]
        # Those that were under way when it opened are no probes: with 0.2 s an attempt, some are.
        early = len(tried) - len(probes)
        assert len(probes) <= pace.attempts - 5
        assert early <= 5 + 50 * (PROBE_TAKES + BUSY)
        assert all(later - sooner >= PROBE_TAKES for sooner, later in pairwise(probes))

        stage.first.script_all(Answer())
        well = time.monotonic()
        until(lambda: any(fact["route"] == "first" for w in running for fact in w.calls(well)), pace.used_again + BUSY)
        until(lambda: all(_uses_first(worker, time.monotonic() - 0.5) for worker in running), 3 + BUSY)
        assert not any("error" in fact for worker in running for fact in worker.calls())


def _uses_first(worker: Worker, since: float) -> bool:
    routes = [fact.get("route") for fact in worker.calls(since)]
    return bool(routes) and set(routes) == {"first"}


@pytest.mark.parametrize(
    "pace",
    [
        pytest.param(QUICK, id="quick"),
        pytest.param(BY_DEFAULT, id="by default", marks=[pytest.mark.slow, pytest.mark.timeout(300)]),
    ],
)
def test_at_most_fifteen_attempts_are_made_on_a_provider_that_is_dead(pace: Pace, stage: Stage, valkey: Valkey) -> None:
    """In the first minute, by four workers at 50 calls a second, the calls' own retries included."""
    with workers(4, config(stage.first, stage.second, valkey.url, **pace.health), rate=50) as running:
        time.sleep(0.5)
        stage.first.reset()
        stage.first.script_all(Status(500))
        dead = time.monotonic()
        time.sleep(pace.watched)
        # At a tenth of the times, what a busy machine has under way when the routes open weighs ten times as much.
        assert stage.first.request_count <= pace.attempts + (0 if pace is BY_DEFAULT else 20)
        assert not any("error" in fact for worker in running for fact in worker.calls(dead))


def test_workers_share_the_one_attempt_a_second_of_a_throttled_route(stage: Stage, valkey: Valkey) -> None:
    """And an answer to any of them ends the throttle for all."""
    mapping = config(stage.first, stage.second, valkey.url)
    mapping["tasks"]["task"] = {"primary": "first", "patience": "0s", "deadline": "8s"}
    with workers(3, mapping, rate=24) as running:
        stage.first.script_all(Status(503))
        dead = time.monotonic()
        until(lambda: stage.first.request_count >= 40 and time.monotonic() - dead >= 2.5 + BUSY, 20 + BUSY)
        since = time.monotonic()
        time.sleep(4.0)
        tried = [received.at for received in stage.first.journal if received.at >= since]
        assert len(tried) <= time.monotonic() - since + 2, "three times as many, if each had its own"
        stage.first.script_all(Answer())
        well = time.monotonic()
        until(lambda: all(_uses_first(worker, time.monotonic() - 0.3) for worker in running), 3 + BUSY)
        answered = [fact["at"] for worker in running for fact in worker.calls(well) if "route" in fact]
        assert min(answered) - well <= 2.0 + BUSY


def test_a_worker_that_starts_late_knows_what_the_others_know(stage: Stage, valkey: Valkey) -> None:
    """Of its first calls at most one goes to the dead provider."""
    stage.first.script_all(MISSING)
    mapping = config(stage.first, stage.second, valkey.url)
    with workers(1, mapping, rate=10):
        stage.first.reset()
        stage.first.script_all(MISSING)
        with workers(1, mapping, rate=20) as (late,):
            until(lambda: len(late.calls()) >= 10, 40)
            assert stage.first.request_count <= 2
            assert late.opened_at() is not None


def test_a_worker_that_is_killed_while_it_probes_leaves_the_probe_to_another(stage: Stage, valkey: Valkey) -> None:
    """When its lease is over: five seconds after its last word. No call waits for that."""
    stage.first.script_all(Status(500))
    mapping = config(stage.first, stage.second, valkey.url, break_duration=0.5, max_break_duration=0.5)
    with workers(3, mapping, rate=30) as running:
        until(lambda: all(worker.opened_at() for worker in running), 40)
        stage.first.script(FIRST_MODEL, SlowHeaders(4.0, then=Status(500)), Answer())
        until(lambda: stage.first.in_flight, 40)
        killed = _holder(valkey, running)
        killed.process.send_signal(signal.SIGKILL)
        since = time.monotonic()
        left = [worker for worker in running if worker is not killed]
        until(lambda: any(fact["route"] == "first" for worker in left for fact in worker.calls(since)), 12)
        assert time.monotonic() - since >= 2.0, "the lease of a dead worker is not over at once"
        facts = [fact for worker in left for fact in worker.calls(since)]
        assert not any("error" in fact for fact in facts)
        assert max(fact["took"] for fact in facts) < 4.5  # who waited for the lease would wait five


def _holder(valkey: Valkey, running: list[Worker]) -> Worker:
    """The worker that has the lease of the probe."""
    with valkey.client() as client:
        (key,) = client.scan_iter("lanewise:health:*:route first chat")
        circuit = json.loads(client.hget(key, "circuit") or b"{}")
    return next(worker for worker in running if worker.name == circuit["holder"])


@pytest.mark.parametrize("trouble", ["killed", "stalled"])
def test_a_store_that_goes_away_is_no_call_s_trouble(trouble: str, stage: Stage) -> None:
    """Killed, or silent for five seconds: no call fails, none is slower, breakers go on, and all agree again."""
    with running_valkey() as valkey:
        mapping = config(stage.first, stage.second, valkey.tcp_url, break_duration=1.0, max_break_duration=1.0)
        with workers(2, mapping, rate=40) as running:
            pid = valkey.pid()
            time.sleep(0.5)
            os.kill(pid, signal.SIGKILL if trouble == "killed" else signal.SIGSTOP)
            gone = time.monotonic()
            try:
                time.sleep(1.0)
                stage.first.script_all(Status(500))
                until(lambda: all(worker.opened_at(gone) for worker in running), 40)
                stage.first.script_all(Answer())
                until(lambda: all(_uses_first(worker, time.monotonic() - 0.5) for worker in running), 8)
                time.sleep(max(0.0, gone + 5.0 - time.monotonic()))
            finally:
                if trouble == "stalled":
                    os.kill(pid, signal.SIGCONT)
            facts = [fact for worker in running for fact in worker.calls(gone)]
            assert not any("error" in fact for fact in facts)
            assert statistics.median(fact["took"] for fact in facts) < 1.0  # a busy machine may hold up some
            if trouble == "stalled":
                stage.first.script_all(MISSING)
                back = time.monotonic()
                until(lambda: all(worker.opened_at(back) for worker in running), 8)
                opened = [worker.opened_at(back) or 0.0 for worker in running]
                assert max(opened) - min(opened) <= 1.0 + BUSY
