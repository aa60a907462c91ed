"""What a request leaves behind: nothing. All of it is freed as soon as it is over, by its count of references.

What refers to itself waits for the garbage collector, with all that hangs on it: the task, the body, the answer.
"""

from __future__ import annotations

import asyncio
import gc
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from endpoint.stage import KEY, Stage
from lanewise._runtime.messages import RoutedRequest
from lanewise.router import scopes_of
from lanewise.testing import Answer, Status
from lanewise.web import OpenAIEndpoint
from lanewise.web.openai_endpoint.asgi_endpoint import HANG_UPS
from two_providers import MESSAGES

QUESTION = {"model": "chat", "messages": MESSAGES}
CALL = RoutedRequest("POST", "chat/completions", "", (), json.dumps(QUESTION).encode())


async def left_by(ask: Callable[[], Awaitable[object]]) -> Counter[str]:
    """The objects of ours that some requests leave for the garbage collector."""
    for _ in range(2):
        await ask()  # what is made once, and then kept
    gc.collect()
    gc.freeze()  # what is there already need not be looked through each time
    try:
        # threads of earlier tests may leave something meanwhile, but not each time
        return min([await _left_by(ask) for _ in range(3)], key=Counter.total)
    finally:
        gc.unfreeze()


async def _left_by(ask: Callable[[], Awaitable[object]]) -> Counter[str]:
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for _ in range(2):
            await ask()
        await asyncio.sleep(0)  # the callbacks of tasks that are done
        gc.collect()
        kinds = [type(each) for each in gc.garbage]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    ours = [kind for kind in kinds if kind.__module__.partition(".")[0] == "lanewise"]
    return Counter(kind.__qualname__ for kind in ours if not kind.__module__.startswith("lanewise.testing"))


async def request(app: Any, body: dict[str, object], *, path: str, key: str = KEY, **extensions: object) -> int:
    """One request, as a server makes it of what its connection sends. Its status."""
    messages = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]
    statuses: list[int] = []

    async def receive() -> dict[str, object]:
        if messages:
            return messages.pop()
        return await asyncio.get_running_loop().create_future()  # the caller stays

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    headers = [(b"authorization", b"Bearer " + key.encode()), (b"content-type", b"application/json")]
    asgi = {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "root_path": "",
        "query_string": b"", "headers": headers, "extensions": extensions, "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2), "scheme": "http", "http_version": "1.1",
    }  # fmt: skip
    await app(asgi, receive, send)
    return statuses[0]


REQUESTS: dict[str, tuple[dict[str, object], str, str, int]] = {
    "a whole answer": (QUESTION, "/chat/completions", KEY, 200),
    "a stream": ({**QUESTION, "stream": True}, "/chat/completions", KEY, 200),
    "an unknown task": ({**QUESTION, "model": "none"}, "/chat/completions", KEY, 404),
    "an unknown path": (QUESTION, "/nothing", KEY, 404),
    "a wrong key": (QUESTION, "/chat/completions", "lw_wrong", 401),
}


@pytest.mark.anyio
@pytest.mark.parametrize("told", [True, False], ids=["a server that tells of hang-ups", "any server"])
@pytest.mark.parametrize("kind", REQUESTS)
async def test_a_request_of_the_endpoint_leaves_nothing(stage: Stage, kind: str, told: bool) -> None:
    """Neither for the garbage collector, nor with its connection, over which the next one comes."""
    body, path, key, status = REQUESTS[kind]
    connection: list[object] = []
    extensions = {HANG_UPS: connection} if told else {}
    async with stage.router() as router:
        app = OpenAIEndpoint(router)

        async def ask() -> None:
            assert await request(app, body, path=path, key=key, **extensions) == status

        assert await left_by(ask) == {}
    assert connection == []


@pytest.mark.anyio
@pytest.mark.parametrize("fails", [None, 503])
async def test_a_call_over_a_wire_leaves_nothing(stage: Stage, fails: int | None) -> None:
    """Also one that its first route did not answer: no timer, no time-out and no task of it."""
    if fails is not None:
        stage.first.script_all(Status(fails))
    stage.second.script_all(Answer("fine"))
    async with stage.router() as router:

        async def ask() -> None:
            await scopes_of(router).ask(CALL, router.scope())

        assert await left_by(ask) == {}
