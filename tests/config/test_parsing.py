"""What a correct config reads as."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from config.small import SMALL, changed
from lanewise.config import DEFAULT_ON, Config, LaneEntry, Provider, Route, duration_text, seconds_of
from lanewise.types import Api, FailureKind, LaneName


def test_a_complete_file_reads(complete: Path) -> None:
    """Every short form of the file ends as the same plain models."""
    config = Config.from_file(complete)
    task = config.tasks["ticket-summary"]
    assert (task.name, task.deadline, task.patience) == ("ticket-summary", 45.0, 2.0)
    assert [(lane.name, lane.routes) for lane in task.lanes] == [
        (LaneName.PRIMARY, ("flagship",)),
        (LaneName.EQUIVALENT, ("sonnet",)),
        (LaneName.DEGRADED, ("mini",)),
    ]
    sonnet = config.routes["sonnet"]
    assert (sonnet.name, sonnet.timeout, sonnet.drop, sonnet.api) == (
        "sonnet",
        25.0,
        ("temperature", "seed"),
        tuple(Api),
    )
    assert config.providers["kissapi"].optional
    assert config.providers["kissapi"].account == "kissapi"
    assert config.endpoints == {"/payments/*": "payment"}
    assert config.source == complete


def test_a_config_of_six_lines_is_enough(in_file: Callable[[str], Path]) -> None:
    """The provider called openai brings its URL and the name of its variable."""
    config = Config.from_file(
        in_file('[providers.openai]\n[routes.main]\nprovider = "openai"\nmodel = "m"\n[tasks.chat]\nprimary = "main"\n')
    )
    assert config.providers["openai"].base_url == "https://api.openai.com/v1"
    assert config.providers["openai"].api_key_env == "OPENAI_API_KEY"


def test_an_openai_provider_with_a_url_of_its_own_gets_no_key_unasked() -> None:
    """The well-known variable's key is not sent to another host."""
    config = Config.from_mapping(changed("providers", "openai", value={"base_url": "http://127.0.0.1:8000/v1/"}))
    assert config.providers["openai"].api_key_env is None
    assert config.providers["openai"].base_url == "http://127.0.0.1:8000/v1"


@pytest.mark.parametrize(
    "written",
    [
        ["main", "spare"],
        {"routes": ["main", "spare"]},
        [{"route": "main"}, "spare"],
        [LaneEntry(route="main"), "spare"],
    ],
)
def test_lanes_have_short_forms(written: object) -> None:
    """A lane is a list or a table of routes."""
    lane = Config.from_mapping(changed("tasks", "chat", "primary", value=written)).tasks["chat"].primary
    assert lane.routes == ("main", "spare")
    assert lane.moves_on(lane.entries[0]) == DEFAULT_ON


def test_an_entrys_own_failures_go_before_the_lanes() -> None:
    """The nearest `on` counts."""
    written = {"routes": [{"route": "main", "on": ["timeout"]}, "spare"], "on": ["outage"]}
    lane = Config.from_mapping(changed("tasks", "chat", "primary", value=written)).tasks["chat"].primary
    assert [lane.moves_on(entry) for entry in lane.entries] == [{FailureKind.TIMEOUT}, {FailureKind.OUTAGE}]


def test_python_may_say_seconds() -> None:
    """Floats of seconds and timedeltas are durations too, outside of a file."""
    config = Config(
        providers={"openai": Provider()},
        routes={"main": Route(provider="openai", model="m", timeout=2.5)},
        tasks={"chat": {"primary": "main", "deadline": timedelta(minutes=1)}},
    )
    assert config.routes["main"].timeout == 2.5
    assert config.tasks["chat"].deadline == 60.0
    assert config.routes["main"].name == "main"
    assert config.providers["openai"].name == "openai"


def test_a_config_can_be_made_from_its_parts_again(complete: Path) -> None:
    """The models are what Config takes, too."""
    config = Config.from_file(complete)
    again = Config(
        providers=config.providers,
        routes=config.routes,
        tasks=config.tasks,
        sensitive=config.sensitive,
        endpoints=config.endpoints,
        budgets=config.budgets,
        router=config.router,
        source=config.source,
    )
    assert again == config


def test_a_dump_reads_again(complete: Path) -> None:
    """What the models dump is a mapping that they read."""
    config = Config.from_file(complete)
    dump = config.model_dump(exclude={"source"})
    assert Config.from_mapping(dump, config.source) == config


def test_false_turns_the_idempotency_header_off() -> None:
    """TOML has no null, so that false says it."""
    config = Config.from_mapping(changed("providers", "openai", "idempotency_header", value=False))
    assert config.providers["openai"].idempotency_header is None


def test_azure_is_a_header_and_a_query(in_file: Callable[[str], Path]) -> None:
    """The header of the key, and the version in each URL, are plain settings."""
    config = Config.from_file(
        in_file(
            '[providers.azure]\nbase_url = "https://x.openai.azure.com/openai/deployments/d"\n'
            'api_key_env = "AZURE_OPENAI_API_KEY"\nauth_header = "api-key"\nquery = { api-version = "2024-10-21" }\n'
            '[routes.main]\nprovider = "azure"\nmodel = "m"\n[tasks.chat]\nprimary = "main"\n'
        )
    )
    assert config.providers["azure"].auth_header == "api-key"
    assert config.providers["azure"].query == {"api-version": "2024-10-21"}


@pytest.mark.parametrize(
    ("text", "seconds"), [("800ms", 0.8), ("12s", 12.0), ("1.5m", 90.0), ("2h", 7200.0), ("90d", 7776000.0)]
)
def test_durations_have_units(text: str, seconds: float) -> None:
    """Milliseconds to days."""
    assert seconds_of(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "12", "s", "-1s", "1e3s", "12 s", "12S", "1s2m", "infs", "٣s"])
def test_other_texts_are_no_durations(text: str) -> None:
    """No guess is made."""
    assert seconds_of(text) is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.8, "800ms"), (12.0, "12s"), (90.0, "90s"), (600.0, "10m"), (7776000.0, "90d")]
)
def test_durations_print_as_they_are_written(seconds: float, text: str) -> None:
    """What a message says can be copied into the file."""
    assert duration_text(seconds) == text


def test_what_is_not_carried_out_yet_is_named() -> None:
    """Nothing that is declared is ignored in silence."""
    mapping = changed("router", value={"drill_header": "X-Drill"})
    assert Config.from_mapping(mapping).not_yet() == ("router.drill_header",)
    assert Config.from_mapping(SMALL).not_yet() == ()


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path, complete: Path) -> None:
    """A file that was saved on Windows is the same config."""
    file = tmp_path / "windows.toml"
    file.write_bytes(b"\xef\xbb\xbf" + complete.read_bytes().replace(b"\n", b"\r\n"))
    assert Config.from_file(file).tasks == Config.from_file(complete).tasks
