"""Apps of all adapters under the servers that people run: ids, switching, broken streams, hang-ups, SIGTERM."""

from __future__ import annotations

import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from busy_machine import without_lag
from integrations.asgi_stage import Stage
from lanewise.testing import FakeProvider
from servers.around import STACKS
from servers.behaviours import BEHAVIOURS, Unnoticed
from servers.running import SERVERS, Running
from servers.table import KNOWN, page

PAGE = Path(__file__).parents[2] / "docs" / "servers.md"
QUICK = {("hypercorn", "fastapi")}
"""In ``make test``, where other tests do the same under uvicorn, gunicorn, werkzeug and waitress."""
CASES = [
    pytest.param(name, adapter, id=f"{name}-{adapter}", marks=() if (name, adapter) in QUICK else pytest.mark.slow)
    for name, kind in SERVERS.items()
    for adapter in kind.adapters
]
AROUND = [
    ("gunicorn gthread" if adapter == "flask" else "uvicorn", adapter, stack)
    for adapter, stacks in STACKS.items()
    for stack in stacks
]


@pytest.fixture
def stage() -> Iterator[Stage]:
    with FakeProvider() as first, FakeProvider() as second:
        yield Stage(first, second)


def try_all(name: str, adapter: str, stage: Stage, around: str = "") -> None:
    """Each check against one running server, the end of it last."""
    kind = SERVERS[name]
    if not kind.is_installed:
        pytest.skip(f"{name} is not installed here")
    urls = {"FIRST_URL": stage.first.base_url, "SECOND_URL": stage.second.base_url}
    server = Running(kind, ADAPTER=adapter, AROUND=around, **urls)
    try:
        for check, behaviour in BEHAVIOURS.items():
            stage.first.reset()
            stage.second.reset()
            if check == "SIGTERM" and (name, "streams") in KNOWN:  # of calls that go on nobody shall speak at the end
                server.close()
                server = Running(kind, ADAPTER=adapter, AROUND=around, **urls)
            before = len(server.log)
            if (name, check) in KNOWN:
                with pytest.raises(Unnoticed if behaviour.hang_up else OSError):
                    behaviour.run(server, stage, patience=2)
                continue
            behaviour.run(server, stage)
            if behaviour.quiet:
                time.sleep(0.3)  # for what the log says of it
                said = without_lag(server.log[before:])
                assert not [line for line in said if any(w in line for w in ("Traceback", "ERROR", "WARNING"))], said
    finally:
        server.close()


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("name", "adapter"), CASES)
def test_a_server_spoils_nothing(name: str, adapter: str, stage: Stage) -> None:
    """All that the page says of it: what it can't do, too."""
    try_all(name, adapter, stage)


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize(("name", "adapter", "around"), AROUND)
def test_what_lies_around_an_app_spoils_nothing(name: str, adapter: str, around: str, stage: Stage) -> None:
    """Middleware that passes answers on through tasks of its own, compresses them, or watches them."""
    if "sentry" in around and not (find_spec("sentry_sdk") and find_spec("opentelemetry.instrumentation")):
        pytest.skip("Sentry and OpenTelemetry's instrumentation are not installed here")
    try_all(name, adapter, stage, around)


def test_the_page_tells_what_is_tested() -> None:
    """docs/servers.md can't lie: ``make docs`` writes it anew."""
    assert PAGE.read_text(encoding="utf-8") == page()
