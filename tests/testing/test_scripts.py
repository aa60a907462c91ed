"""Which behaviour comes next, and those that depend on what came before."""

from __future__ import annotations

import openai
import pytest

import lanewise.testing
from lanewise.testing import (
    Answer,
    Behaviour,
    Cycle,
    Drip,
    FakeProvider,
    Flapping,
    Received,
    RejectParameters,
    RequestQuota,
    Status,
    TokenQuota,
)
from lanewise.testing import scripts as scripts_module
from lanewise.testing.journal import ReceivedHeaders
from lanewise.testing.scripts import Scripts


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(scripts_module, "time", self)

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def asking(body: bytes = b'{"model": "m"}') -> Received:
    return Received(
        at=0,
        number=1,
        connection=1,
        method="POST",
        target="/v1/chat/completions",
        headers=ReceivedHeaders([]),
        body=body,
    )


def status_of(scripts: Scripts, received: Received | None = None) -> int:
    behaviour = scripts.next(received or asking()).behaviour
    return behaviour.status if isinstance(behaviour, Status) else 200


def test_a_script_goes_on_with_each_request_and_its_last_behaviour_repeats(
    fake_provider: FakeProvider, client: openai.OpenAI
) -> None:
    """Models don't share their position."""
    fake_provider.script("m", Answer("1"), Answer("2"))
    fake_provider.script("n", Answer("n"))
    texts = [client.chat.completions.create(model=model, messages=[]).choices[0].message.content for model in "mnmm"]
    assert texts == ["1", "n", "2", "2"]


def test_paths_go_before_models_and_models_before_all() -> None:
    """The most specific script speaks."""
    scripts = Scripts()
    scripts.set(None, [Status(500)])
    assert status_of(scripts) == 500
    scripts.set("m", [Status(501)])
    assert status_of(scripts) == 501
    scripts.set("/chat/completions", [Status(502)])
    assert status_of(scripts) == 502


def test_a_callable_decides_by_the_request(fake_provider: FakeProvider, client: openai.OpenAI) -> None:
    """It gets the request and returns a behaviour."""

    def echo(received: Received) -> Behaviour:
        return Answer(str(received.json["temperature"]))

    fake_provider.script_all(echo)
    reply = client.chat.completions.create(model="m", messages=[], temperature=0.5)
    assert reply.choices[0].message.content == "0.5"


def test_what_a_callable_raises_is_raised_when_the_provider_stops() -> None:
    """The request gets a 500, the test gets the error."""

    def broken(received: Received) -> Behaviour:
        raise LookupError("not found")

    provider = FakeProvider()
    provider.start()
    provider.script_all(broken)
    client = openai.OpenAI(base_url=provider.base_url, api_key="k", max_retries=0)
    with client, pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="m", messages=[])
    with pytest.raises(LookupError, match="not found"):
        provider.stop()
    provider.stop()


def test_a_script_needs_behaviours() -> None:
    """At least one, and nothing else."""
    with pytest.raises(ValueError, match="at least one"):
        Scripts().set("m", [])
    with pytest.raises(TypeError, match="not of int"):
        Scripts().set("m", [429])  # type: ignore[list-item]


def test_reset_forgets_scripts_and_journal(fake_provider: FakeProvider, client: openai.OpenAI) -> None:
    """As new."""
    fake_provider.script("m", Status(500))
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="m", messages=[])
    fake_provider.reset()
    assert fake_provider.journal == []
    assert client.chat.completions.create(model="m", messages=[]).id == "chatcmpl-1"


def test_flapping_goes_up_and_down_by_time(clock: Clock) -> None:
    """From the moment it was scripted, whenever the first request comes."""
    scripts = Scripts()
    scripts.set("m", [Flapping(10, down=Status(502))])
    seen = []
    for clock.now in (109, 111, 119, 121, 131):
        seen.append(status_of(scripts))
    assert seen == [200, 502, 502, 200, 502]


