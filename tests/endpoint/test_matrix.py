"""Real clients over real sockets to real servers: the table of docs/endpoint.md, cell by cell (--slow)."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest

from busy_machine import LONG_ENOUGH
from endpoint.stage import KEY, TASKS, digest
from lanewise.testing import Answer, FakeProvider, Status, StreamOf, ToolCall

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

HERE = Path(__file__).parent
DOCS = HERE.parent.parent / "docs" / "endpoint.md"
SERVERS = ("uvicorn", "hypercorn", "gunicorn gthread")
CLIENTS = ("curl", "openai for Node", "Vercel AI SDK", "openai for Python")
CASES = ("whole", "stream", "tools", "json", "error", "hang-up", "broken", "wrong key", "models")
TEXT = "Hello from model-chat"
Results = dict[str, dict[str, Any]]


def command(server: str) -> list[str]:
    """How a server is started on a port of its own choice."""
    own_port = ["--bind", "127.0.0.1:0"]
    return {
        "uvicorn": ["uvicorn", "endpoint.served:app", "--port", "0"],
        "hypercorn": ["hypercorn", "endpoint.served:app", *own_port],
        "gunicorn gthread": ["gunicorn", "endpoint.served:flask_app", "-k", "gthread", "--threads", "4", *own_port],
    }[server]


@contextmanager
def served(server: str, provider: FakeProvider) -> Iterator[str]:
    """The address of the endpoint under a server."""
    environ = {**os.environ, "PROVIDER_URL": provider.base_url, "CLIENT_DIGEST": digest(KEY)}
    environ["PYTHONPATH"] = str(HERE.parent)
    process = subprocess.Popen(
        [sys.executable, "-m", *command(server)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environ,
        cwd=HERE.parent,
    )
    assert process.stdout is not None
    said: list[str] = []
    listens = threading.Event()

    def read() -> None:
        for line in process.stdout or ():
            said.append(line)
            if re.search(r"http://127\.0\.0\.1:\d+", line):
                listens.set()
        listens.set()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        assert listens.wait(60), said
        found = next((match for line in said if (match := re.search(r"http://127\.0\.0\.1:\d+", line))), None)
        assert found is not None, said
        yield f"{found[0]}/ai/v1"
    finally:
        process.terminate()
        try:
            process.wait(LONG_ENOUGH)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join()
        process.stdout.close()
    assert not [line for line in said if KEY in line or "canary" in line]


def script(provider: FakeProvider) -> None:
    """What each task meets."""
    provider.script("model-tools", Answer("", tool_calls=[ToolCall("look_up", "{}")]))
    provider.script("model-json", Answer('{"n":1}'))
    provider.script("model-error", Status(500))
    provider.script("model-slow", StreamOf(chunks=["word "], stall_after=1))
    provider.script("model-broken", StreamOf(chunks=["one ", "two "], cut_after=1))


@pytest.fixture(scope="module", params=SERVERS)
def place(request: pytest.FixtureRequest) -> Iterator[tuple[str, FakeProvider]]:
    """A server's endpoint, and the provider behind it."""
    with FakeProvider() as provider:
        script(provider)
        with served(request.param, provider) as url:
            yield url, provider


@pytest.fixture(scope="module")
def node_modules() -> Path:
    """The newest Node clients, installed in their own folder."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("there is no Node here: its clients are not tested")
    folder = HERE / "node"
    install = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"npm could not install the clients: {done.stderr.strip().splitlines()[-1]}")
    return folder


def by_node(folder: Path, name: str, url: str) -> Results:
    done = subprocess.run(["node", name, url, KEY], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found: Results = json.loads(done.stdout)
    return found


def curl(url: str, path: str, *options: str, key: str = KEY, **body: Any) -> tuple[int, int, str]:
    """One request: curl's exit code, the status and the body."""
    asked = ["-H", "Content-Type: application/json", "-d", json.dumps(body)] if body else []
    line = ["curl", "-sS", "-N", "-w", "\n%{http_code}", "-H", f"Authorization: Bearer {key}", *asked, *options]
    done = subprocess.run([*line, f"{url}/{path}"], capture_output=True, text=True, timeout=60)
    text, _, status = done.stdout.rpartition("\n")
    return done.returncode, int(status or 0), text


