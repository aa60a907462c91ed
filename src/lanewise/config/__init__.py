"""The config: what an app declares, read from TOML or from Python, refused with every mistake named."""

from __future__ import annotations

from lanewise.config.config import Config
from lanewise.config.environment.credentials import Credentials, key_header, resolve_credentials
from lanewise.config.mistakes import ConfigError, Mistake
from lanewise.config.tables.budgets import Budget
from lanewise.config.tables.clients import Client
from lanewise.config.tables.contracts import Contract
from lanewise.config.tables.health import HealthSettings
from lanewise.config.tables.lanes import DEFAULT_ON, Lane, LaneEntry
from lanewise.config.tables.prices import PriceTable
from lanewise.config.tables.providers import Provider
from lanewise.config.tables.router import RouterSettings
from lanewise.config.tables.routes import Route, StandIns
from lanewise.config.tables.sensitive import SensitiveCategory
from lanewise.config.tables.tasks import HedgeSettings, StreamSettings, Task
from lanewise.config.values.api_keys import KeySource
from lanewise.config.values.durations import duration_text, seconds_of

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
