"""The config: what an app declares, read from TOML or from Python, refused with every mistake named."""

from __future__ import annotations

from lanewise.config.api_keys import KeySource
from lanewise.config.budgets import Budget
from lanewise.config.capabilities import StandIns
from lanewise.config.clients import Client
from lanewise.config.config import Config
from lanewise.config.contracts import Contract
from lanewise.config.credentials import Credentials, key_header, resolve_credentials
from lanewise.config.durations import duration_text, seconds_of
from lanewise.config.lanes import DEFAULT_ON, Lane, LaneEntry
from lanewise.config.mistakes import ConfigError, Mistake
from lanewise.config.models import (
    HealthSettings,
    HedgeSettings,
    Provider,
    Route,
    RouterSettings,
    SensitiveCategory,
    StreamSettings,
    Task,
)
from lanewise.config.prices import PriceTable

__all__ = [
    "DEFAULT_ON",
    "Budget",
    "Client",
    "Config",
    "ConfigError",
    "Contract",
    "Credentials",
    "HealthSettings",
    "HedgeSettings",
    "KeySource",
    "Lane",
    "LaneEntry",
    "Mistake",
    "PriceTable",
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
