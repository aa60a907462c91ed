"""``lanewise serve``: the endpoint on its own, what orchestrators ask it, its end, and what is open to one machine."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx2
import pytest
from click.testing import CliRunner

from busy_machine import LONG_ENOUGH
from endpoint.stage import KEY, MESSAGES, Caller, Stage, digest, served_alone
from lanewise import Config, Router
from lanewise.cli import main
from lanewise.testing import Status, StreamOf
from lanewise.web.openai_endpoint.endpoint_core import EndpointCore
from lanewise.web.openai_endpoint.standalone import StandaloneApp

COMMAND = [sys.executable, "-c", "from lanewise.cli import main; main()"]


def config_file(stage: Stage, directory: Path, clients: str = "", more: str = "") -> Path:
    """A config on disk, as a person writes it."""
    path = directory / "lanewise.toml"
    path.write_text(
        f"""
        {more}
        [providers.one]
        base_url = "{stage.first.base_url}"
        [routes.first]
        provider = "one"
        model = "model-one"
        [tasks.chat]
        primary = "first"
        deadline = "20s"
        {clients}
        """
    )
    return path


def node() -> str:
    """A client of a config."""
    return f'[clients.node]\nkey = "{digest(KEY)}"'


class Served:
    """A process that serves. ``said`` is what it has written."""

    def __init__(self, path: Path, *options: str) -> None:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("LANEWISE_")}
        command = [*COMMAND, "serve", str(path), "--port", "0", *options]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environ)
        self._workers = int(options[options.index("--workers") + 1]) if "--workers" in options else 1
        self.said: list[str] = []
        self._listens = threading.Event()
        self.url = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        assert self._listens.wait(LONG_ENOUGH), self.said
        assert self.url, self.said

    def _read(self) -> None:
        assert self.process.stderr is not None
        starting = self._workers
        for line in self.process.stderr:
            self.said.append(line)
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                self.url = found[0]
            starting -= "startup complete" in line
            if self.url and not starting:
                self._listens.set()
        self._listens.set()

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(LONG_ENOUGH)
        finally:
            self.process.kill()
            self._reader.join()
            assert self.process.stderr is not None
            self.process.stderr.close()


@contextmanager
def alone(router: Router, *, is_open: bool = False) -> Iterator[Caller]:
    """The app of ``lanewise serve``, in a thread."""
    with served_alone(router, is_open=is_open) as url, closing(Caller(f"{url}/v1", None if is_open else KEY)) as caller:
        yield caller


def own(caller: Caller, path: str) -> httpx2.Response:
    """What stands beside the API."""
    return caller.http.get(caller.base_url.removesuffix("/v1") + path)


def test_the_api_is_under_v1(stage: Stage) -> None:
    """And beside it are two paths for orchestrators, which ask for no key."""
    with alone(stage.router()) as caller:
        assert caller.post().status_code == 200
        assert [each["id"] for each in caller.http.get("models").json()["data"]] == ["chat", "alone", "backup", "a/b"]
        stranger = caller.as_client(None)
        assert stranger.post().status_code == 401
        assert own(stranger, "/healthz").json() == {"status": "alive"}
        for path in ("/", "/chat/completions", "/v1", "/healthz/", "/metrics"):
            answer = own(caller, path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
        assert caller.http.post(caller.base_url.removesuffix("/v1") + "/healthz").status_code == 405


def test_a_provider_s_outage_takes_no_process_away(stage: Stage) -> None:
    """It is told, and the process stays ready."""
    stage.first.script_all(Status(401))
    with alone(stage.router(router={})) as caller:
        before = own(caller, "/readyz")
        assert before.json() == {
            "status": "ready",
            "routes": {"first": "usable", "second": "usable"},
            "store": "memory",
        }
        caller.post()
        ready = own(caller, "/readyz")
        assert (ready.status_code, ready.json()["status"]) == (200, "ready")
        assert ready.json()["routes"] == {"first": "closed: auth, HTTP 401", "second": "usable"}
        assert ready.headers["cache-control"] == "no-store"


def test_a_process_that_has_not_started_is_not_ready(stage: Stage) -> None:
    """Its own state makes it unready."""
    router = stage.router()
    with router, closing(Caller("http://x/v1")) as caller:
        app = StandaloneApp(router, EndpointCore.of(router, None))
        transport = httpx2.ASGITransport(app)

        async def ask() -> httpx2.Response:
            async with httpx2.AsyncClient(transport=transport, base_url="http://x") as client:
                return await client.get("/readyz")

        import anyio

        answer = anyio.run(ask)
        assert (answer.status_code, answer.json()["status"]) == (503, "starting")
        assert caller


def test_sigterm_lets_streams_come_to_their_end(stage: Stage, tmp_path: Path) -> None:
    """And then the process ends."""
    stage.first.script_all(StreamOf(chunks=[f"{n} " for n in range(20)], interval=0.1))
    process = Served(config_file(stage, tmp_path, node()))
    try:
        with (
            closing(Caller(f"{process.url}/v1")) as caller,
            caller.http.stream(
                "POST", "chat/completions", json={"model": "chat", "messages": MESSAGES, "stream": True}
            ) as answer,
        ):
            pieces = answer.iter_text()
            first = next(pieces)
            process.process.send_signal(signal.SIGTERM)
            whole = first + "".join(pieces)
        assert whole.endswith("data: [DONE]\n\n")
        assert process.process.wait(LONG_ENOUGH) in (0, -signal.SIGTERM)
    finally:
        process.stop()
    assert not [line for line in process.said if "Traceback" in line or KEY in line or "canary" in line]


def test_garbage_is_collected_rarely_and_for_good() -> None:
    """What was loaded is left out of the search, and what a request leaves behind is found all the same."""
    code = """
