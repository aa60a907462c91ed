"""A provider's caps over several workers: each keeps to its part, of those that are there by the store's clock."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from _health.workers import config, until
from lanewise import Router
from lanewise._health.sharing import health_sync
from lanewise._health.sharing.shared_health import _workers_key
from real_valkey import Valkey
from router.driving import Stage


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers say more often that they are there."""
    monkeypatch.setattr(health_sync, "HEARTBEAT", 0.1)
    monkeypatch.setattr(health_sync, "GONE", 3.0)


def _router(stage: Stage, valkey: Valkey, **health: object) -> Router:
    mapping = config(stage.first, stage.second, valkey.url, **health)
    mapping["providers"]["first"] |= {"max_concurrency": 6, "rpm": 600}
    return Router.from_mapping(mapping)


def _ask(router: Router) -> None:
    with router.scope() as scope:
        scope.openai.chat.completions.create(model="task", messages=[{"role": "user", "content": "Hi"}])


def _part(router: Router) -> Callable[[], int | None]:
    return lambda: router._engine.ready().limiters["first"]._at_once


def test_a_cap_is_shared_out_among_the_workers_that_are_there(stage: Stage, valkey: Valkey) -> None:
    """Half for each of two; all of it again for the one that is left, whether the other closed or was killed."""
    one, other = _router(stage, valkey), _router(stage, valkey)
    with one:
        _ask(one)
        with other:
            _ask(other)
            until(lambda: _part(one)() == _part(other)() == 3, 20)
        until(lambda: _part(one)() == 6, 20)
        _pretend_a_worker(valkey, seconds_ago=1)
        until(lambda: _part(one)() == 3, 20)
        until(lambda: _part(one)() == 6, 20)


def test_caps_are_shared_out_where_breakers_are_off_too(stage: Stage, valkey: Valkey) -> None:
    """They are the account's, whatever becomes of failures."""
    with _router(stage, valkey, breakers=False) as one, _router(stage, valkey, breakers=False) as other:
        _ask(one)
        _ask(other)
        until(lambda: _part(one)() == _part(other)() == 3, 20)


def test_a_host_whose_clock_is_off_takes_nobody_out(
    stage: Stage, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What counts is the store's clock."""
    _pretend_a_worker(valkey, seconds_ago=0, key_of=_router(stage, valkey))
    monkeypatch.setattr(time, "time", lambda real=time.time: real() + 3600.0)
    with _router(stage, valkey) as router:
        _ask(router)
        until(lambda: _part(router)() == 3, 20)


def _pretend_a_worker(valkey: Valkey, *, seconds_ago: float, key_of: Router | None = None) -> None:
    """A word of a worker that will say no other."""
    with valkey.client() as client:
        if key_of is None:
            (key,) = client.scan_iter("lanewise:workers:*")
        else:
            key = _workers_key(key_of.config, "first")
        client.zadd(key, {"another": client.time()[0] - seconds_ago})
