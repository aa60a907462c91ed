"""The README is true: its configs load, its examples run. So are the examples of the guides whose outcome matters."""

from __future__ import annotations

import logging
import re
import tomllib
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse

from lanewise import Config, Router, Scope
from lanewise.testing import Answer, Behaviour, FakeProvider, Status

ROOT = Path(__file__).parent.parent
README = "README.md"
GUIDES = "docs/guides"
MOST_LINES = 180


def blocks(page: str, language: str) -> list[str]:
    """A page's code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)


def block_with(page: str, language: str, text: str) -> str:
    """The one block of a page that has a text in it."""
    (found,) = (block for block in blocks(page, language) if text in block)
    return found


def test_the_readme_is_short() -> None:
    """It is read in a minute; the rest is the documentation's."""
    assert len((ROOT / README).read_text().splitlines()) <= MOST_LINES


def test_every_config_is_toml() -> None:
    """No block has a slip of the pen."""
    for block in blocks(README, "toml"):
        tomllib.loads(block)


def test_the_first_config_loads() -> None:
    """The config of the first screen is complete."""
    config = Config.from_mapping(tomllib.loads(block_with(README, "toml", "# lanewise.toml")))
    assert config.tasks["ticket-summary"].routes == ("flagship", "sonnet")


def test_the_smallest_config_loads() -> None:
    """One provider, one route, one task: three lines."""
    config = Config.from_mapping(tomllib.loads(block_with(f"{GUIDES}/config.md", "toml", "tasks.chat.primary")))
    assert config.tasks["chat"].routes == ("main",)


def test_the_example_of_a_test_runs(fake_provider: FakeProvider) -> None:
    """What the README shows of testing an app passes as it stands."""
    namespace: dict[str, object] = {}
    code = block_with(f"{GUIDES}/testing.md", "python", "test_summaries_survive_an_outage")
    exec(compile(code, "testing.md", "exec"), namespace)
    test = namespace["test_summaries_survive_an_outage"]
    assert callable(test)
    test(fake_provider)


