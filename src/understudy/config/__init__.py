"""The config: what an app declares, read from TOML or from Python, refused with every mistake named."""

from __future__ import annotations

from understudy.config.contracts import Contract
from understudy.config.credentials import Credentials, key_header, resolve_credentials
from understudy.config.declared import Config
from understudy.config.durations import duration_text, seconds_of
from understudy.config.keys import KeySource
from understudy.config.lanes import DEFAULT_ON, Lane, LaneEntry
from understudy.config.mistakes import ConfigError, Mistake
from understudy.config.models import (
    HealthSettings,
    Provider,
    Route,
    RouterSettings,
    SensitiveCategory,
    StreamSettings,
    Task,
)
from understudy.config.stand_ins import StandIns

__all__ = [
    "DEFAULT_ON",
    "Config",
    "ConfigError",
    "Contract",
    "Credentials",
    "HealthSettings",
    "KeySource",
    "Lane",
    "LaneEntry",
    "Mistake",
    "Provider",
    "Route",
    "RouterSettings",
    "SensitiveCategory",
    "StandIns",
    "StreamSettings",
    "Task",
    "duration_text",
    "key_header",
    "resolve_credentials",
    "seconds_of",
]