def by_curl(url: str) -> Results:
    """Each case as a shell would make it."""
    if shutil.which("curl") is None:
        pytest.skip("there is no curl here")
    messages = [{"role": "user", "content": "Hello?"}]

    def ask(model: str, *options: str, **more: Any) -> dict[str, Any]:
        code, status, text = curl(url, "chat/completions", *options, model=model, messages=messages, **more)
        if code == 28:
            return {"text": "left"}
        if status != 200:
            return {"raised": "curl", "status": status, "code": json.loads(text)["error"]["code"]}
        if not more.get("stream"):
            message = json.loads(text)["choices"][0]["message"]
            calls = message.get("tool_calls")
            function = calls[0]["function"] if calls else None
            return {"text": f"{function['name']} {function['arguments']}" if function else message["content"]}
        events = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
        last = events[-1]
        if last != "[DONE]":
            return {"raised": "curl", "status": None, "code": json.loads(last)["error"]["code"]}
        parts = [json.loads(event)["choices"] for event in events[:-1]]
        return {"text": "".join(choices[0]["delta"].get("content") or "" for choices in parts if choices)}

    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}}
    _, refused, text = curl(url, "models", key="lw_wrong")
    _, _, models = curl(url, "models")
    return {
        "whole": ask("chat"),
        "stream": ask("chat", stream=True),
        "tools": ask("tools", tools=TOOLS),
        "json": ask("json", response_format=wanted),
        "error": ask("error"),
        "broken": ask("broken", stream=True),
        "hang-up": ask("slow", "--max-time", "2", stream=True),
        "wrong key": {"raised": "curl", "status": refused, "code": json.loads(text)["error"]["code"]},
        "models": {"text": " ".join(model["id"] for model in json.loads(models)["data"])},
    }


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
TOOLS: Any = [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}]


def by_python(url: str) -> Results:
    """Each case with the official client."""
    messages: Any = [{"role": "user", "content": "Hello?"}]
    with openai.OpenAI(base_url=url, api_key=KEY) as client, openai.OpenAI(base_url=url, api_key="lw_wrong") as wrong:
        create: Any = client.chat.completions.create

        def joined(model: str) -> str:
            chunks = create(model=model, messages=messages, stream=True)
            return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)

        def called() -> str:
            function = create(model="tools", messages=messages, tools=TOOLS).choices[0].message.tool_calls[0].function
            return f"{function.name} {function.arguments}"

        def left() -> str:
            with create(model="slow", messages=messages, stream=True) as chunks:
                next(chunk for chunk in chunks if chunk.choices and chunk.choices[0].delta.content)
            return "left"

        wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}}
        cases: dict[str, Callable[[], Any]] = {
            "whole": lambda: create(model="chat", messages=messages).choices[0].message.content,
            "stream": lambda: joined("chat"),
            "tools": called,
            "json": lambda: create(model="json", messages=messages, response_format=wanted).choices[0].message.content,
            "error": lambda: create(model="error", messages=messages),
            "broken": lambda: joined("broken"),
            "hang-up": left,
            "wrong key": wrong.models.list,
            "models": lambda: " ".join(model.id for model in client.models.list()),
        }
        results: Results = {}
        for name, run in cases.items():
            try:
                results[name] = {"text": run()}
            except openai.APIError as error:
                status = getattr(error, "status_code", None)
                results[name] = {"raised": type(error).__name__, "status": status, "code": error.code}
    return results


@pytest.mark.parametrize("client", CLIENTS)
def test_each_case_of_a_client(place: tuple[str, FakeProvider], client: str, request: pytest.FixtureRequest) -> None:
    """It gets what an OpenAI client gets of OpenAI, and errors as its own errors."""
    url, provider = place
    left_before = len([each for each in provider.requests("model-slow") if each.client_gone])
    errors_before = len(provider.requests("model-error"))
    if client == "curl":
        found = by_curl(url)
    elif client == "openai for Python":
        found = by_python(url)
    else:
        folder = request.getfixturevalue("node_modules")
        found = by_node(folder, {"openai for Node": "openai.mjs", "Vercel AI SDK": "vercel.mjs"}[client], url)
    assert found["whole"] == {"text": TEXT}
    assert found["stream"] == {"text": TEXT}
    assert found["tools"] == {"text": "look_up {}"}
    assert json.loads(found["json"]["text"]) == {"n": 1}
    assert (found["error"]["status"], found["error"]["code"]) == (503, "unavailable")
    assert 1 <= len(provider.requests("model-error")) - errors_before <= 4, "the client did not try again"
    assert found["broken"].get("raised"), found["broken"]
    assert (found["wrong key"]["status"], found["wrong key"]["code"]) == (401, "invalid_api_key")
    if client != "Vercel AI SDK":  # which has no list of models
        assert found["models"] == {"text": " ".join(TASKS)}
    assert found["hang-up"] == {"text": "left"}
    until = time.monotonic() + LONG_ENOUGH
    while len([each for each in provider.requests("model-slow") if each.client_gone]) <= left_before:
        assert time.monotonic() < until, "what is upstream was not closed"
        time.sleep(0.02)


def test_the_documented_table_is_what_is_tested() -> None:
    """Each client with each server in each case; only what a client does not have at all is left out."""
    rows = [[cell.strip() for cell in line.strip("|\n ").split("|")] for line in DOCS.read_text().splitlines()]
    title = ["client", "server", *CASES]
    cells = {(row[0], row[1]): dict(zip(CASES, row[2:], strict=True)) for row in rows if len(row) == len(title)}
    assert title in rows
    for client in CLIENTS:
        for server in SERVERS:
            missing = {name for name, said in cells[client, server].items() if said != "yes"}
            assert missing == ({"models"} if client == "Vercel AI SDK" else set())
