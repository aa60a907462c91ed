"""A small correct config, and ways to spoil it."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from lanewise.config import Config, ConfigError, Mistake

SMALL: dict[str, Any] = {
    "providers": {"openai": {}},
    "routes": {"main": {"provider": "openai", "model": "m"}, "spare": {"provider": "openai", "model": "n"}},
    "tasks": {"chat": {"primary": "main"}},
    "sensitive": {"payment": {"routes": ["main"]}},
}


def changed(*path: str, value: object) -> dict[str, Any]:
    """A small correct config with one value put in at a path."""
    mapping = copy.deepcopy(SMALL)
    table = mapping
    for part in path[:-1]:
        table = table.setdefault(part, {})
    table[path[-1]] = value
    return mapping


def mistakes_of(mapping: object) -> tuple[Mistake, ...]:
    """The mistakes of a mapping that must have some."""
    with pytest.raises(ConfigError) as caught:
        Config.from_mapping(mapping)  # type: ignore[arg-type]
    return caught.value.mistakes
