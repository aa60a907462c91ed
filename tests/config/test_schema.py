"""The JSON Schema that editors check a config with."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from pydantic import BaseModel

from lanewise.cli.init import starter_text
from lanewise.config import (
    Budget,
    Client,
    Config,
    Provider,
    Route,
    RouterSettings,
    SensitiveCategory,
    StreamSettings,
    Task,
)
from lanewise.config.schema import toml_schema


@pytest.fixture(scope="module")
def schema() -> Any:
    """A validator of the schema."""
    return jsonschema_rs.validator_for(toml_schema())


def test_it_is_a_schema() -> None:
    """By its own dialect's rules."""
    jsonschema_rs.meta.validate(toml_schema())


def test_a_complete_config_keeps_it(schema: Any, complete: Path) -> None:
    """An editor has nothing to say of a correct file."""
    schema.validate(tomllib.loads(complete.read_text(encoding="utf-8")))


def test_the_starter_keeps_it_and_reads(schema: Any) -> None:
    """What `init` writes is correct."""
    mapping = tomllib.loads(starter_text())
    schema.validate(mapping)
    assert Config.from_mapping(mapping).tasks["chat"].deadline == 45.0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("base_url", "base_ulr"),
        ("deadline", "dead_line"),
        ('"20s"', "20"),
        ('"20s"', '"20"'),
        ('on = ["rate_limit"', 'on = ["ratelimit"'),
        ("[sensitive.payment]", "[sensitives.payment]"),
        ('"/payments/*"', '"payments/*"'),
        ('on_failure = "fail"', 'on_failure = "pass"'),
        ('on_failure = "fail"', 'on_failure = "review"\nexpires = 7'),
        ('state  = "memory"', 'state = "memory"\nreview_location = "/reviews"'),
        ('primary    = "flagship"', ""),
        ('"https://api.openai.com/v1"', '"https://u:p@api.openai.com/v1"'),
        ("KISSAPI_KEY", "sk-1234"),
        ('sticky     = "subject"', 'sticky = "user"'),
        ('sticky     = "subject"', 'select = "cost"'),
        ('lane = "degraded" }]', 'lane = "degarded" }]'),
        ("{ when =", "{ if ="),
        ('"0.50 USD"', '"0.50 EUR"'),
        ('per    = "subject"', 'per = "user"'),
        ('over   = "degraded"', 'over = "primary"'),
    ],
)
def test_typos_break_it(schema: Any, complete: Path, old: str, new: str) -> None:
    """An editor underlines what the reader would refuse."""
    text = complete.read_text(encoding="utf-8")
    assert old in text
    assert not schema.is_valid(tomllib.loads(text.replace(old, new)))


@pytest.mark.parametrize(
    ("model", "place"),
    [
        (RouterSettings, ("router",)),
        (Provider, ("providers", "additionalProperties")),
        (Route, ("routes", "additionalProperties")),
        (Task, ("tasks", "additionalProperties")),
        (SensitiveCategory, ("sensitive", "additionalProperties")),
        (Client, ("clients", "additionalProperties")),
        (Budget, ("budgets", "additionalProperties")),
        (StreamSettings, ("tasks", "additionalProperties", "properties", "stream")),
    ],
)
def test_it_has_every_key_with_a_description(model: type[BaseModel], place: tuple[str, ...]) -> None:
    """A key that is added to a model and not to the schema is a typo in every editor."""
    table: Any = toml_schema()["properties"]
    for part in place:
        table = table[part]
    assert set(table["properties"]) == set(model.model_fields) - {"name", "api_key"}
    assert all(key["description"] for key in table["properties"].values())
