"""``lanewise check --live``: what it asks, what it tells, and what it keeps to itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lanewise.cli import main
from lanewise.testing import Answer, FakeProvider, Html, RejectParameters, Status

KEY = "canary-key-of-the-provider"


def written(folder: Path, provider: FakeProvider, **routes: Mapping[str, object]) -> Path:
    """A config with these routes, all of one provider and in one task."""
    mapping: dict[str, object] = {"providers.p": {"base_url": provider.base_url, "api_key_env": "P_KEY"}}
    mapping |= {f"routes.{name}": {"provider": "p", **given} for name, given in routes.items()}
    mapping["tasks.chat"] = {"primary": list(routes)}
    lines = []
    for table, keys in mapping.items():
        assert isinstance(keys, dict)
        lines += [f"[{table}]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items())]
    file = folder / "lanewise.toml"
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def check(file: Path, *options: str, answer: str = "", key: str | None = KEY) -> Result:
    arguments = ["check", str(file), "--live", *options]
    return CliRunner().invoke(main, arguments, input=answer, env={"P_KEY": key})


def line(result: Result, route: str) -> str:
    """What was told of a route."""
    after = result.output.split("\nLive\n")[1]
    return next(text for text in after.splitlines() if text.startswith(f"  {route} "))


def test_each_route_is_asked_once_and_told_as_what_it_answers(tmp_path: Path, fake_provider: FakeProvider) -> None:
    """The kind of API is the first that the route declares."""
    fake_provider.script("one", Answer("OK", model="one-2026-04-23"))
    file = written(
        tmp_path,
        fake_provider,
        main={"model": "one"},
        talk={"model": "two", "api": ["responses"]},
        vectors={"model": "three", "api": ["embeddings"]},
    )
    result = check(file, "--yes")
    assert result.exit_code == 0, result.output
    assert "3 routes get one tiny question each: 3 requests" in result.output
    assert fake_provider.request_count == 3
    assert "answers chat in " in line(result, "main")
    assert line(result, "main").endswith("as one-2026-04-23")
    assert "answers responses in " in line(result, "talk")
    assert "with 8 dimensions" in line(result, "vectors")


def test_nothing_is_sent_before_somebody_agrees(tmp_path: Path, fake_provider: FakeProvider) -> None:
    """How many requests it takes is said first."""
    file = written(tmp_path, fake_provider, main={"model": "one"})
    result = check(file, answer="n\n")
    assert result.exit_code == 1
    assert "1 route gets one tiny question: 1 request, and one more for each parameter" in result.output
    assert fake_provider.request_count == 0
    assert check(file, answer="").exit_code == 1  # nobody is there to agree
    assert fake_provider.request_count == 0
    assert check(file, answer="y\n").exit_code == 0
    assert fake_provider.request_count == 1


def test_without_live_nothing_is_sent(tmp_path: Path, fake_provider: FakeProvider) -> None:
    """The plain check works offline."""
    file = written(tmp_path, fake_provider, main={"model": "one"})
    assert CliRunner().invoke(main, ["check", str(file)], env={"P_KEY": KEY}).exit_code == 0
    assert fake_provider.request_count == 0


def test_refused_parameters_are_told_with_the_line_that_saves_the_refusal(
    tmp_path: Path, fake_provider: FakeProvider
) -> None:
    """One that can be left out is; a limit on the answer can't, so the route is asked again without it."""
    fake_provider.script("one", RejectParameters("temperature"))
    fake_provider.script("two", RejectParameters("max_tokens"))
    file = written(
        tmp_path,
        fake_provider,
        main={"model": "one"},
        newer={"model": "two"},
        told={"model": "one", "drop": ["temperature"]},
    )
    result = check(file, "--yes")
    assert result.exit_code == 0, result.output
    assert 'refuses temperature: drop = ["temperature"]' in line(result, "main")
    assert 'rename = { max_tokens = "max_completion_tokens" }' in line(result, "newer")
    assert "refuses" not in line(result, "told")
    assert fake_provider.request_count == 5


