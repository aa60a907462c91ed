"""Replay when its store fails: no call fails, none waits for longer than 50 ms, and each says that it went without."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import anyio
import pytest

from _replay.replaying import asked_at_once, until_noted, worker, workers
from busy_machine import LONG_ENOUGH
from lanewise import Scope
from lanewise import _store as connection
from lanewise._replay import shared_replays as replays_shared
from lanewise._replay.shared_replays import PREFIX
from lanewise._runtime.call import replaying as replay
from lanewise.testing import Answer
from real_valkey import Valkey, running_valkey
from router.driving import FIRST_MODEL, FORMS, REQUEST_ID, Form, Got, Stage, ask, ask_in
from stalling import Stalling, stalling

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("keys")]

each_form = pytest.mark.parametrize("form", FORMS, ids=str)
LINE = "calls go on without replay"


@pytest.fixture
def proxy(valkey: Valkey) -> Iterator[Stalling]:
    """A way to the store that can stall."""
    with stalling(valkey.server.host, valkey.server.port) as proxy:
        yield proxy


def went_without(got: Got) -> bool:
    return got.error is None and "goes on without replay" in got.call.explain()


@each_form
async def test_no_call_fails_where_there_is_no_store(
    form: Form, stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """Each says so, and the log says so once a minute."""
    with caplog.at_level(logging.WARNING, logger="lanewise"):
        async with worker(stage, "redis://127.0.0.1:9/0") as router:
            got = [await ask(router, form) for _ in range(3)]
    assert all(went_without(each) for each in got)
    assert len(stage.received()) == 3
    assert len([record for record in caplog.records if LINE in record.message]) == 1


@each_form
async def test_a_silent_store_costs_no_call_more_than_50_ms(
    form: Form, stage: Stage, proxy: Stalling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing waits for the store's own time-out, neither before the first attempt nor at the end."""
    monkeypatch.setattr(connection, "TIMEOUT", 30.0)
    monkeypatch.setattr(replays_shared, "CLOSE", 0.1)
    proxy.stall()
    async with worker(stage, proxy.url) as router:
        started = time.monotonic()
        got = [await ask(router, form), *await asked_at_once([router] * 5, form)]
        took = time.monotonic() - started
        assert all(went_without(each) for each in got)
        assert "within 50 ms" in got[0].call.explain()
        assert len(stage.received()) == 6
        assert took < 15  # of which a busy machine needs most: the store's own time-out is 30 s
        with anyio.fail_after(15):  # once that is known, not even 50 ms
            while "the store does not answer" not in (await ask(router, form)).call.explain():
                await anyio.sleep(0.01)
        proxy.flow()


