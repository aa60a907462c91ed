"""``lanewise check``: what is allowed and probably not meant, and ``--strict`` for CI."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lanewise.cli import main

PLAIN = """
[router]
[providers.openai]
[providers.other]
base_url = "https://ai.example.com/v1"
[routes.main]
provider = "openai"
model = "gpt-5.5"
timeout = "20s"
[routes.spare]
provider = "other"
model = "m"
[tasks.chat]
primary = "main"
equivalent = "spare"
deadline = "60s"
"""


def check(tmp_path: Path, text: str, *options: str) -> Result:
    file = tmp_path / "lanewise.toml"
    file.write_text(text, encoding="utf-8")
    return CliRunner().invoke(main, ["check", str(file), *options], env={"OPENAI_API_KEY": "k"})


def changed(old: str, new: str) -> str:
    assert old in PLAIN
    return PLAIN.replace(old, new, 1)


PRICED = changed('"gpt-5.5"', '"gpt-5.5"\nprice = { input = 1.0, output = 100.0 }')
FREE = '[budgets.free]\nwindow = "1d"\n'

ODD = {
    changed("example.com/v1", "example.com/v1/chat/completions"): "Write https://ai.example.com/v1",
    changed("example.com/v1", "example.com/v1/responses/"): "ends in /responses.*Write https://ai",
    changed('"gpt-5.5"', '"gpt-5.5"\ndrop = ["temprature"]'): "called 'temprature'. Did you mean 'temperature'",
    changed('"gpt-5.5"', '"gpt-5.5"\ndrop = ["max_token"]'): "called 'max_token'. Did you mean 'max_tokens'",
    changed('"gpt-5.5"', '"gpt-5.5"\nset = { service_teir = "flex" }'): "Did you mean 'service_tier'",
    changed('"gpt-5.5"', '"gpt-5.5"\nrename = { max_tokens = "max_tokens" }'): "max_tokens is renamed to itself",
    PLAIN + '[endpoints]\n"/pay/[0-9]" = "payment"\n[sensitive.payment]\nroutes = ["main"]\n': r"only \* has a meaning",
    changed('"60s"', '"60s"\npatience = "61s"'): "patience: 61s is longer than the deadline of 1m",
    changed("[router]", '[router]\nkeep = "30d"'): "keep: there is no ledger",
    PRICED + FREE + 'limit = "0.05 USD"\n': r"reserves 1000 tokens out.*0\.10 of 0\.05 USD on main, and is not sent",
    PLAIN + FREE + 'limit = "500 tokens"\n': "1000 of 500 tokens on spare",
    PLAIN + FREE + 'limit = "5 calls"\nover = "equivalent"\n[tasks.alone]\nprimary = "main"\n':
        "free.over: of alone there is no equivalent lane: calls beyond the limit are refused",
    PLAIN + 'hedge = { after = "p95" }\nsensitive = "payment"\n[sensitive.payment]\nroutes = ["main"]\n':
        "sensitive calls are never hedged",
    PLAIN + '[tasks.alone]\nprimary = "main"\nhedge = { after = "2s" }\n': "no other route for a second request",
    changed('"spare"', str(["spare"] + [f"r{n}" for n in range(8)])).replace("'", '"')
    + "".join(f'[routes.r{n}]\nprovider = "other"\nmodel = "m"\n' for n in range(8)): "10 routes.*r6, r7 is never",
}  # fmt: skip


def test_nothing_is_said_of_a_config_that_is_fine(tmp_path: Path) -> None:
    """With ``--strict`` neither: what is not wrong is no failure, nor is a key that is set elsewhere."""
    for options in ((), ("--strict",)):
        done = check(tmp_path, PLAIN, *options)
        assert done.exit_code == 0
        assert "Warnings" not in done.output
    file = tmp_path / "lanewise.toml"
    assert CliRunner().invoke(main, ["check", str(file), "--strict"], env={"OPENAI_API_KEY": None}).exit_code == 0


@pytest.mark.parametrize("text", ODD, ids=list(ODD.values()))
def test_what_is_probably_not_meant_is_a_warning_and_in_ci_a_failure(text: str, tmp_path: Path) -> None:
    """The file can be used; ``--strict`` says that it should not."""
    done = check(tmp_path, text)
    assert done.exit_code == 0
    assert re.search(ODD[text], done.output.split("Warnings")[1])
    assert check(tmp_path, text, "--strict").exit_code == 1


@pytest.mark.parametrize(
    "more",
    [
        'drop = ["top_k", "repetition_penalty", "seed", "reasoning_effort", "x_vendor_flag"]',
        "set = { enable_thinking = false, min_p = 0.1, top_logprobs = 2 }",
        'rename = { max_tokens = "max_completion_tokens" }',
    ],
)
def test_parameters_of_other_providers_are_none_that_are_misspelt(more: str, tmp_path: Path) -> None:
    """A warning that is wrong teaches to overlook warnings."""
    done = check(tmp_path, changed('"gpt-5.5"', f'"gpt-5.5"\n{more}'), "--strict")
    assert done.exit_code == 0, done.output
