"""What other workers make of a circuit is heard by all, also while one of them is only beginning to listen."""

from __future__ import annotations

import threading
from contextlib import ExitStack

import pytest

from _health.workers import config, until
from busy_machine import LONG_ENOUGH
from lanewise import Router
from lanewise._health.sharing.breaker_store import BreakerStore, StoredCircuit
from lanewise._health.sharing.by_hand import change_in_store
from lanewise._health.sharing.health_sync import HealthSync
from lanewise.config.environment.store_address import StoreAddress
from lanewise.types import HealthState
from real_valkey import Valkey
from router.driving import Stage


def open_elsewhere(router: Router, valkey: Valkey) -> None:
    """Open the first route in the store, as another process does."""
    change_in_store(StoreAddress(valkey.url), router.config, "first", opens=True)


def hears_that_it_is_open(router: Router) -> bool:
    """Whether the router has taken it over."""
    return router.health.routes["first"].state is HealthState.OPEN


@pytest.mark.parametrize("after", range(1, 4))
def test_a_change_between_the_first_look_and_its_end_is_heard(
    after: int, stage: Stage, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that begins reads all circuits one by one: one that is changed after it was read is no longer missed."""
    heard = threading.Event()
    reads: list[str] = []
    look, hear = BreakerStore.read, HealthSync._receive

    def read_and_change(store: BreakerStore, key: str) -> StoredCircuit:
        found = look(store, key)
        if threading.current_thread().name == "lanewise-health":
            reads.append(key)
            if len(reads) == after:
                open_elsewhere(router, valkey)
                assert heard.wait(LONG_ENOUGH)
        return found

    def hear_and_tell(sync: HealthSync, message: bytes) -> None:
        hear(sync, message)
        heard.set()

    monkeypatch.setattr(BreakerStore, "read", read_and_change)
    monkeypatch.setattr(HealthSync, "_receive", hear_and_tell)
    with Router.from_mapping(config(stage.first, stage.second, valkey.url)) as router:
        _call(router)
        until(lambda: hears_that_it_is_open(router), 30)


def test_a_change_while_the_connection_is_cut_is_heard(stage: Stage, valkey: Valkey) -> None:
    """Whatever was changed until the worker is subscribed again is read then."""
    with Router.from_mapping(config(stage.first, stage.second, valkey.url)) as router, ExitStack() as stack:
        _call(router)
        store = stack.enter_context(valkey.client())
        until(lambda: router.health.shared, 30)
        store.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        open_elsewhere(router, valkey)
        until(lambda: hears_that_it_is_open(router), 30)


def _call(router: Router) -> None:
    with router.scope(detached=True) as scope:
        scope.openai.chat.completions.create(model="task", messages=[{"role": "user", "content": "hello"}])
