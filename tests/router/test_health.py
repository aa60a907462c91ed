"""Health over HTTP: a dead route is left alone, comes back by one probe, and retries don't pile up."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

from lanewise import NoRouteAvailable, Outcome, Router, RoutingError
from lanewise.testing import Answer, Close, Flapping, Silence, SlowHeaders, Status, StreamOf
from router.driving import FIRST_MODEL, FORMS, WHOLE, Form, Stage, ask, ask_in, config, waits_of

pytestmark = pytest.mark.anyio

each_form = pytest.mark.parametrize("form", FORMS, ids=str)
each_client = pytest.mark.parametrize("form", WHOLE, ids=str)
LONG = {"break_duration": "30s", "max_break_duration": "30s"}
SHORT = {"break_duration": "1s", "max_break_duration": "1s", "throttle_duration": "1s"}


def health(**numbers: Any) -> dict[str, Any]:
    """The config's part about health: short times, and a large allowance unless it is said."""
    return {"router": {"health": {"retry_tokens": 1000.0, **SHORT, **numbers}}}


@pytest.fixture(autouse=True)
def quick(hurried: None) -> None:
    """Back-offs are short."""


async def until_half_open() -> None:
    """The second of an opening, with its jitter, is over."""
    await anyio.sleep(1.25)


@each_form
async def test_a_route_that_fails_five_times_in_a_row_is_left_alone(form: Form, stage: Stage) -> None:
    """The calls after that cost nothing but the other route's answer, and say why."""
    stage.first.script_all(Status(500))
    async with Router.from_mapping(config(stage, more=health(**LONG))) as router:
        for _ in range(3):
            await ask(router, form)
        tried = stage.first.request_count
        got = await ask(router, form)

    assert tried == 5, "two a call, and the sixth was kept back"
    assert stage.first.request_count == tried
    assert got.routes == ["second"]
    assert "first (primary): is open after outage, for" in got.call.explain()


@each_form
async def test_when_all_routes_are_open_the_call_fails_at_once_and_says_when_to_come_again(
    form: Form, stage: Stage
) -> None:
    """By the route that opens again first."""
    stage.first.script_all(Status(401))
    stage.second.script_all(Status(402))
    numbers = health(break_duration="20s", max_break_duration="20s")
    async with Router.from_mapping(config(stage, more=numbers)) as router:
        await ask(router, form)
        got = await ask(router, form)

    assert waits_of(got.call) == []
    assert isinstance(got.error, NoRouteAvailable)
    assert got.error.status_code == 503
    assert got.error.retry_after is not None
    assert 10 < got.error.retry_after <= 20
    assert 10 <= int(got.error.response.headers["retry-after"]) <= 20
    assert got.call.outcome is Outcome.FAILED
    assert got.call.attempts == ()


@each_form
async def test_a_route_that_is_well_again_comes_back_by_one_probe(form: Form, stage: Stage) -> None:
    """Of calls that come at the same time one tries it, and the others go elsewhere; then all go there again."""
    stage.first.script_all(Status(500))
    async with Router.from_mapping(config(stage, more=health(consecutive_failures=2))) as router:
        await ask(router, form)
        slow = StreamOf(first_token_delay=0.3) if form.stream else Answer(delay=0.3)
        stage.first.script(FIRST_MODEL, slow, Answer())
        await until_half_open()
        before = stage.first.request_count
        async with anyio.create_task_group() as group:
            got: list[Any] = []

            async def one() -> None:
                got.append(await ask(router, form))

            for _ in range(6):
                group.start_soon(one)
        probes = stage.first.request_count - before
        after = await ask(router, form)

    assert probes == 1
    assert sorted(answered.routes[-1] for answered in got) == ["first"] + ["second"] * 5
    assert after.routes == ["first"]


@each_form
async def test_a_probe_that_fails_keeps_the_route_open(form: Form, stage: Stage) -> None:
    """And its call is answered elsewhere, without a second try."""
    stage.first.script_all(Status(500))
    async with Router.from_mapping(config(stage, more=health(consecutive_failures=2))) as router:
        await ask(router, form)
        await until_half_open()
        before = stage.first.request_count
        got = await ask(router, form)
        again = await ask(router, form)

    assert stage.first.request_count == before + 1
    assert (got.routes, again.routes) == (["first", "second"], ["second"])


