"""Providers that fail in every way, by chance: whom sensitive prompts reach, and what the ledger tells of it."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import openai
import pytest

from lanewise import Router
from lanewise._ledger.database import open_ledger
from lanewise._ledger.schema.tables import attempts
from lanewise.testing import (
    Answer,
    Behaviour,
    Close,
    Cycle,
    FakeProvider,
    Html,
    JsonBody,
    Redirect,
    Reset,
    Status,
    StreamOf,
    TruncatedBody,
)

pytestmark = pytest.mark.anyio

APPROVED, OTHERS = ("own-1", "own-2"), ("far-1", "far-2")
AT_ONCE = 16
CANARY = "canary-of-a-patient"


def troubles(elsewhere: str) -> list[Behaviour]:
    """What a provider may do instead of answering, a redirect to another one among it."""
    return [
        *(Status(status) for status in (400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 529)),
        Status(429, retry_after=0.05),
        Status(503, retry_after=60),
        Status(404, error={"code": "model_not_found"}),
        Status(400, error={"code": "content_filter"}),
        Redirect(f"{elsewhere}/chat/completions"),
        Reset("before_headers"),
        Reset("after_headers"),
        Reset("mid_body"),
        Close("before_headers"),
        Close("mid_body"),
        Html(),
        TruncatedBody(),
        JsonBody({"error": {"message": "no", "code": "server_error"}}),
        Answer(model="another-model"),
        StreamOf(cut_after=1),
        StreamOf(model="another-model"),
        StreamOf(error_event_after=0),
    ]


def config(providers: dict[str, FakeProvider], ledger: str) -> dict[str, Any]:
    lanes = {"primary": "far-1", "equivalent": ["own-1", "far-2"], "degraded": "own-2"}
    return {
        "router": {
            "ledger": ledger,
            "health": {"break_duration": "50ms", "max_break_duration": "100ms", "max_throttle_duration": "100ms"},
        },
        "providers": {name: {"base_url": provider.base_url} for name, provider in providers.items()},
        "routes": {name: {"provider": name, "model": f"model-of-{name}", "timeout": "5s"} for name in providers},
        "tasks": {"task": {"deadline": "5s", "patience": "50ms", **lanes}},
        "sensitive": {"medical": {"routes": list(APPROVED)}},
    }


async def calls(router: Router, count: int, rng: random.Random) -> None:
    """Half of them sensitive, half of them streams, some of which nobody reads to the end."""
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            is_sensitive, streams, leaves = rng.random() < 0.5, rng.random() < 0.5, rng.random() < 0.1
            prompt: Any = [{"role": "user", "content": f"{CANARY if is_sensitive else 'Hello'} {number}"}]
            with router.scope(sensitive="medical" if is_sensitive else ()) as scope:
                create: Any = scope.async_openai.chat.completions.create
                try:
                    if not streams:
                        await create(model="task", messages=prompt)
                        continue
                    async with await create(model="task", messages=prompt, stream=True) as stream:
                        async for _ in stream:
                            if leaves:
                                break
                except openai.OpenAIError:
                    pass

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))


def ledger_rows(url: str) -> dict[str, Any]:
    """The attempts of the ledger, by the id that the provider got."""
    engine = open_ledger(url)
    with engine.connect() as connection:
        found = connection.execute(attempts.select()).all()
    engine.dispose()
    rows = {f"{row.call_id}-{row.attempt_number}": row for row in found}
    assert len(rows) == len(found)
    return rows


async def chaos(count: int, seed: int, folder: Path) -> None:
    """So many calls, and what has to be so after them."""
    url = f"sqlite:///{folder / 'ledger.db'}"
    rng = random.Random(seed)
    providers = {name: FakeProvider(journal_limit=10 * count) for name in (*APPROVED, *OTHERS)}
    try:
        for provider in providers.values():
            provider.start()
        for provider in providers.values():
            bad = troubles(providers["far-1"].base_url)
            well: list[Behaviour] = [Answer(), StreamOf(), Answer(delay=0.01)]
            provider.script_all(Cycle([rng.choice(bad if rng.random() < 0.4 else well) for _ in range(2003)]))
        async with Router.from_mapping(config(providers, url)) as router:
            await calls(router, count, rng)
    finally:
        for provider in providers.values():
            provider.stop()
    received = {name: provider.journal for name, provider in providers.items()}
    for name in OTHERS:
        assert not any(CANARY.encode() in one.body for one in received[name]), name
    assert any(CANARY.encode() in one.body for one in received["own-1"])

    rows = ledger_rows(url)
    by_provider: dict[str, set[str]] = {name: set() for name in providers}
    for id_, row in rows.items():
        by_provider[row.route].add(id_)
    for name, journal in received.items():
        ids = [one.headers["x-client-request-id"] for one in journal]
        assert len(set(ids)) == len(ids)
        assert set(ids) <= by_provider[name], "nothing was sent that is not in the ledger"
        unsent = by_provider[name] - set(ids)
        assert all(rows[id_].http_status is None for id_ in unsent)
        assert len(unsent) <= 0.02 * len(ids), "connections that were closed while they waited, and callers who left"
        for one in journal:
            row = rows[one.headers["x-client-request-id"]]
            assert row.model_asked == f"model-of-{name}"
            if isinstance(one.behaviour, Status):
                assert row.http_status == one.behaviour.status
                assert row.failure is not None
                assert not row.answered


@pytest.mark.timeout(120)
async def test_no_sensitive_prompt_reaches_a_route_that_is_not_approved_and_the_ledger_has_every_attempt(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever all providers do: row by row, the ledger is what they received."""
    caplog.set_level("CRITICAL", "lanewise")
    await chaos(400, 1, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(4))
async def test_the_same_holds_for_forty_thousand_requests(
    seed: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In four parts."""
    caplog.set_level("CRITICAL", "lanewise")
    await chaos(10_000, seed, tmp_path)