import gc, weakref
from lanewise.web.openai_endpoint.standalone import collect_garbage_rarely
collect_garbage_rarely()
assert gc.get_freeze_count() > 10_000
class Ring: pass
ring = Ring()
ring.ring = ring
gone = weakref.ref(ring)
del ring
held = [[] for _ in range(200_000)]
assert gone() is None
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_workers_serve_side_by_side(stage: Stage, tmp_path: Path) -> None:
    """And say that they share nothing where the config has no store."""
    process = Served(config_file(stage, tmp_path, node()), "--workers", "2")
    try:
        with closing(Caller(f"{process.url}/v1")) as caller:
            assert [caller.post().status_code for _ in range(6)] == [200] * 6
    finally:
        process.stop()
    assert [line for line in process.said if line.startswith('warning: 2 workers, and state = "memory"')]


@pytest.mark.parametrize(
    ("clients", "options", "code", "told"),
    [
        ("", [], 2, "[clients]"),
        ("[clients.web]", [], 2, "[clients]"),
        (node(), ["--open", "--host", "0.0.0.0"], 2, "this machine alone"),
        (node(), ["--open", "--host", "example.com"], 2, "this machine alone"),
        ('[clients.node]\nkey = "lw_canary"', [], 1, "clients.node.key"),
        (node(), ["--port", "70000"], 2, "70000"),
        (node(), ["--workers", "0"], 2, "--workers"),
    ],
)
def test_what_nobody_could_call_is_not_served(
    stage: Stage, tmp_path: Path, clients: str, options: list[str], code: int, told: str
) -> None:
    """Exit code 2, and the words that are missing; 1 where the config is wrong."""
    path = config_file(stage, tmp_path, clients)
    result = CliRunner().invoke(main, ["serve", str(path), *options])
    assert result.exit_code == code, result.output
    assert told in result.output
    assert "canary" not in result.output


def test_keys_that_are_unset_are_told_before_it_serves(stage: Stage, tmp_path: Path) -> None:
    """By the variable's name."""
    path = config_file(stage, tmp_path, node())
    path.write_text(path.read_text().replace("[routes.first]", 'api_key_env = "NO_SUCH_KEY"\n[routes.first]'))
    result = CliRunner().invoke(main, ["serve", str(path)])
    assert (result.exit_code, "NO_SUCH_KEY" in result.output) == (1, True)


# -- open to one machine -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def opened(standing: Stage) -> Iterator[Caller]:
    """What is open to this machine, without a key."""
    with alone(standing.router(clients={}), is_open=True) as caller:
        yield caller