@pytest.mark.parametrize("form", [Form("async"), Form("async", stream=True)], ids=str)
async def test_a_probe_whose_caller_went_away_is_given_back(form: Form, stage: Stage) -> None:
    """The next call may try."""
    stage.first.script(FIRST_MODEL, Status(500), Status(500), Silence(), Answer())
    async with Router.from_mapping(config(stage, more=health(consecutive_failures=2))) as router:
        await ask(router, form)
        await until_half_open()
        async with anyio.create_task_group() as group:
            group.start_soon(ask, router, form)
            await anyio.to_thread.run_sync(stage.first.wait_for, 3)
            group.cancel_scope.cancel()
        got = await ask(router, form)

    assert got.routes == ["first"]


async def test_a_stream_s_probe_is_decided_when_it_is_committed(stage: Stage) -> None:
    """Not at its end, which may be minutes off: others are answered by the route meanwhile."""
    stage.first.script(FIRST_MODEL, Status(500), Status(500), StreamOf(chunks=["a"] * 9, interval=0.2), Answer())
    async with Router.from_mapping(config(stage, more=health(consecutive_failures=2))) as router:
        await ask(router, Form("async"))
        await until_half_open()
        scope = router.scope()
        stream: Any = await scope.async_openai.chat.completions.create(
            model="both", messages=[{"role": "user", "content": "Hi"}], stream=True
        )
        got = await ask(router, Form("async"))
        await stream.close()

    assert got.routes == ["first"]


@each_client
async def test_a_stream_that_breaks_after_it_began_is_a_failure_of_its_route(form: Form, stage: Stage) -> None:
    """Five of them in a row open it."""
    form = Form(form.client, stream=True)
    stage.first.script_all(StreamOf(chunks=["a", "b"], cut_after=1))
    async with Router.from_mapping(config(stage, more=health(**LONG))) as router:
        for _ in range(5):
            broken = await ask(router, form)
            assert broken.error is not None
        assert (await ask(router, form)).routes == ["second"]


@each_form
async def test_a_refused_key_opens_all_routes_of_its_account(form: Form, stage: Stage) -> None:
    """Of both providers that are declared to be one."""
    stage.first.script_all(Status(401))
    mapping: Any = config(stage, more=health())
    mapping["providers"]["twin"] = {**mapping["providers"]["first-provider"], "account": "first-provider"}
    mapping["routes"]["twin"] = {"provider": "twin", "model": "model-twin"}
    mapping["tasks"]["twin"] = {"primary": "twin", "equivalent": "second"}
    async with Router.from_mapping(mapping) as router:
        await ask(router, form)
        got = await ask(router, form, "twin")

    assert got.routes == ["second"]
    assert stage.first.request_count == 1


@each_form
async def test_a_429_closes_a_route_to_new_calls_and_not_to_the_call_that_waited(form: Form, stage: Stage) -> None:
    """The one that met it waits its turn and tries again; one that comes meanwhile goes elsewhere."""
    stage.first.script(FIRST_MODEL, Status(429), Answer())
    numbers = health(throttle_duration="5s")
    async with Router.from_mapping(config(stage, more=numbers)) as router:
        waited = await ask(router, form)
        stage.first.script(FIRST_MODEL, Status(429, retry_after=5), Answer())
        limited = await ask(router, form)
        other = await ask(router, form)
        alone = await ask(router, form, "alone")

    assert waited.routes == ["first", "first"]
    assert limited.routes == ["first", "second"]
    assert other.routes == ["second"]
    assert alone.routes == ["first"], "the last route is not worse than the plain SDK"


@each_client
async def test_one_caller_s_requests_open_nothing(form: Form, stage: Stage) -> None:
    """However often they are refused."""
    stage.first.script_all(Status(400, error={"code": "invalid_prompt"}))
    async with Router.from_mapping(config(stage, more=health())) as router:
        for _ in range(12):
            await ask(router, form)
        stage.first.script_all(Answer())
        assert (await ask(router, form)).routes == ["first"]


@each_form
@pytest.mark.parametrize("throttle", [True, False])
async def test_sensitive_calls_meet_open_routes_too_and_go_nowhere_else(
    form: Form, stage: Stage, throttle: bool
) -> None:
    """Its one approved route is asked although it is open for others, and no other is; unless it is to be refused."""
    stage.first.script_all(Status(500))
    sensitive = {"sensitive": {"payment": {"routes": ["first"]}}}
    numbers = health(**LONG, throttle=throttle)
    async with Router.from_mapping(config(stage, more={**numbers, **sensitive})) as router:
        for _ in range(3):
            await ask(router, form)
        got = await ask_in(router.scope(sensitive="payment"), form)
        stage.first.script_all(Answer())
        after = await ask_in(router.scope(sensitive="payment"), form)

    assert isinstance(got.error, RoutingError)
    assert type(got.error).__name__ == "FailClosed"
    assert got.routes == (["first"] * 3 if throttle else [])
    assert after.routes == (["first"] if throttle else [])