@pytest.mark.anyio
async def test_the_first_example_runs(
    fake_provider: FakeProvider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The code of the first screen runs, with its config's providers on loopback."""
    monkeypatch.setenv("OPENAI_API_KEY", "k1")
    monkeypatch.setenv("OPENROUTER_API_KEY", "k2")
    config = block_with(README, "toml", "# lanewise.toml")
    config = config.replace("[providers.openai]", f'[providers.openai]\nbase_url = "{fake_provider.base_url}"')
    config = config.replace("https://openrouter.ai/api/v1", fake_provider.base_url)
    (tmp_path / "lanewise.toml").write_text(config)
    monkeypatch.chdir(tmp_path)
    code = block_with(README, "python", "scope.call_for(reply)\n")
    indented = "".join(f"    {line}\n" for line in code.splitlines())
    namespace: dict[str, object] = {}
    exec(compile(f"async def run():\n{indented}", "README.md", "exec"), namespace)
    await namespace["run"]()  # type: ignore[operator]
    assert "flagship primary" in capsys.readouterr().out


@pytest.mark.anyio
@pytest.mark.parametrize("unknown", ["none", "0199ac1e-0000-7000-8000-000000000000", "../etc", "'; --"])
async def test_an_unknown_case_is_not_found(unknown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoint that the guide shows for the Location of a 202 answers 404, and not 500."""
    monkeypatch.setenv("STORAGE_KEY", "a-key-of-at-least-32-characters-4711-abcdef")
    router = Router.from_mapping(
        {
            "router": {"ledger": f"sqlite:///{tmp_path}/ledger.db", "storage_key_env": "STORAGE_KEY"},
            "providers": {"p": {"base_url": "http://127.0.0.1:9/v1"}},
            "routes": {"flagship": {"provider": "p", "model": "m"}},
            "tasks": {"refund-decision": {"primary": "flagship", "sensitive": "payment"}},
            "sensitive": {"payment": {"routes": ["flagship"], "on_failure": "review"}},
        }
    )
    namespace: dict[str, Any] = {"router": router, "JSONResponse": JSONResponse}
    exec(
        compile(block_with(f"{GUIDES}/reviews.md", "python", "# what the Location names"), "reviews.md", "exec"),
        namespace,
    )
    async with router:
        answer = await namespace["review"](Request({"type": "http", "path_params": {"id": unknown}}))
    assert answer.status_code == 404


TOOLS = [{"type": "function", "function": {"name": "run_tests", "parameters": {"type": "object"}}}]
LANES = "[tasks.code]"
RECORDS = f"{GUIDES}/records-and-costs.md"


def lanes_router(provider: FakeProvider) -> Router:
    """The router of the example of three lanes, with all its providers on loopback."""
    config = tomllib.loads(block_with(f"{GUIDES}/three-lanes.md", "toml", LANES))
    for settings in config["providers"].values():
        settings.pop("api_key_env", None)
        settings |= {"base_url": provider.base_url, "api_key": "none"}
    return Router.from_mapping(config)


async def routes_for(router: Router, client: str, task: str, text: str, **options: Any) -> list[str]:
    """The routes that a call of this text tries."""
    messages: Any = [{"role": "user", "content": text}]
    with router.scope() as scope:
        if client == "sync":
            create = scope.openai.chat.completions.create
            await anyio.to_thread.run_sync(lambda: create(model=task, messages=messages, **options))
        else:
            await scope.async_openai.chat.completions.create(model=task, messages=messages, **options)
    return routes_tried(scope)


def routes_tried(scope: Scope) -> list[str]:
    """The routes of the scope's last call."""
    return [attempt.route for attempt in scope.calls[-1].attempts]


@pytest.mark.anyio
@pytest.mark.parametrize("client", ["async", "sync"])
@pytest.mark.parametrize(
    ("failing", "tried"),
    [
        ({}, ["flagship"]),
        ({"gpt-5.5": Status(401)}, ["flagship", "sonnet"]),
        ({"gpt-5.5": Answer("x" * 2001)}, ["flagship", "sonnet"]),
        ({"gpt-5.5": Status(429, retry_after=30), "claude-sonnet-4-6": Status(529)}, ["flagship", "sonnet", "mini"]),
    ],
    ids=["well", "refused", "too-long", "both-down"],
)
async def test_the_support_summarizer_falls_back_as_told(
    client: str, failing: dict[str, Behaviour], tried: list[str], fake_provider: FakeProvider
) -> None:
    """The lanes in their order, and an answer that is too long is none."""
    for model, behaviour in failing.items():
        fake_provider.script(model, behaviour)
    async with lanes_router(fake_provider) as router:
        assert await routes_for(router, client, "ticket-summary", "My kettle broke.") == tried


@pytest.mark.anyio
@pytest.mark.parametrize("client", ["async", "sync"])
async def test_the_coding_agent_falls_back_as_told(client: str, fake_provider: FakeProvider) -> None:
    """By context length, tool support and cost."""
    async with lanes_router(fake_provider) as router:
        long = "def f(x):\n    return x + 1\n" * 120_000
        assert await routes_for(router, client, "code", long) == ["sonnet"]
        assert await routes_for(router, client, "code", "Fix the test.", tools=TOOLS) == ["flagship"]
        assert await routes_for(router, client, "code", "What does zip() do?") == ["coder"]
        fake_provider.script("qwen3-coder", Status(401))
        assert await routes_for(router, client, "code", "What does map() do?") == ["coder", "mini"]
        for model in ("gpt-5.5", "claude-sonnet-4-6"):
            fake_provider.script(model, Status(429, retry_after=30))
        assert await routes_for(router, client, "code", "Fix the test.", tools=TOOLS) == ["flagship", "sonnet", "mini"]


@pytest.mark.anyio
@pytest.mark.parametrize("client", ["async", "sync"])
async def test_the_providers_word_on_context_length_moves_the_coding_agent_too(
    client: str, fake_provider: FakeProvider
) -> None:
    """The lane of the larger window lists it."""
    fake_provider.script("gpt-5.5", Status(400, error={"code": "context_length_exceeded"}))
    async with lanes_router(fake_provider) as router:
        assert await routes_for(router, client, "code", "Fix it.", tools=TOOLS) == ["flagship", "sonnet"]


@pytest.mark.anyio
async def test_the_examples_of_records_run(fake_provider: FakeProvider, capsys: pytest.CaptureFixture[str]) -> None:
    """The log as JSON, a hook, a sink and a score: as they stand, around one call."""
    mapping = tomllib.loads(block_with(RECORDS, "toml", "opentelemetry"))
    config = {
        **mapping,
        "providers": {"p": {"base_url": fake_provider.base_url}},
        "routes": {"main": {"provider": "p", "model": "gpt-5.5"}, "spare": {"provider": "p", "model": "gpt-5.5-mini"}},
        "tasks": {name: {"primary": "main", "degraded": "spare"} for name in ("chat", "ticket-summary")},
    }
    router = Router.from_mapping(config)
    logger = logging.getLogger("lanewise")
    try:
        run("dictConfig", {})
        run("@router.on_call", {"router": router})
        async with router:
            with router.scope(request_id="req-2026-000042", start="degraded") as scope:
                await scope.async_openai.chat.completions.create(model="chat", messages=[])
            run("router.score(", {"router": router, "call": scope.calls[-1]})
            run("attempt.cost_status", {"scope": scope, "messages": [{"role": "user", "content": "Hello"}]})
    finally:
        logger.handlers.clear()
        logger.setLevel(logging.NOTSET)
    printed = capsys.readouterr().out
    assert "req-2026-000042 had a degraded answer from spare" in printed
    assert "Score(" in printed
    assert '"outcome": "answered"' in printed


def run(text: str, namespace: dict[str, object]) -> None:
    """Run the one block of that page that has a text in it."""
    exec(compile(block_with(RECORDS, "python", text), RECORDS, "exec"), namespace)
