"""``python -m benchmarks.records``: the CPU that a call's record costs the thread that makes the call."""

from __future__ import annotations

import argparse
import logging
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import msgspec

from lanewise._openai.request_body import RequestBody
from lanewise._openai.response_check import Answer
from lanewise._openai.usage.accumulator import UsageAccumulator
from lanewise._prices.price_book import PriceBook
from lanewise._runtime.call.attempts.cost import Billing
from lanewise._runtime.loops.lifecycle import BackgroundServices
from lanewise._runtime.sinks import Recording
from lanewise.config import Config
from lanewise.types import Api, Attempt, Call, CostStatus, LaneName, Outcome
from lanewise.types.sinks import Record

HOLD_US = 8.0
"""Microseconds of CPU for a record with its tokens and cost, a sink and a line of the log; the threads that write, and
reckon the cost, are not counted."""
_HELD = "the same, with tokens and cost"
_USAGE = msgspec.Raw(
    b'{"prompt_tokens":1200,"completion_tokens":300,"total_tokens":1500,"prompt_tokens_details":{"cached_tokens":1024,'
    b'"cache_write_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":64,"audio_tokens":0}}'
)
_CALLS = 5_000
"""As many as there is room for in a queue twice over: nothing is dropped, so that nothing is cheaper than it is."""


class Nowhere:
    """A sink that takes everything at once."""

    def write(self, batch: Sequence[Record]) -> None: ...

    def close(self) -> None: ...


def main() -> int:
    """Print the figures; 1 if one does not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.records", description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    costs = {
        "no sink": _median(runs, 0),
        "one sink (the ledger)": _median(runs, 1),
        "four sinks": _median(runs, 4),
    }
    with _log_at_info():
        costs["one sink, and the log at INFO"] = _median(runs, 1)
        costs[_HELD] = _median(runs, 1, accounted=True)
    for what, cost in costs.items():
        print(f"{what:32} {cost:6.2f} us")
    return 0 if costs[_HELD] <= HOLD_US else 1


def _median(runs: int, sinks: int, *, accounted: bool = False) -> float:
    return statistics.median(_measure(sinks, accounted) for _ in range(runs))


def _measure(sinks: int, accounted: bool) -> float:
    services = BackgroundServices()
    recording = Recording(services)
    for number in range(sinks):
        recording.add(f"sink {number}", Nowhere)
    call = _call()
    account = _accountant(call) if accounted else lambda: None
    recording.call(call, None)  # the threads start
    time.sleep(0.3)
    begun = time.thread_time()
    for _ in range(_CALLS):
        account()
        recording.call(call, None)
    spent = time.thread_time() - begun
    services.close()
    return spent / _CALLS * 1e6


def _accountant(call: Call) -> Callable[[], None]:
    """What notes the tokens and the cost of an answer: the cost itself is reckoned by whoever reads it."""
    config = Config.from_mapping(
        {
            "providers": {"openai": {}},
            "routes": {"flagship": {"provider": "openai", "model": "gpt-5.5"}},
            "tasks": {"ticket-summary": {"primary": "flagship"}},
        }
    )
    prices = PriceBook(config)
    prices.load()
    body = RequestBody.parse(b'{"model":"ticket-summary","messages":[{"role":"user","content":"Where is my parcel?"}]}')
    billing = Billing(prices, Api.CHAT, body, choices=1)
    sent: Any = SimpleNamespace(
        record=call.attempts[0],
        request=SimpleNamespace(upstream=SimpleNamespace(route=config.routes["flagship"]), body=body.raw),
        more=(),
    )

    def account() -> None:
        told = UsageAccumulator()
        told.add(_USAGE)
        billing.settle(sent, None, Answer(usage=told.usage))

    return account


@contextmanager
def _log_at_info() -> Iterator[None]:
    """The log at INFO, with a handler that writes nowhere."""
    logger = logging.getLogger("lanewise")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    logger.setLevel(logging.INFO)
    yield
    logger.setLevel(logging.NOTSET)


def _call() -> Call:
    now = datetime.now(UTC)
    attempt = Attempt(
        call_id="01a203e9-aa42-7b3a-bc28-604eaaed894f",
        attempt_number=1,
        route="flagship",
        lane=LaneName.PRIMARY,
        model_asked="gpt-5.5",
        provider_host="api.openai.com",
        idempotency_key="req-2026-000042-5f0c1d5c3e8a9b27",
        started_at=now,
        input_tokens=1200,
        output_tokens=300,
        cost_usd=0.015,
        cost_status=CostStatus.KNOWN,
        total_ms=812.5,
    )
    return Call(
        id=attempt.call_id,
        request_id="req-2026-000042",
        task="ticket-summary",
        api=Api.CHAT,
        started_at=now,
        route="flagship",
        lane=LaneName.PRIMARY,
        outcome=Outcome.ANSWERED,
        attempts=(attempt,),
        total_ms=812.9,
    )


if __name__ == "__main__":
    raise SystemExit(main())