def test_a_model_that_was_not_asked_for_is_told_as_a_swap(tmp_path: Path, fake_provider: FakeProvider) -> None:
    """Sensitive calls would refuse it; a name that is declared is none."""
    fake_provider.script("one", Answer("OK", model="another"))
    file = written(tmp_path, fake_provider, main={"model": "one"}, known={"model": "one", "answers_as": ["anoth*"]})
    result = check(file, "--yes")
    assert result.exit_code == 0, result.output
    assert "as another, not as one: a sensitive call would take that for a swapped model" in line(result, "main")
    assert line(result, "known").endswith("as another")


@pytest.mark.parametrize(
    ("behaviour", "told"),
    [
        (Status(401), ("auth, HTTP 401", "look at the key in P_KEY")),
        (Status(404, error={"code": "model_not_found"}), ("model_missing, HTTP 404", "look at `model`")),
        (Status(429, error={"code": "insufficient_quota"}), ("quota, HTTP 429", "no credit")),
        (Status(500), ("outage, HTTP 500", "try again later")),
        (Html(), ("bad_response", "look at `base_url`")),
    ],
    ids=["key", "model", "credit", "outage", "page"],
)
def test_a_route_that_cannot_answer_is_told_with_what_to_do(
    tmp_path: Path, fake_provider: FakeProvider, behaviour: Status | Html, told: tuple[str, str]
) -> None:
    """Asked once, not again; the others are asked all the same, and the exit code says that one failed."""
    fake_provider.script("one", behaviour)
    file = written(tmp_path, fake_provider, main={"model": "one"}, spare={"model": "two"})
    result = check(file, "--yes")
    assert result.exit_code == 1
    assert "can't answer" in line(result, "main")
    assert all(text in line(result, "main") for text in told), line(result, "main")
    assert "answers chat in" in line(result, "spare")
    assert fake_provider.request_count == 2
    assert KEY not in result.output


def test_a_route_without_its_key_is_not_asked(tmp_path: Path, fake_provider: FakeProvider) -> None:
    """And the variable is named."""
    file = written(tmp_path, fake_provider, main={"model": "one"})
    result = check(file, "--yes", key=None)
    assert result.exit_code == 1
    assert "not asked: " in line(result, "main")
    assert "P_KEY" in line(result, "main")
    assert fake_provider.request_count == 0


def test_a_route_that_is_off_is_not_counted_and_is_no_failure(tmp_path: Path, fake_provider: FakeProvider) -> None:
    """Its provider is optional, and has no key here."""
    file = written(tmp_path, fake_provider, main={"model": "one"}, spare={"model": "two", "provider": "q"})
    optional = {"base_url": fake_provider.base_url, "api_key_env": "Q_KEY", "optional": True}
    keys = "\n".join(f"{key} = {json.dumps(value)}" for key, value in optional.items())
    file.write_text(f"{file.read_text()}\n[providers.q]\n{keys}\n")
    result = check(file, "--yes")
    assert result.exit_code == 0, result.output
    assert "1 route gets one tiny question: 1 request," in result.output
    assert line(result, "spare").endswith("off, and not asked: the variable Q_KEY is not set")
    assert fake_provider.request_count == 1


def test_a_provider_that_is_not_there_is_told(tmp_path: Path, fake_provider: FakeProvider) -> None:
    """With where to look."""
    file = written(tmp_path, fake_provider, main={"model": "one"})
    file.write_text(file.read_text().replace(fake_provider.base_url, "http://127.0.0.1:9/v1"))
    result = check(file, "--yes")
    assert result.exit_code == 1
    assert "can't answer: unreachable" in line(result, "main")


def test_check_names_the_prices_that_cheapest_lacks(tmp_path: Path, fake_provider: FakeProvider) -> None:
    """A route of unknown price goes last, which may not be meant."""
    price = "\nprice = { input = 1.0, output = 2.0 }\n[routes.spare]"
    file = written(tmp_path, fake_provider, main={"model": "one"}, spare={"model": "two"})
    text = file.read_text().replace("\n[routes.spare]", price)
    file.write_text(f'{text}\nselect = "cheapest"\n')
    result = CliRunner().invoke(main, ["check", str(file)], env={"P_KEY": KEY})
    assert result.exit_code == 0, result.output
    assert "tasks.chat.select: the price of spare is not known, so it goes last" in result.output
    assert "price of main" not in result.output
