"""The writer before a sink: it never waits, loses nothing it had not to, counts what it lost, and starts over."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence

import pytest

from begun_threads import begun_threads
from busy_machine import LONG_ENOUGH, until
from lanewise._runtime.loops.lifecycle import BackgroundServices
from lanewise._telemetry import background_writer as writer
from lanewise._telemetry import drop_counter as drops
from lanewise._telemetry import writer_thread as run
from lanewise._telemetry.background_writer import Writer
from lanewise.types.sinks import SinkUnavailable

SOON = LONG_ENOUGH


class Kept:
    """A sink that keeps what it gets; ``gate`` holds it up, ``trouble`` is raised as often as it has something."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.trouble: list[BaseException] = []
        self.gate = threading.Event()
        self.gate.set()
        self.busy = threading.Event()
        self.closed = 0
        self.threads: set[str] = set()

    def write(self, batch: Sequence[int]) -> None:
        self.threads.add(threading.current_thread().name)
        self.busy.set()
        self.gate.wait(SOON)
        if self.trouble:
            raise self.trouble.pop(0)
        self.batches.append(list(batch))

    def close(self) -> None:
        self.closed += 1

    @property
    def items(self) -> list[int]:
        return [item for batch in self.batches for item in batch]


@pytest.fixture
def kept() -> Iterator[Kept]:
    sink = Kept()
    yield sink
    sink.gate.set()


@pytest.fixture(autouse=True)
def no_line_of_an_earlier_test() -> None:
    """Lines on losses are written by threads that nobody waits for."""
    for thread in threading.enumerate():
        if thread.name == "lanewise-drops":
            thread.join(SOON)


def test_what_is_put_is_written_in_order_and_in_batches(kept: Kept) -> None:
    """By the close all of it is written, in the writer's thread, and the sink is closed there."""
    queue: Writer[int] = Writer("kept", lambda: kept)
    for item in range(1000):
        queue.put(item)
    queue.close()
    assert kept.items == list(range(1000))
    assert max(len(batch) for batch in kept.batches) <= 250
    assert kept.threads == {"lanewise: kept"}
    assert (kept.closed, queue.dropped) == (1, 0)


def test_nothing_starts_before_the_first_item() -> None:
    """No thread, no sink: prefork servers make their routers in the parent."""
    begun = begun_threads()
    queue: Writer[int] = Writer("kept", lambda: pytest.fail("made"))
    assert begun() == []
    queue.close()


def test_an_item_is_written_without_another_to_push_it(kept: Kept) -> None:
    """A batch is gathered for a fifth of a second, then it goes."""
    queue: Writer[int] = Writer("kept", lambda: kept)
    for item in range(3):
        queue.put(item)
        until(lambda item=item: kept.items == list(range(item + 1)))  # type: ignore[misc]
    queue.close()