@pytest.mark.usefixtures("patient")
async def test_replay_works_again_when_the_store_does(
    stage: Stage, proxy: Stalling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And has what was answered meanwhile."""
    monkeypatch.setattr(connection, "TIMEOUT", 0.2)
    async with worker(stage, proxy.url) as router:
        proxy.stall()
        first = await ask(router, FORMS[0])
        assert went_without(first)
        proxy.flow()
        with anyio.fail_after(LONG_ENOUGH):
            while (again := await ask(router, FORMS[0])).call.replayed_from is None:
                await anyio.sleep(0.05)
        assert again.text == first.text


@pytest.mark.usefixtures("patient")
async def test_a_store_that_is_killed_and_comes_back_empty(stage: Stage) -> None:
    """What it has forgotten is paid again, and nothing fails."""
    with running_valkey() as own:
        async with worker(stage, own.url) as router:
            await ask(router, FORMS[0])
            own.kill()
            assert went_without(await ask(router, FORMS[0]))
            own.restart()
            with anyio.fail_after(LONG_ENOUGH):
                while went_without(got := await ask(router, FORMS[0])):
                    await anyio.sleep(0.05)
            assert got.error is None
            again = await ask(router, FORMS[0])
            assert again.call.replayed_from is not None


@pytest.mark.usefixtures("patient")
async def test_one_who_waits_goes_on_when_the_store_is_lost(
    stage: Stage, proxy: Stalling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """He can't be told any more what becomes of it."""
    monkeypatch.setattr(connection, "TIMEOUT", 0.2)
    stage.first.script(FIRST_MODEL, Answer("the first", delay=30.0), Answer("the second"))
    got: list[Got] = []

    async def wait(scope: Scope) -> None:
        got.append(await ask_in(scope, FORMS[0]))

    async with worker(stage, proxy.url) as one, worker(stage, proxy.url) as other, anyio.create_task_group() as group:
        group.start_soon(ask, one, FORMS[0])
        await anyio.to_thread.run_sync(stage.first.wait_for, 1)
        scope = other.scope(request_id=REQUEST_ID)
        group.start_soon(wait, scope)
        await until_noted(scope)
        proxy.stall()
        with anyio.fail_after(LONG_ENOUGH):
            while not got:
                await anyio.sleep(0.01)
        group.cancel_scope.cancel()
    assert got[0].text == "the second"
    assert went_without(got[0])
    assert "waits for the same call" in got[0].call.explain()


@each_form
@pytest.mark.usefixtures("patient")
async def test_garbage_in_the_store_fails_no_call(form: Form, stage: Stage, valkey: Valkey) -> None:
    """Whatever stands under the key of a call."""
    async with workers(stage, valkey.url) as (one, other):
        await ask(one, form)
        with anyio.fail_after(LONG_ENOUGH):
            while not (kept := _answers(valkey)):
                await anyio.sleep(0.01)
        (key,) = kept
        for garbage in (b"", b"a", b"a\x01short", b"a" + b"\x01" * 5000, kept[key][:-1], b"\x00\xff"):
            with valkey.client() as client:
                client.set(key, garbage, px=3_600_000)
            assert went_without(await ask(other, form))


def _answers(valkey: Valkey) -> dict[bytes, bytes]:
    with valkey.client() as client:
        found = {key: client.get(key) or b"" for key in client.scan_iter(PREFIX + "*")}
    return {key: value for key, value in found.items() if value.startswith(b"a")}


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("lie", [b"c", b"cnobody", b"cnobody sign", b"c" + b"x" * 36 + b" " + b"\x01" * 40])
async def test_a_claim_that_the_store_makes_up_holds_no_call(lie: bytes, stage: Stage, valkey: Valkey) -> None:
    """Only who has the storage key can claim the turn of a call."""
    key = await _key_of_a_call(stage, valkey)
    with valkey.client() as client:
        client.set(key, lie, px=3_600_000)
    async with worker(stage, valkey.url) as router:
        got = await ask(router, FORMS[0])
    assert went_without(got)
    assert "none of ours" in got.call.explain()


@pytest.mark.usefixtures("patient")
async def test_a_claim_that_the_store_does_not_let_end_holds_a_call_for_its_lease_alone(
    stage: Stage, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody but its owner can give another sign of life."""
    monkeypatch.setattr(replay, "LEASE", 0.5)
    stage.first.script(FIRST_MODEL, Answer(delay=30.0), Answer("made anew"))
    async with worker(stage, valkey.url) as one, worker(stage, valkey.url) as other:
        with one.scope(request_id=REQUEST_ID) as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(ask_in, scope, FORMS[0])
                await anyio.to_thread.run_sync(stage.first.wait_for, 1)
                (key,) = _claims(valkey)
                with valkey.client() as client:
                    claim = client.get(key) or b""
                group.cancel_scope.cancel()
        await _until_gone(valkey)
        with valkey.client() as client:
            client.set(key, claim, px=3_600_000)
        got = await ask(other, FORMS[0])
    assert went_without(got)
    assert got.text == "made anew"
    assert "no sign of life" in got.call.explain()


async def _key_of_a_call(stage: Stage, valkey: Valkey) -> bytes:
    async with worker(stage, valkey.url) as router:
        await ask(router, FORMS[0])
        with anyio.fail_after(LONG_ENOUGH):
            while not (kept := _answers(valkey)):
                await anyio.sleep(0.01)
    (key,) = kept
    return key


async def _until_gone(valkey: Valkey) -> None:
    with anyio.fail_after(LONG_ENOUGH):
        while _claims(valkey):
            await anyio.sleep(0.01)


def _claims(valkey: Valkey) -> list[bytes]:
    with valkey.client() as client:
        return [key for key in client.scan_iter(PREFIX + "*") if (client.get(key) or b"").startswith(b"c")]


@pytest.mark.usefixtures("patient")
async def test_an_answer_under_another_calls_key_is_not_given(stage: Stage, valkey: Valkey) -> None:
    """Whoever can write into the store can't move one user's answer to another."""
    async with workers(stage, valkey.url) as (one, other):
        await ask(one, FORMS[0], subject="user-7")
        await ask(one, FORMS[0], subject="user-8")
        with anyio.fail_after(LONG_ENOUGH):
            while len(kept := _answers(valkey)) < 2:
                await anyio.sleep(0.01)
        (one_key, one_value), (other_key, other_value) = kept.items()
        with valkey.client() as client:
            client.set(one_key, other_value)
            client.set(other_key, one_value)
        for subject in ("user-7", "user-8"):
            got = await ask(other, FORMS[0], subject=subject)
            assert went_without(got)
            assert "another purpose" in got.call.explain()


@pytest.mark.usefixtures("patient")
async def test_another_storage_key_reads_nothing(
    stage: Stage, valkey: Valkey, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker with the wrong key says so; one that still has the old key beside a new one reads on."""
    async with worker(stage, valkey.url) as router:
        first = await ask(router, FORMS[0])
    monkeypatch.setenv("STORAGE_KEY", "another-key-W2mO8qvIh0XRZkYV1yQp9sLd")
    with caplog.at_level(logging.WARNING, logger="lanewise"):
        async with worker(stage, valkey.url) as router:
            got = await ask(router, FORMS[0])
    assert went_without(got)
    assert any("key that is not in use" in record.message for record in caplog.records)
    monkeypatch.setenv("STORAGE_KEY", "another-key-W2mO8qvIh0XRZkYV1yQp9sLd" + ",canary-storage-key-" + "k" * 32)
    async with worker(stage, valkey.url) as router:
        again = await ask(router, FORMS[0])
    assert again.call.replayed_from == first.call.id
