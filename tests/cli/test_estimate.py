"""``lanewise estimate``: what a backup costs, before it is used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lanewise.cli import main

CONFIG = """
[providers.openai]
[providers.other]
base_url = "https://ai.example.com/v1"

[routes.big]
provider = "openai"
model = "gpt-4o"

[routes.sonnet]
provider = "other"
model = "claude-sonnet-4-6"
context_window = 4000
price = { input = 3.0, output = 15.0 }
system_suffix = "Return bullet points, one for each thing that was decided, and nothing else at all."

[routes.mini]
provider = "other"
model = "gpt-4o-mini"
drop = ["tools"]

[routes.vectors]
provider = "openai"
model = "text-embedding-3-small"
api = ["embeddings"]

[tasks.summary]
primary = "big"
equivalent = "sonnet"

[tasks.cheap]
primary = "big"
degraded = "mini"

[tasks.refund]
primary = "big"
equivalent = "sonnet"
sensitive = "payment"

[tasks.search]
primary = "vectors"

[sensitive.payment]
routes = ["big"]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "lanewise.toml"
    file.write_text(CONFIG, encoding="utf-8")
    return file


def run(file: Path, config: Path, *more: str) -> Result:
    return CliRunner().invoke(main, ["estimate", str(file), "--config", str(config), *more])


def document(file: Path, config: Path, *more: str, exit_code: int = 0) -> dict[str, Any]:
    result = run(file, config, "--json", *more)
    assert result.exit_code == exit_code, result.output
    read = json.loads(result.output)
    assert isinstance(read, dict)
    return read


def written(tmp_path: Path, name: str, *lines: object) -> Path:
    file = tmp_path / name
    file.write_text("\n".join(json.dumps(line) for line in lines) + "\n", encoding="utf-8")
    return file


def test_a_prompt_file_is_reckoned_on_each_route_of_each_lane(tmp_path: Path, config: Path) -> None:
    """Tokens, dollars for 1,000 calls and a month: by hand for the exact route, safely high for the other."""
    file = tmp_path / "prompt.txt"
    file.write_text("hello world", encoding="utf-8")
    said = document(file, config, "--task", "summary", "--requests-per-day", "1000", "--output-tokens", "100")
    big, sonnet = said["routes"]
    assert (big["lane"], big["route"], big["input_tokens_mean"], big["tokens_exact"]) == ("primary", "big", 9, True)
    dollars = (9 * 2.5 + 100 * 10) / 1e6 * 1000
    assert big["usd_per_1000_calls"] == pytest.approx(dollars)
    assert big["usd_per_month"] == pytest.approx(dollars * 30)
    assert (big["context_window"], big["too_long"]) == (128_000, 0)
    assert sonnet["tokens_exact"] is False
    assert sonnet["input_tokens_mean"] > 30, "the route's own text is part of what it costs"


@pytest.mark.parametrize(("tier", "dollars", "known"), [("priority", 4.25, True), ("scale", 2.5, False)])
def test_a_service_tier_is_reckoned_at_its_own_price(
    tier: str, dollars: float, known: bool, tmp_path: Path, config: Path
) -> None:
    """As the route sets it, or the sample; one whose price nobody lists is reckoned at the plain one, and marked."""
    sample = written(tmp_path, "calls.jsonl", {"messages": [{"role": "user", "content": "hi"}], "service_tier": tier})
    options = ("--task", "summary", "--requests-per-day", "1000")
    big = document(sample, config, *options)["routes"][0]
    assert big["usd_per_1000_calls"] == pytest.approx(big["input_tokens_mean"] * dollars / 1000)
    shown = run(sample, config, *options).output
    assert ("big: the price of the service tier that is asked for is not known" in shown) is not known
    prompt = written(tmp_path, "prompt.jsonl", "hi")
    config.write_text(CONFIG.replace('model = "gpt-4o"', f'model = "gpt-4o"\nset = {{ service_tier = "{tier}" }}'))
    assert document(prompt, config, *options)["routes"][0]["usd_per_1000_calls"] == big["usd_per_1000_calls"]


def test_the_table_says_what_is_exact_and_what_is_not(tmp_path: Path, config: Path) -> None:
    """A reader sees at once which figure is an estimate, and that answers were left out."""
    file = tmp_path / "prompt.txt"
    file.write_text("hello world", encoding="utf-8")
    result = run(file, config, "--task", "summary", "--requests-per-day", "1000")
    assert result.exit_code == 0
    assert "summary: 1 sample, 1,000 requests a day" in result.output
    assert "128,000: fits" in result.output
    assert "~ is an estimate on the high side" in result.output
    assert "> is without the answers: say how long they are with --output-tokens." in result.output
    assert ">$0.022" in result.output