def test_what_does_not_fit_is_dropped_and_counted_exactly(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Putting goes on at once beside a sink that hangs; the log tells of it once, not at each loss."""
    monkeypatch.setattr(run, "CAPACITY", 100)
    kept.gate.clear()
    queue: Writer[int] = Writer("kept", lambda: kept, linger=0.01)
    queue.put(-1)
    kept.busy.wait(SOON)
    with caplog.at_level(logging.WARNING):
        for item in range(1000):
            queue.put(item)
        assert queue.dropped == 900
        until(lambda: bool(caplog.records))
    assert len(caplog.records) == 1
    assert "did not get into kept (its queue is full)" in caplog.text
    kept.gate.set()
    queue.close()
    assert kept.items == [-1, *range(100)]
    assert vars(caplog.records[-1])["dropped_in_all"] == 900


def test_losses_are_told_once_a_minute(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next line tells of all that came in between."""
    now = 1000.0
    monkeypatch.setattr(drops.time, "monotonic", lambda: now)
    lost = drops.Drops("kept")
    lost.add(1, "it raised OSError")
    until(lambda: len(caplog.records) == 1)
    for _ in range(50):
        lost.add(1, "it raised OSError")
        lost.report_if_due()
    assert len(caplog.records) == 1
    now += 61.0
    lost.report_if_due()
    assert [vars(line)["dropped"] for line in caplog.records] == [1, 50]


def test_a_sink_that_raises_loses_its_batch_and_gets_the_next(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    """What it said stays out of the log: it may hold data."""
    kept.trouble = [ValueError("canary")]
    queue: Writer[int] = Writer("kept", lambda: kept, linger=0.01)
    queue.put(1)
    until(lambda: queue.dropped == 1)
    queue.put(2)
    queue.close()
    assert kept.items == [2]
    until(lambda: "(it raised ValueError)" in caplog.text)
    assert "canary" not in caplog.text


def test_a_sink_that_would_end_its_thread_does_not(kept: Kept) -> None:
    """What exits where nobody is to be left: the batch is lost, and the next one is written."""
    kept.trouble = [SystemExit("canary")]
    queue: Writer[int] = Writer("kept", lambda: kept, linger=0.01)
    queue.put(1)
    until(lambda: queue.dropped == 1)
    queue.put(2)
    queue.close()
    assert kept.items == [2]


def test_a_sink_that_is_not_available_gets_the_batch_again(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What comes meanwhile waits behind it, and nothing is lost."""
    monkeypatch.setattr(run, "PAUSES", (0.01,))
    kept.trouble = [SinkUnavailable("it is down")] * 5
    queue: Writer[int] = Writer("kept", lambda: kept, linger=0.01)
    for item in range(600):
        queue.put(item)
    until(lambda: len(kept.items) == 600)
    assert (kept.items, queue.dropped) == (list(range(600)), 0)
    assert len(caplog.records) == 1
    queue.close()


def test_closing_gives_up_on_a_sink_that_never_comes_back(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In the time that closing has; what was lost is counted."""
    monkeypatch.setattr(writer, "CLOSE", 0.3)
    kept.trouble = [SinkUnavailable("it is down")] * 10_000
    queue: Writer[int] = Writer("kept", lambda: kept, linger=0.01)
    for item in range(600):
        queue.put(item)
    queue.close()
    assert (kept.items, queue.dropped) == ([], 600)


def test_closing_gives_up_on_a_sink_that_hangs(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts as lost what was in its hands."""
    monkeypatch.setattr(writer, "CLOSE", 0.2)
    kept.gate.clear()
    queue: Writer[int] = Writer("kept", lambda: kept, linger=0.01)
    queue.put(1)
    kept.busy.wait(SOON)
    queue.put(2)
    queue.close()
    assert queue.dropped == 2


def test_a_hanging_sink_does_not_hold_up_another(kept: Kept) -> None:
    """Each has a thread of its own."""
    hung: Writer[int] = Writer("hung", lambda: kept)
    other = Kept()
    well: Writer[int] = Writer("well", lambda: other)
    kept.gate.clear()
    hung.put(1)
    well.put(1)
    until(lambda: other.items == [1])
    kept.gate.set()
    hung.close()
    well.close()


def test_after_a_close_it_starts_over(kept: Kept) -> None:
    """A router can be opened again."""
    queue: Writer[int] = Writer("kept", lambda: kept)
    for item in range(3):
        queue.put(item)
        queue.close()
    assert (kept.items, kept.closed) == ([0, 1, 2], 3)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_writes_its_own(kept: Kept) -> None:
    """What waited in the parent is written by the parent alone, and the child makes a sink of its own."""
    made: list[int] = []

    def make() -> Kept:
        made.append(os.getpid())
        return kept

    queue: Writer[int] = Writer("kept", make, linger=0.5)
    queue.put(1)
    pid = os.fork()
    if pid == 0:
        kept.batches.clear()
        queue.after_fork()
        queue.put(2)
        queue.close()
        os._exit(0 if kept.items == [2] and made[-1] == os.getpid() else 1)
    assert os.waitpid(pid, 0)[1] == 0
    queue.close()
    assert (kept.items, made) == ([1], [os.getpid()])


def test_an_item_that_comes_while_its_run_is_closed_goes_to_the_next(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often that happens: here each of the first two runs is over before the item is in its queue."""
    queue: Writer[int] = Writer("kept", lambda: kept, linger=0.001)
    put, closed = run.WriterThread.put, []

    def put_late(self: run.WriterThread[int], item: int) -> bool:
        if len(closed) < 2:
            closed.append(self)
            queue.stop()
        return put(self, item)

    monkeypatch.setattr(run.WriterThread, "put", put_late)
    queue.put(1)
    queue.close()
    assert (kept.items, queue.dropped, len(set(closed))) == ([1], 0, 2)


def test_many_threads_lose_nothing(kept: Kept) -> None:
    """Puts from everywhere, and closes in between."""
    queue: Writer[int] = Writer("kept", lambda: kept, linger=0.001)

    def put_all() -> None:
        for item in range(500):
            queue.put(item)

    threads = [threading.Thread(target=put_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        queue.close()
    for thread in threads:
        thread.join()
    queue.close()
    assert sorted(kept.items) == sorted(list(range(500)) * 4)


def test_sinks_that_hang_are_closed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing a router takes the time of one of them, not of all."""
    monkeypatch.setattr(writer, "CLOSE", 3.0)
    services = BackgroundServices()
    hung = [Kept() for _ in range(6)]
    for sink in hung:
        sink.gate.clear()
        queue: Writer[int] = Writer("hung", lambda sink=sink: sink, linger=0.0)  # type: ignore[misc]
        services.add(queue)
        queue.put(1)
    for sink in hung:
        sink.busy.wait(SOON)
    begun = time.monotonic()
    services.close()
    assert time.monotonic() - begun < 15  # one after the other they take 18
    for sink in hung:
        sink.gate.set()