@pytest.mark.parametrize(
    "behaviour", [Status(500), Status(429), Status(503, retry_after=0.01), Close("before_headers")]
)
async def test_in_a_total_outage_retries_are_a_small_part_of_the_calls(behaviour: Any, stage: Stage) -> None:
    """With breakers off: what the retry budget alone keeps back, while another route is left."""
    for provider in (stage.first, stage.second):
        provider.script_all(behaviour)
    async with Router.from_mapping(config(stage, more={"router": {"health": {"breakers": False}}})) as router:

        async def many() -> None:
            for _ in range(25):
                await ask(router, Form("async"))

        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(many)
    assert 200 <= stage.first.request_count <= 215, "two hundred calls, five retries, and what came back meanwhile"
    assert stage.second.request_count <= 3 * 200 + 8, "the last route, as often as the plain SDK"


async def test_requests_at_a_time_are_held_to_the_config_s_cap_in_turn(stage: Stage) -> None:
    """They wait for each other, within patience, and none is lost."""
    stage.first.script_all(Answer(delay=0.05))
    mapping = config(stage, first_provider={"max_concurrency": 2}, task={"patience": "20s"})
    at_once: list[int] = []

    async def look() -> None:
        while True:
            at_once.append(stage.first.in_flight)
            await anyio.sleep(0.005)

    async with Router.from_mapping(mapping) as router, anyio.create_task_group() as group:
        group.start_soon(look)
        got = await asyncio.gather(*(ask(router, form) for form in WHOLE * 5))
        group.cancel_scope.cancel()

    assert all(answered.routes == ["first"] for answered in got)
    assert max(at_once) == 2


async def test_a_place_that_a_call_waited_for_in_vain_is_free_again(stage: Stage) -> None:
    """The route was opened while it waited, and there is no other: it goes nowhere, and the next one may go."""
    stage.first.script(FIRST_MODEL, SlowHeaders(0.2, then=Status(500)), Answer())
    mapping = config(stage, first_provider={"max_concurrency": 1}, more=health(consecutive_failures=1, throttle=False))
    async with Router.from_mapping(mapping) as router:
        failed = await asyncio.gather(*(ask(router, Form("async"), "alone") for _ in range(3)))
        await until_half_open()
        got = [await ask(router, Form("async"), "alone") for _ in range(2)]

    assert [len(one.call.attempts) for one in failed] == [1, 0, 0]
    assert [one.routes for one in got] == [["first"], ["first"]]


async def test_a_call_that_may_not_wait_for_a_cap_goes_on(stage: Stage) -> None:
    """With patience for no wait; and the place of a caller who went away is free again."""
    stage.first.script_all(Answer(delay=0.5))
    mapping = config(stage, first_provider={"max_concurrency": 1}, task={"patience": "0s"})
    async with Router.from_mapping(mapping) as router:
        first, second = await asyncio.gather(ask(router, Form("async")), ask(router, Form("async")))
        with anyio.move_on_after(0.1):
            await ask(router, Form("async"))
        third = await ask(router, Form("async"))

    assert sorted([first.routes[0], second.routes[0]]) == ["first", "second"]
    assert third.routes == ["first"]


async def test_a_flapping_provider_is_not_hammered(stage: Stage) -> None:
    """Up and down by turns: every call is answered, most attempts are not in vain."""
    stage.first.script_all(Flapping(0.2))
    async with Router.from_mapping(config(stage, more=health(break_duration="100ms"))) as router:
        got = [await ask(router, Form("async")) for _ in range(60)]
    assert all(answered.error is None for answered in got)


async def test_a_router_that_is_opened_again_remembers(stage: Stage) -> None:
    """Closing the app's router for a moment makes no provider well."""
    stage.first.script_all(Status(401))
    router = Router.from_mapping(config(stage, more=health(**LONG)))
    async with router:
        await ask(router, Form("async"))
    async with router:
        assert (await ask(router, Form("async"))).routes == ["second"]