def test_a_price_that_is_not_known_is_named_and_never_guessed(tmp_path: Path, config: Path) -> None:
    """The command tells the fix, and its exit code that something is missing."""
    file = tmp_path / "prompt.txt"
    file.write_text("hello world", encoding="utf-8")
    result = run(file, config, "--task", "cheap", "--requests-per-day", "10", "--output-tokens", "5")
    assert result.exit_code == 1
    assert "mini: its price is not known, and not guessed" in result.output
    assert "[routes.mini]" in result.output
    assert "price = { input = ..., output = ... }" in result.output
    said = document(file, config, "--task", "cheap", "--requests-per-day", "10", "--output-tokens", "5", exit_code=1)
    assert said["routes"][0]["usd_per_month"] > 0
    assert said["routes"][1]["usd_per_month"] is None
    assert said["routes"][1]["usd_per_1000_calls"] is None


def test_samples_of_all_forms_give_mean_p95_and_max(tmp_path: Path, config: Path) -> None:
    """Bodies, a batch file's lines, messages and texts; the percentile is one of the samples."""
    messages = [{"role": "user", "content": "hello world"}]
    long = [{"role": "user", "content": "hello world" * 1000}]
    lines = [{"messages": messages}, {"custom_id": "1", "body": {"messages": messages}}, messages, "hello world"]
    file = written(tmp_path, "sample.jsonl", *lines * 5, long)
    said = document(file, config, "--task", "summary", "--requests-per-day", "1", "--output-tokens", "10")
    big, sonnet = said["routes"]
    assert said["samples"] == 21
    assert big["input_tokens_p95"] == 9
    assert big["input_tokens_max"] > 2000
    assert big["input_tokens_mean"] == pytest.approx((20 * 9 + big["input_tokens_max"]) / 21, abs=1)
    assert sonnet["too_long"] == 1
    assert "4,000: 1 of 21 too long" in run(file, config, "--task", "summary", "--requests-per-day", "1").output


def test_an_answer_takes_its_part_of_the_window(tmp_path: Path, config: Path) -> None:
    """A prompt fits only with its answer: the one that is said, or the most that the body allows."""
    messages = [{"role": "user", "content": "hello world"}]
    file = written(tmp_path, "sample.jsonl", {"messages": messages}, {"messages": messages, "max_tokens": 3990})
    said = document(file, config, "--task", "summary", "--requests-per-day", "1")
    assert said["routes"][1]["too_long"] == 1
    said = document(file, config, "--task", "summary", "--requests-per-day", "1", "--output-tokens", "3999")
    assert said["routes"][1]["too_long"] == 2


def test_routes_that_a_call_would_skip_are_told(tmp_path: Path, config: Path) -> None:
    """A backup that can't take the app's tools is no backup for it; one that is not approved never answers."""
    tools = [{"type": "function", "function": {"name": "look"}}]
    messages = [{"role": "user", "content": "hello world"}]
    file = written(tmp_path, "sample.jsonl", {"messages": messages, "tools": tools})
    said = document(file, config, "--task", "cheap", "--requests-per-day", "1")
    assert said["routes"][1]["not_used"] == "can't take tools"
    said = document(file, config, "--task", "refund", "--requests-per-day", "1")
    assert said["routes"][1]["not_used"] == "not approved for payment"


def test_embeddings_have_no_answers_to_pay_for(tmp_path: Path, config: Path) -> None:
    """Their figures are complete without --output-tokens."""
    file = written(tmp_path, "texts.jsonl", "hello world", "hello")
    said = document(file, config, "--task", "search", "--requests-per-day", "1000")
    assert said["api"] == "embeddings"
    assert said["answers_included"] is True
    assert said["routes"][0]["usd_per_1000_calls"] == pytest.approx(1.5 * 0.02 / 1000)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.jsonl", '"fine"\n{"messages": [}\n', "line 2 is not JSON"),
        ("a.jsonl", '{"prompt": "old"}\n', "line 1 is no body"),
        ("a.jsonl", '{"messages": []}\n{"input": "x"}\n', "make a file for each kind of API"),
        ("a.txt", "  \n", "the file is empty"),
    ],
)
def test_a_file_that_is_no_sample_is_refused(tmp_path: Path, config: Path, name: str, content: str, told: str) -> None:
    """With the line, and without its text."""
    file = tmp_path / name
    file.write_text(content, encoding="utf-8")
    result = run(file, config, "--task", "summary", "--requests-per-day", "1")
    assert result.exit_code == 1
    assert told in result.output
    assert "old" not in result.output


def test_wrong_arguments_are_usage_errors(tmp_path: Path, config: Path) -> None:
    """An unknown task is told with those that there are."""
    file = tmp_path / "prompt.txt"
    file.write_text("hello world", encoding="utf-8")
    unknown = run(file, config, "--task", "sumary", "--requests-per-day", "1")
    assert unknown.exit_code == 2
    assert "summary, cheap, refund, search" in unknown.output
    assert run(file, config, "--task", "summary").exit_code == 2
    assert run(file, config, "--task", "summary", "--requests-per-day", "0").exit_code == 2
    assert run(tmp_path / "none.txt", config, "--task", "summary", "--requests-per-day", "1").exit_code == 1
