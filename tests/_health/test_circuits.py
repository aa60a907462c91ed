"""The store's circuits in a real Valkey: one change at a time, told to all, and nothing believed that can't be."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from _routing.planning import OUTAGE
from lanewise._health.breakers.circuit import BreakerSettings, ByHand, Circuit, CircuitOpened, Failed, LeaseAsked
from lanewise._health.sharing.breaker_store import KEEP_SECONDS, BreakerStore, channel_of, circuit_key, read_news
from lanewise._store import client
from lanewise.config.environment.store_address import StoreAddress
from real_valkey import Valkey

KEY = circuit_key("route first chat", "https://one.example/v1", "model-one")
NUMBERS = BreakerSettings()
FAILED = Failed(0, OUTAGE, 0.5)


@pytest.fixture
def store(valkey: Valkey) -> Iterator[redis.Redis]:
    with client(StoreAddress(valkey.url)) as found:
        yield found


def test_what_is_not_there_is_closed(store: redis.Redis) -> None:
    """And reading leaves nothing behind."""
    assert BreakerStore(store).read(KEY).circuit == Circuit()
    assert store.keys() == []


def test_failures_of_all_workers_are_counted_together(store: redis.Redis, valkey: Valkey) -> None:
    """However many come at once: none is lost, and the fifth opens."""

    def fail(_: int) -> None:
        with client(StoreAddress(valkey.url)) as own:
            BreakerStore(own).change(KEY, None, [FAILED], NUMBERS)

    with ThreadPoolExecutor(4) as workers:
        list(workers.map(fail, range(4)))
    assert BreakerStore(store).read(KEY).circuit.consecutive_failures == 4
    kept = BreakerStore(store).change(KEY, None, [FAILED], NUMBERS)
    assert kept.circuit.why == OUTAGE
    assert kept.circuit.is_open(time.monotonic() + kept.clock)


def test_a_change_by_what_was_known_before_is_made_anew(store: redis.Redis) -> None:
    """Of two workers that know the same the second sees what the first has done."""
    circuits = BreakerStore(store)
    known = circuits.change(KEY, None, [CircuitOpened(0, OUTAGE, 0.5)], BreakerSettings(break_duration=0.001))
    time.sleep(0.01)
    first = circuits.change(KEY, known, [LeaseAsked("a")], NUMBERS)
    second = circuits.change(KEY, known, [LeaseAsked("b")], NUMBERS)
    assert (first.circuit.holder, second.circuit.holder, second.circuit.wanted_by) == ("a", "a", "b")
    assert second.version > first.version > known.version


def test_a_change_that_changes_nothing_is_not_written(store: redis.Redis) -> None:
    """But what is known to have been so is looked up once more: it may be no longer so."""
    circuits = BreakerStore(store)
    known = circuits.change(KEY, None, [ByHand(open=True)], NUMBERS)
    assert (
        circuits.change(KEY, known, [Failed(known.circuit.generation, OUTAGE, 0.5)], NUMBERS).version == known.version
    )


def test_every_change_is_told(store: redis.Redis) -> None:
    """With its key, its version and the state itself."""
    with store.pubsub(ignore_subscribe_messages=True) as channel:  # type: ignore[no-untyped-call]
        channel.subscribe(channel_of(store))
        channel.get_message(timeout=5)
        kept = BreakerStore(store).change(KEY, None, [FAILED], NUMBERS)
        message = channel.get_message(timeout=5)
    assert message is not None
    news = read_news(message["data"])
    assert news is not None
    assert (news[0], news[1].circuit, news[1].version) == (KEY, kept.circuit, kept.version)


def test_another_database_of_the_server_hears_nothing(store: redis.Redis, valkey: Valkey) -> None:
    """Its routes have the same names, perhaps: it is that of the staging."""
    with client(StoreAddress(f"{valkey.url}?db=3")) as staging:
        assert channel_of(staging) != channel_of(store)
        with staging.pubsub(ignore_subscribe_messages=True) as channel:  # type: ignore[no-untyped-call]
            channel.subscribe(channel_of(staging))
            channel.get_message(timeout=5)
            BreakerStore(store).change(KEY, None, [FAILED], NUMBERS)
            assert channel.get_message(timeout=0.3) is None


def test_what_a_person_opened_is_kept_until_a_person_closes_it(store: redis.Redis) -> None:
    """All else is forgotten a day after its last change."""
    circuits = BreakerStore(store)
    failed = circuits.change(KEY, None, [FAILED], NUMBERS)
    assert 0 < store.ttl(KEY) <= KEEP_SECONDS
    opened = circuits.change(KEY, failed, [ByHand(open=True)], NUMBERS)
    assert store.ttl(KEY) == -1
    circuits.change(KEY, opened, [ByHand(open=False)], NUMBERS)
    assert 0 < store.ttl(KEY) <= KEEP_SECONDS


def test_a_store_that_forgot_everything_begins_with_a_later_version(store: redis.Redis) -> None:
    """Or its news would be taken for old."""
    before = BreakerStore(store).change(KEY, None, [FAILED], NUMBERS)
    store.flushall()
    time.sleep(0.002)
    assert BreakerStore(store).change(KEY, None, [FAILED], NUMBERS).version > before.version


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"null",
        b"[1]",
        b"\xff\xfe",
        b'{"turn": "many"}',
        b'{"turn": -4}',
        b'{"open_until": 1e300, "why": null}',
        b'{"open_until": 9e18}',
        b'{"why": {"kind": "no such"}}',
        b"{" * 5000,
    ],
    ids=lambda text: repr(text[:24]),
)
def test_garbage_is_a_closed_circuit(garbage: bytes, store: redis.Redis) -> None:
    """What no worker can have written keeps no route open, and is overwritten by the next change."""
    store.hset(KEY, mapping={"version": "12", "circuit": garbage})
    assert BreakerStore(store).read(KEY).circuit == Circuit()
    assert BreakerStore(store).change(KEY, None, [FAILED], NUMBERS).circuit.consecutive_failures == 1


def test_a_key_of_another_kind_and_a_version_that_is_none_are_overwritten(store: redis.Redis) -> None:
    """They stand under our own prefix."""
    store.set(KEY, "not a hash")
    assert BreakerStore(store).change(KEY, None, [FAILED], NUMBERS).circuit.consecutive_failures == 1
    store.delete(KEY)
    store.hset(KEY, mapping={"version": "soon", "circuit": "{}"})
    assert BreakerStore(store).change(KEY, None, [FAILED], NUMBERS).circuit.consecutive_failures == 1


@pytest.mark.parametrize("news", [b"", b"x", b"1 2\n{}", b"one 2 key\n{}", b"1 two key\n{}", b"\xff 1 k\n{}", b"1 2 k"])
def test_news_that_is_garbage_is_none(news: bytes) -> None:
    """Anyone may speak on the channel."""
    found = read_news(news)
    assert found is None or found[1].circuit == Circuit()


def test_two_apps_with_a_route_of_one_name_don_t_meet() -> None:
    """Another model, or another provider, is another circuit."""
    keys = {circuit_key("route main chat", url, model) for url in ("a", "b") for model in ("m", "n")}
    assert len(keys) == 4


def test_nothing_that_is_stored_is_of_a_prompt_or_a_key(store: redis.Redis, valkey: Valkey) -> None:
    """A failure in the store has its kind, status and code, and our own words."""
    BreakerStore(store).change(KEY, None, [CircuitOpened(0, OUTAGE, 0.5)], NUMBERS)
    assert b"server" not in valkey.everything().replace(b"server_error", b"")