def test_a_cycle_starts_again() -> None:
    """Also inside another behaviour."""
    scripts = Scripts()
    scripts.set("m", [Cycle((Answer(), Cycle((Status(500), Status(502)))))])
    assert [status_of(scripts) for _ in range(6)] == [200, 500, 200, 502, 200, 500]


def test_a_quota_of_requests_ends_and_comes_back(clock: Clock) -> None:
    """429 with Retry-After until the window has passed."""
    scripts = Scripts()
    scripts.set("m", [RequestQuota(2, window=10)])
    first = scripts.next(asking())
    assert first.headers["x-ratelimit-remaining-requests"] == "1"
    assert status_of(scripts) == 200
    clock.now += 8.5
    limited = scripts.next(asking())
    assert isinstance(limited.behaviour, Status)
    assert (limited.behaviour.status, limited.behaviour.retry_after) == (429, 2)
    assert limited.headers["retry-after-ms"] == "1500"
    assert limited.headers["x-ratelimit-reset-requests"] == "1.500s"
    clock.now += 1.5
    assert status_of(scripts) == 200


def test_a_quota_of_tokens_counts_the_usage_of_the_answer(clock: Clock) -> None:
    """One object in two scripts is one quota; what could never fit is said to be too large."""
    scripts = Scripts()
    quota = TokenQuota(30, then=Answer(usage=(10, 5)))
    scripts.set("m", [quota])
    scripts.set("n", [quota])
    n = asking(b'{"model": "n"}')
    assert [status_of(scripts), status_of(scripts, n), status_of(scripts), status_of(scripts, n)] == [
        200,
        200,
        429,
        429,
    ]
    scripts.set("m", [TokenQuota(30, then=Answer(usage=None))])
    large = scripts.next(asking(b'{"model": "m", "input": "%s"}' % (b"x" * 200))).behaviour
    assert isinstance(large, Status)
    assert "too large" in str((large.error or {})["message"])


def test_a_quotas_headers_reach_the_client(fake_provider: FakeProvider, client: openai.OpenAI) -> None:
    """On good answers and on refused ones."""
    fake_provider.script("m", RequestQuota(1, window=30))
    good = client.chat.completions.with_raw_response.create(model="m", messages=[])
    assert good.headers["x-ratelimit-remaining-requests"] == "0"
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="m", messages=[])
    assert 0 < int(caught.value.response.headers["retry-after"]) <= 30


@pytest.mark.parametrize(
    ("style", "status", "says"),
    [
        ("openai", 400, '"code":"unsupported_parameter"'),
        ("gemini", 400, 'Unknown name \\"seed\\"'),
        ("mistral", 422, '"type":"extra_forbidden"'),
        ("anthropic", 400, "seed: Extra inputs are not permitted"),
    ],
)
def test_a_parameter_is_refused_in_the_words_of_a_provider(
    fake_provider: FakeProvider, client: openai.OpenAI, style: str, status: int, says: str
) -> None:
    """Only while the body has it."""
    fake_provider.script("m", RejectParameters(("temperature", "seed"), style=style))  # type: ignore[arg-type]
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model="m", messages=[], seed=1)
    assert caught.value.status_code == status
    assert says in caught.value.response.text
    assert client.chat.completions.create(model="m", messages=[]).choices


def test_a_behaviour_around_another_waits_for_what_that_decides() -> None:
    """A drip of a cycle drips what the cycle's turn is."""
    scripts = Scripts()
    scripts.set("m", [Drip(then=Cycle((Answer("a"), Answer("b"))))])
    turns = [scripts.next(asking()).behaviour for _ in range(2)]
    assert [turn.then for turn in turns if isinstance(turn, Drip)] == [Answer("a"), Answer("b")]


def test_the_packages_docstring_names_every_behaviour() -> None:
    """So that ``help(lanewise.testing)`` tells what a provider can be made to do."""
    behaviours = [
        name
        for name in lanewise.testing.__all__
        if isinstance(found := getattr(lanewise.testing, name), type)
        and issubclass(found, Behaviour)
        and found is not Behaviour
    ]
    assert len(behaviours) > 15
    assert [name for name in behaviours if f"``{name}``" not in (lanewise.testing.__doc__ or "")] == []
