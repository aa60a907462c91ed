"""The OpenAPI document tells which operations are sensitive, and how they answer when nobody may."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from litestar import Litestar, get, post
from litestar.datastructures import ResponseHeader
from litestar.di import NamedDependency, Provide
from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.openapi.spec import Operation

from integrations.asgi_stage import Stage
from integrations.litestar.serving import make
from litestar_lanewise import RequestScope, RoutedClient, RoutedSyncClient, sensitive


def function() -> Any:
    async def handler(ai: RoutedClient, ai_scope: RequestScope) -> str:
        raise NotImplementedError

    return handler


def operations(app: Litestar) -> dict[str, Any]:
    """The operations of a document by their paths."""
    document = app.openapi_schema.to_schema()
    return {path: next(iter(item.values())) for path, item in document["paths"].items()}


def made(stage: Stage, *handlers: Any, **config: Any) -> dict[str, Any]:
    router = stage.router(**config)
    return operations(make(stage, *handlers, router=router, openapi_config=OpenAPIConfig("desk", "1")))


def test_marks_and_rules_are_told(stage: Stage) -> None:
    """With the problem that a call which fails closed is; the dependencies are nobody's parameters."""
    found = made(
        stage,
        get("/plain")(function()),
        post("/guarded", guards=[sensitive("payment"), sensitive("medical")])(function()),
        post("/decorated")(sensitive("payment")(function())),
        get(["/ruled/a", "/ruled/b"])(function()),
        endpoints={"/ruled/*": "medical"},
    )
    assert "x-lanewise-sensitive" not in found["/plain"]
    assert list(found["/plain"]["responses"]) == ["200", "422", "503", "504"]
    for status in ("422", "503", "504"):
        assert list(found["/plain"]["responses"][status]["content"]) == ["application/problem+json"]
    assert "504" not in found["/guarded"]["responses"], "a sensitive call fails closed, whatever by"
    assert found["/guarded"]["x-lanewise-sensitive"] == ["medical", "payment"]
    assert found["/decorated"]["x-lanewise-sensitive"] == ["payment"]
    assert found["/ruled/a"]["x-lanewise-sensitive"] == found["/ruled/b"]["x-lanewise-sensitive"] == ["medical"]
    assert list(found["/guarded"]["responses"]["503"]["content"]) == ["application/problem+json"]
    assert "202" not in found["/guarded"]["responses"]
    assert not any("parameters" in operation for operation in found.values())


async def summarizer(ai_sync: RoutedSyncClient) -> str:
    raise NotImplementedError


async def through_another(summarizer: NamedDependency[str]) -> str:
    raise NotImplementedError


NO_CALLS: dict[str, Callable[[], Any]] = {
    "nothing": lambda: get("/")(quiet),
    "a dependency of its own": lambda: get("/", dependencies={"other": Provide(quiet)})(with_other),
}
CALLS: dict[str, Callable[[], Any]] = {
    "a dependency that asks": lambda: get("/", dependencies={"summarizer": Provide(summarizer)})(with_summarizer),
    "through another": lambda: get(
        "/", dependencies={"summarizer": Provide(summarizer), "other": Provide(through_another)}
    )(with_other),
}


async def quiet() -> str:
    raise NotImplementedError


async def with_other(other: NamedDependency[str]) -> str:
    raise NotImplementedError


async def with_summarizer(summarizer: NamedDependency[str]) -> str:
    raise NotImplementedError


@pytest.mark.parametrize("case", [*CALLS, *NO_CALLS])
def test_only_what_asks_a_model_answers_like_it(case: str, stage: Stage) -> None:
    """Itself, or by what it depends on."""
    found = made(stage, {**CALLS, **NO_CALLS}[case]())
    assert ("503" in found["/"]["responses"], "504" in found["/"]["responses"]) == (case in CALLS, case in CALLS)


def test_a_review_is_told_where_nothing_forbids_it(stage: Stage) -> None:
    """``fail`` beats ``review``; an answer of the app's own with that status stays its own."""
    categories = {
        "review": {"routes": ["first"], "on_failure": "review"},
        "payment": {"routes": ["first"]},
    }
    found = made(
        stage,
        post("/review", guards=[sensitive("review")])(function()),
        post("/both", guards=[sensitive("review"), sensitive("payment")])(function()),
        post("/accepted", guards=[sensitive("review")], status_code=202)(function()),
        sensitive=categories,
        router={"ledger": "sqlite:///never-opened.db", "storage_key_env": "STORAGE_KEY"},
    )
    assert list(found["/review"]["responses"]["202"]["content"]) == ["application/problem+json"]
    assert "202" not in found["/both"]["responses"]
    assert list(found["/accepted"]["responses"]["202"]["content"]) == ["text/plain"]


def test_what_the_app_says_itself_stays(stage: Stage) -> None:
    """Its own answers, headers and class of operations."""

    @dataclass
    class Ours(Operation):
        def __post_init__(self) -> None:
            self.tags = ["ours"]

    responses = {503: ResponseSpec(dict[str, str], description="Ours")}
    guards = [sensitive("payment")]
    headers = [ResponseHeader(name="x-own", value="1")]
    handler = post(
        "/", guards=guards, responses=responses, operation_class=Ours, response_headers=headers
    )(function())  # fmt: skip
    [operation] = made(stage, handler).values()
    assert operation["responses"]["503"]["description"] == "Ours"
    assert (operation["tags"], operation["x-lanewise-sensitive"]) == (["ours"], ["payment"])