def test_open_asks_for_no_key(opened: Caller, asked: Stage) -> None:
    """Under any name of this machine; every task that is not sensitive is there."""
    port = opened.base_url.split(":")[2].partition("/")[0]
    assert opened.post().status_code == 200
    assert [each["id"] for each in opened.http.get("models").json()["data"]] == ["chat", "alone", "backup", "a/b"]
    for host in (f"localhost:{port}", "LOCALHOST", "127.0.0.1", "127.9.9.9:1", f"[::1]:{port}"):
        assert opened.post(headers={"Host": host}).status_code == 200
    assert opened.post(headers={"Origin": "http://localhost:3000"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "localhost.evil.example"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "127.0.0.1@evil.example"},
        {"Host": "evil.example#127.0.0.1"},
        {"Host": "localhost/evil"},
        {"Host": "localhost/"},
        {"Host": "localhost#evil.example"},
        {"Host": "localhost#"},
        {"Host": "localhost?evil.example"},
        {"Host": "@localhost"},
        {"Host": "local\thost"},
        {"Host": "localhost:65536"},
        {"Host": "[localhost]"},
        {"Host": "[127.0.0.1"},
        {"Host": "::1"},
        {"Host": ":@localhost"},
        {"Host": "2130706433"},
        {"Host": "192.168.0.1"},
        {"Host": "0.0.0.0"},
        {"Host": "[::]"},
        {"Host": "localhost:port"},
        {"Host": ""},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost/"},
        {"Origin": "http://localhost?evil.example"},
        {"Origin": "http://@localhost"},
        {"Origin": "http://localhost.evil.example"},
    ],
    ids=str,
)
def test_no_page_reaches_what_is_open(opened: Caller, asked: Stage, headers: dict[str, str]) -> None:
    """Its name for this machine is another (DNS rebinding), and a browser says where it is from."""
    answer = opened.post(headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "wrong_host")
    assert opened.http.get("models", headers=headers).status_code == 403
    assert asked.sent == 0


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "text/plain; application/json", "", "application/jsonx"]
)
def test_what_is_open_takes_json_alone(opened: Caller, asked: Stage, kind: str) -> None:
    """A page can send those without asking first, and JSON not."""
    body = json.dumps({"model": "chat", "messages": MESSAGES}).encode()
    assert opened.send(body, headers={"Content-Type": kind}).status_code == 415
    assert opened.http.request("OPTIONS", "chat/completions").status_code == 405
    assert opened.send(body, headers={"Content-Type": "application/json; charset=utf-8"}).status_code == 200
    assert asked.sent == 1


# -- keys --------------------------------------------------------------------------------------------------------------


def made_key(name: str, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """What is printed for a client's new key, and what is said of it: click's own runner mixes them, before 8.2."""
    main.main(["keys", "create", name], standalone_mode=False, terminal_width=20)
    return capsys.readouterr()


def test_keys_are_made_without_a_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One word, once; and the lines for the config, unwrapped, which have its digest alone."""
    monkeypatch.chdir(tmp_path)
    printed, said = made_key("node-backend", capsys)
    lines = printed.splitlines()
    key = lines[0]
    assert re.fullmatch(r"\w{60,}", key)
    assert lines[1:] == ["[clients.node-backend]", f'key = "sha256:{sha256(key.encode()).hexdigest()}"']
    assert (printed + said).count(key) == 1
    assert key not in made_key("node-backend", capsys)[0]
    assert list(tmp_path.iterdir()) == []


def test_what_is_printed_belongs_in_the_config(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As it is, also for a name that TOML quotes."""
    for name in ("node-backend", "team.a/b", "x:1"):
        printed = made_key(name, capsys)[0].partition("\n")[2]
        assert list(Config.from_file(config_file(stage, tmp_path, printed)).clients) == [name]


@pytest.mark.parametrize("name", ["", "two words", "x" * 65, '"', "[a]", "a\nb"])
def test_a_name_that_can_be_none_is_told(name: str) -> None:
    """Exit code 2."""
    assert CliRunner().invoke(main, ["keys", "create", name]).exit_code == 2


def test_the_config_of_a_served_app_shows_no_digest(stage: Stage) -> None:
    """Neither does a client of it."""
    shown: Any = repr(stage.router().config)
    assert digest(KEY) not in shown
