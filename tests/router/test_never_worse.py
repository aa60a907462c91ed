"""Whatever the plain SDK hands to the app, a routed call hands to it too: shown on answers that are written oddly."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
import openai
import pytest

from lanewise import Outcome, Router
from lanewise.testing import FakeProvider, Raw
from router.driving import MESSAGES, Stage, config
from router.wire_mutations import Wire, wire

pytestmark = pytest.mark.anyio

OFF = {"router": {"health": {"breakers": False}}}
MODEL = "model-one"


def dumped(value: Any) -> Any:
    return value.model_dump(warnings=False) if hasattr(value, "model_dump") else value


async def asked(client: openai.AsyncOpenAI, model: str, made: Wire) -> Any:
    """What the app gets: an answer, the chunks of a stream, the events and the end of a helper's; or what is raised."""
    options: Any = {"model": model, **made.options}
    try:
        if made.api == "embeddings":
            return dumped(await client.embeddings.create(input="x", **options))
        if made.api == "responses":
            options["input"] = "x"
            reply: Any = await client.responses.create(stream=made.stream, **options)
        elif made.helper:
            async with client.chat.completions.stream(messages=MESSAGES, **options) as stream:
                events = [event.type async for event in stream]
                return [*events, dumped(await stream.get_final_completion())]
        else:
            reply = await client.chat.completions.create(messages=MESSAGES, stream=made.stream, **options)
        return [dumped(chunk) async for chunk in reply] if made.stream else dumped(reply)
    except Exception as error:  # noqa: BLE001 - the plain SDK raises whatever its parsers raise
        return error


def asked_sync(client: openai.OpenAI, model: str, made: Wire) -> Any:
    """The same by a thread."""
    options: Any = {"model": model, **made.options}
    try:
        if made.api == "embeddings":
            return dumped(client.embeddings.create(input="x", **options))
        if made.api == "responses":
            reply: Any = client.responses.create(input="x", stream=made.stream, **options)
        else:
            reply = client.chat.completions.create(messages=MESSAGES, stream=made.stream, **options)
        return [dumped(chunk) for chunk in reply] if made.stream else dumped(reply)
    except Exception as error:  # noqa: BLE001 - as above
        return error


@asynccontextmanager
async def routers(provider: FakeProvider) -> AsyncIterator[list[Router]]:
    """One over our own transport, and one over a client of the app's."""
    mapping: Any = config(Stage(provider, provider), more=OFF)
    mapping["routes"]["first"]["api"] = ["chat", "responses", "embeddings"]
    mapping["tasks"]["alone"]["retries"] = {"bad_response": 0, "outage": 0, "stream_broken": 0, "timeout": 0}
    handed = Router.from_mapping(mapping, http_client=httpx2.AsyncClient)
    async with Router.from_mapping(mapping) as own, handed:
        yield [own, own, own, handed]


async def compare(provider: FakeProvider, seeds: range) -> tuple[int, list[str]]:
    """How many of the mutations the plain SDK takes, and those that a routed call does not take as it does."""
    taken, worse = 0, []
    async with routers(provider) as each:
        for seed in seeds:
            made = wire(seed)
            provider.script_all(Raw(made.data))
            async with openai.AsyncOpenAI(base_url=provider.base_url, api_key="k", max_retries=0) as client:
                plain = await asked(client, MODEL, made)
            if isinstance(plain, Exception):
                continue
            taken += 1
            scope = each[seed % len(each)].scope()
            if seed % 5 == 0 and not made.helper:
                routed = await anyio.to_thread.run_sync(asked_sync, scope.openai, "alone", made)
            else:
                routed = await asked(scope.async_openai, "alone", made)
            call = scope.calls[-1]
            # Of a kept connection that the provider had closed by then comes nothing, and another one is tried.
            answers = [attempt for attempt in call.attempts if attempt.http_status is not None]
            if repr(routed) != repr(plain) or call.outcome is not Outcome.ANSWERED or len(answers) != 1:
                told = "; ".join(made.told)
                worse.append(f"{seed} {made.api} stream={made.stream} helper={made.helper}: {told}\n  {routed!r:.300}")
    return taken, worse


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("FIRST_KEY", "k")
    monkeypatch.setenv("SECOND_KEY", "k")
    with FakeProvider() as made:
        yield made


async def test_a_routed_call_takes_what_the_plain_sdk_takes(provider: FakeProvider) -> None:
    """Equal answers, in one attempt, for each mutation that the plain SDK takes."""
    taken, worse = await compare(provider, range(150))
    assert worse == []
    assert taken > 100, "most mutations must be such that the plain SDK takes them"


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("part", range(20))
async def test_twenty_thousand_mutations(provider: FakeProvider, part: int) -> None:
    """The same at scale, a thousand at a time."""
    taken, worse = await compare(provider, range(10_000 + 1000 * part, 11_000 + 1000 * part))
    assert worse == []
    assert taken > 700
