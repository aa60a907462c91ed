"""Ids that the app itself gives: used as they are, or by a digest that is the same each time."""

from __future__ import annotations

import re
from pathlib import Path
from uuid import UUID

import pytest

from lanewise import Config, ConfigError, InvalidCall, Router
from lanewise._routing.idempotency import accept_request_id
from router.driving import FORMS, Form, Stage, ask_in, config

IDS = ["job-7", "7", 7, "a job with spaces", "Größe", "x" * 500, "a/b?c", "\r\nX-Injected: 1", "job\0seven", "\udc80"]


@pytest.mark.anyio
@pytest.mark.parametrize("request_id", IDS, ids=repr)
async def test_an_odd_id_of_the_apps_own_is_the_same_each_time(request_id: str | int, stage: Stage) -> None:
    """A job that is tried again sends the same key, and so is not paid twice."""
    async with Router.from_mapping(config(stage)) as router:
        first, again = (router.scope(request_id=request_id) for _ in range(2))
        assert first.request_id == again.request_id
        assert accept_request_id([first.request_id]) == first.request_id
        for scope in (first, again):
            await ask_in(scope, Form("async"))
    one, other = (received.headers["idempotency-key"] for received in stage.received())
    assert one == other


def test_different_ids_stay_different(stage: Stage) -> None:
    """Also those that only differ in what no header takes."""
    router = Router.from_mapping(config(stage))
    found = {router.scope(request_id=request_id).request_id for request_id in [*IDS, "job-8", "a job with  spaces"]}
    assert len(found) == len(IDS) + 2 - 1  # "7" and 7 are one


def test_a_good_id_is_taken_as_it_is(stage: Stage) -> None:
    """A UUID is one."""
    router = Router.from_mapping(config(stage))
    number = UUID(int=7)
    assert router.scope(request_id="req-2026-000042").request_id == "req-2026-000042"
    assert router.scope(request_id=number).request_id == str(number)
    assert router.scope().request_id != router.scope().request_id


@pytest.mark.parametrize("nothing", ["", "  ", "\n"])
def test_an_empty_id_is_refused(nothing: str, stage: Stage) -> None:
    """All jobs whose id somebody forgot would be one."""
    with pytest.raises(ValueError, match="leave it out"):
        Router.from_mapping(config(stage)).scope(request_id=nothing)


@pytest.mark.anyio
async def test_a_subject_may_be_a_number(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key of a table, say: it is the same user as its text."""
    monkeypatch.setenv("SECRET", "a-secret-of-this-test")
    async with Router.from_mapping(config(stage, more={"router": {"secret_env": "SECRET"}})) as router:
        hashes = []
        for subject in (7, "7", UUID(int=7)):
            scope = router.scope(subject=subject)
            await ask_in(scope, Form("async"))
            hashes.append(scope.calls[0].subject_hash)
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.anyio
@pytest.mark.parametrize("form", FORMS, ids=str)
async def test_a_lane_that_a_task_lacks_is_no_place_to_start_in(form: Form, stage: Stage) -> None:
    """A drill that quietly asked the primary lane would show nothing."""
    async with Router.from_mapping(config(stage)) as router:
        got = await ask_in(router.scope(start="degraded"), form)
        assert isinstance(got.error, InvalidCall)
        assert "the scope starts in the degraded lane, and task 'both' has none: it has primary, equivalent" in str(
            got.error
        )
        assert stage.received() == []
        assert (await ask_in(router.scope(start="equivalent"), form)).routes == ["second"]


def test_a_router_is_made_by_a_files_name(tmp_path: Path, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the adapters take it; a file that is not there is told by its whole path."""
    file = tmp_path / "lanewise.toml"
    file.write_text(
        f'[providers.p]\nbase_url = "{stage.first.base_url}"\n[routes.r]\nprovider = "p"\nmodel = "m"\n'
        '[tasks.t]\nprimary = "r"\n',
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    for named in ("lanewise.toml", Path("lanewise.toml"), str(file)):
        assert list(Router(named).config.tasks) == ["t"]
    for make in (Router, Router.from_file, Config.from_file):
        with pytest.raises(ConfigError, match=re.escape(f"the file {tmp_path / 'other.toml'} does not exist")):
            make("other.toml")
