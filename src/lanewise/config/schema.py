"""The JSON Schema of the TOML file, for editors. Keys, descriptions and defaults come from the models."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, JsonValue
from pydantic.fields import FieldInfo

from lanewise.config.budgets import LIMIT_PATTERN, PER_PATTERN, Budget
from lanewise.config.capabilities import ABILITIES, StandIns
from lanewise.config.clients import DIGEST, SUBJECT, Client
from lanewise.config.contracts import Contract
from lanewise.config.durations import duration_text
from lanewise.config.lanes import LaneEntry
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
from lanewise.config.prices import LongPromptPrices, PriceTable, TierPrices
from lanewise.config.start_rules import StartRule
from lanewise.config.values import DEFAULT, REVIEW_LOCATION
from lanewise.types import NEVER_MOVE, Api, FailureKind, LaneName

__all__ = ["toml_schema"]

_Schema = dict[str, JsonValue]

_NAME = r"^[A-Za-z0-9._:/-]{1,64}$"
_TEXT: _Schema = {"type": "string"}
_NON_EMPTY: _Schema = {"type": "string", "minLength": 1}
_BOOL: _Schema = {"type": "boolean"}
_COUNT: _Schema = {"type": "integer", "minimum": 1}
_TEXTS: _Schema = {"type": "array", "items": {"type": "string", "minLength": 1}}
_TEXT_TABLE: _Schema = {"type": "object", "additionalProperties": {"type": "string"}}
_TABLE: _Schema = {"type": "object"}
_HEADER: _Schema = {"type": "string", "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"}
_VARIABLE: _Schema = {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}
_DURATION: _Schema = {"$ref": "#/$defs/duration"}
_LANE: _Schema = {"$ref": "#/$defs/lane"}
_FAILURES: _Schema = {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/failure"}}
_LANE_NAMES: list[JsonValue] = [lane.value for lane in LaneName]

_STREAM: Mapping[str, _Schema] = {
    "hold": {"enum": ["none", "all"]},
    "on_break": {"enum": ["error", "restart"]},
    "stall": _DURATION,
    "silence": _DURATION,
    "max": _DURATION,
}
_PROVIDER: Mapping[str, _Schema] = {
    "insecure": _BOOL,
    "base_url": {"type": "string", "pattern": "^https?://[^@?#]+$"},
    "api_key_env": _VARIABLE,
    "auth_header": _HEADER,
    "query": _TEXT_TABLE,
    "headers": _TEXT_TABLE,
    "idempotency_header": {"anyOf": [_HEADER, {"const": False}]},
    "account": _NON_EMPTY,
    "optional": _BOOL,
    "rpm": _COUNT,
    "tpm": _COUNT,
    "max_concurrency": _COUNT,
    "max_idle_connections": _COUNT,
}
_BUDGET: Mapping[str, _Schema] = {
    "limit": {"type": "string", "pattern": LIMIT_PATTERN},
    "window": _DURATION,
    "per": {"type": "string", "pattern": PER_PATTERN},
    "tasks": {**_TEXTS, "minItems": 1},
    "over": {"enum": ["refuse", "equivalent", "degraded"]},
}
_HEDGE: Mapping[str, _Schema] = {
    "after": {"anyOf": [{"const": "p95"}, _DURATION]},
    "share": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
}
_STAND_IN: Mapping[str, _Schema] = {
    "response_format": {"const": "prompt"},
    "strict_tools": {"const": "check"},
    "n": {"const": "calls"},
    "developer": {"const": "system"},
}
_ROUTE: Mapping[str, _Schema] = {
    "provider": _NON_EMPTY,
    "model": _NON_EMPTY,
    "api": {"type": "array", "minItems": 1, "items": {"enum": [api.value for api in Api]}},
    "timeout": _DURATION,
    "first_token": _DURATION,
    "stall": _DURATION,
    "drop": _TEXTS,
    "rename": _TEXT_TABLE,
    "cannot": {"type": "array", "items": {"enum": list(ABILITIES)}},
    "set": _TABLE,
    "system_suffix": _NON_EMPTY,
    "weight": {"type": "number", "exclusiveMinimum": 0},
    "context_window": _COUNT,
    "max_output": _COUNT,
    "answers_as": _TEXTS,
    "reasoning": _BOOL,
    "same_as": _TEXTS,
}
_CONTRACT: Mapping[str, _Schema] = {
    "schema": {"anyOf": [_NON_EMPTY, _TABLE]},
    "max_chars": _COUNT,
    "must_match": _TEXT,
    "check": {"type": "string", "pattern": r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$"},
    "on_violation": {"enum": ["next", "repair"]},
}
_CATEGORY: Mapping[str, _Schema] = {
    "routes": _TEXTS,
    "on_failure": {"enum": ["fail", "review"]},
    "review_routes": _TEXTS,
    "expires": _DURATION,
    "keep": _DURATION,
}
_DIGEST: _Schema = {"type": "string", "pattern": DIGEST}
_CLIENT: Mapping[str, _Schema] = {
    "key": {"anyOf": [_DIGEST, {"type": "array", "minItems": 1, "items": _DIGEST}]},
    "tasks": {**_TEXTS, "minItems": 1},
    "sensitive": _NON_EMPTY,
    "labels": _TEXT_TABLE,
    "subject": {"type": "string", "pattern": SUBJECT},
    "deadline": _DURATION,
    "rpm": _COUNT,
    "max_concurrency": _COUNT,
}
_NUMBER: _Schema = {"type": "number", "minimum": 0}
_HEALTH: Mapping[str, _Schema] = {
    "slow_call": {"type": "string", "pattern": r"^[0-9]{1,12}(\.[0-9]{1,9})?(x|ms|s|m|h|d)$"},
    "breakers": _BOOL,
    "consecutive_failures": _COUNT,
    "failure_ratio": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    "minimum_throughput": _COUNT,
    "sampling_duration": _DURATION,
    "break_duration": _DURATION,
    "max_break_duration": _DURATION,
    "throttle_duration": _DURATION,
    "max_throttle_duration": _DURATION,
    "throttle": _BOOL,
    "retry_tokens": {"type": "number", "exclusiveMinimum": 0},
    "retry_tokens_kept": _NUMBER,
    "retry_tokens_per_success": _NUMBER,
    "retry_tokens_per_second": _NUMBER,
}
_ROUTER: Mapping[str, _Schema] = {
    "state": _NON_EMPTY,
    "ledger": _NON_EMPTY,
    "keep": _DURATION,
    "replay": _DURATION,
    "request_id_header": _HEADER,
    "undeclared": {"type": "string", "pattern": "^(standard|refuse|sensitive:.+)$"},
    "tell_callers": _BOOL,
    "secret_env": _VARIABLE,
    "storage_key_env": _VARIABLE,
    "proxy": {"type": "string", "pattern": "^(env|none|https?://.+)$"},
    "drill_header": _HEADER,
    "opentelemetry": _BOOL,
    "prometheus": _BOOL,
    "review_location": {"type": "string", "pattern": REVIEW_LOCATION.pattern},
    "max_answer_bytes": _COUNT,
    "max_embeddings_bytes": _COUNT,
    "expected_workers": _COUNT,
    "max_replay_bytes": _COUNT,
    "max_event_bytes": _COUNT,
}


def toml_schema() -> dict[str, JsonValue]:
    """The schema (draft 2020-12) of a config in TOML.

    Example::

        Path("lanewise.schema.json").write_text(json.dumps(toml_schema()))
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Lanewise config",
        "description": "Providers, routes and tasks of an app's AI calls.",
        "type": "object",
        "additionalProperties": False,
        "required": ["providers", "routes", "tasks"],
        "properties": {
            "router": _table(RouterSettings, _router(), "The router's own settings."),
            "providers": _named(
                _table(Provider, _PROVIDER, "An account at an OpenAI-compatible endpoint."), "providers"
            ),
            "routes": _named(_table(Route, _route(), "One provider and one model.", "provider", "model"), "routes"),
            "tasks": _named(_table(Task, _task(), "A class of work: its lanes and rules.", "primary"), "tasks"),
            "sensitive": _named(
                _table(SensitiveCategory, _CATEGORY, "A kind of call that only approved routes may answer.", "routes"),
                "sensitive categories",
                least=0,
            ),
            "budgets": _named(
                _table(Budget, _BUDGET, "What may be spent in a window of time.", "limit", "window"), "budgets", least=0
            ),
            "endpoints": {
                "description": "Path patterns, each with the sensitive category of what happens under it.",
                "type": "object",
                "propertyNames": {"pattern": "^/"},
                "additionalProperties": {"type": "string", "minLength": 1},
            },
            "clients": _named(
                _table(Client, _CLIENT, "Who may call the app's own OpenAI endpoint."), "clients", least=0
            ),
        },
        "$defs": {"duration": _duration(), "failure": _failure(), "lane": _lane()},
    }


def _router() -> Mapping[str, _Schema]:
    return {**_ROUTER, "health": _table(HealthSettings, _HEALTH, "Circuit breakers and retry budgets.")}


def _route() -> Mapping[str, _Schema]:
    return {
        **_ROUTE,
        "stand_in": _table(StandIns, _STAND_IN, "How this route stands in for what it can't take."),
        "price": _price(),
    }


def _price() -> _Schema:
    dollars: _Schema = {"type": "number", "minimum": 0, "maximum": 1e6}
    tokens = dict.fromkeys(TierPrices.model_fields, dollars)
    steps: _Schema = {
        "type": "array",
        "items": _table(LongPromptPrices, {**tokens, "above": _COUNT}, "Prices of long prompts.", "above"),
    }
    tiers: _Schema = {"type": "object", "additionalProperties": _table(TierPrices, tokens, "Prices of a service tier.")}
    shapes = {**tokens, "requests": dollars, "web_searches": dollars, "tiers": steps, "service_tiers": tiers}
    return _table(PriceTable, shapes, "The route's own prices.", "input", "output")


def _task() -> Mapping[str, _Schema]:
    kinds: list[JsonValue] = [kind.value for kind in FailureKind]
    retries: _Schema = {"type": "integer", "minimum": 0, "maximum": 3}
    return {
        "deadline": _DURATION,
        "patience": _DURATION,
        "primary": _LANE,
        "equivalent": _LANE,
        "degraded": _LANE,
        "retries": {"type": "object", "propertyNames": {"enum": kinds}, "additionalProperties": retries},
        "max_attempts": {"type": "integer", "minimum": 1, "maximum": 16},
        "sensitive": _NON_EMPTY,
        "contract": {"anyOf": [_NON_EMPTY, _table(Contract, _CONTRACT, "What an answer must look like.")]},
        "stream": _table(StreamSettings, _STREAM, "How streams behave."),
        "select": {"enum": ["order", "weight", "cheapest", "fastest"]},
        "hedge": _table(HedgeSettings, _HEDGE, "A second request to the next route."),
        "sticky": {"enum": ["subject", "conversation"]},
        "start": {"anyOf": [{"enum": _LANE_NAMES}, {"type": "array", "minItems": 1, "items": _start_rule()}]},
        "alert_cost_per_day": {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)? USD$"},
    }


def _start_rule() -> _Schema:
    when: _Schema = {**_NON_EMPTY, "description": StartRule.model_fields["when"].description or ""}
    lane: _Schema = {"enum": _LANE_NAMES, "description": StartRule.model_fields["lane"].description or ""}
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["when", "lane"],
        "properties": {"when": when, "lane": lane},
    }


def _table(model: type[BaseModel], shapes: Mapping[str, _Schema], description: str, *required: str) -> _Schema:
    """A table with the keys of ``shapes``: a model's fields that can be written in TOML."""
    properties: dict[str, JsonValue] = {}
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    for key, shape in shapes.items():
        field = fields[key]
        about: _Schema = {"description": field.description or description}
        default = _default(field, is_duration=shape == _DURATION)
        properties[key] = {**shape, **about, **({} if default is None else {"default": default})}
    table: _Schema = {
        "description": description,
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }
    return {**table, "required": list(required)} if required else table


def _default(field: FieldInfo, *, is_duration: bool) -> JsonValue:
    default = field.default
    if is_duration:
        return duration_text(default) if isinstance(default, float) else None
    return default if isinstance(default, str | bool | int | float) and default != "" else None


def _named(table: _Schema, what: str, *, least: int = 1) -> _Schema:
    return {
        "description": f"The {what}, each under its name.",
        "type": "object",
        "minProperties": least,
        "propertyNames": {"pattern": _NAME},
        "additionalProperties": table,
    }


def _duration() -> _Schema:
    return {
        "description": "A number and a unit: ms, s, m, h or d.",
        "type": "string",
        "pattern": r"^[0-9]{1,12}(\.[0-9]{1,9})?(ms|s|m|h|d)$",
        "examples": ["800ms", "12s", "5m", "90d"],
    }


def _failure() -> _Schema:
    moving = set(FailureKind) - NEVER_MOVE
    return {
        "description": "What went wrong in an attempt.",
        "enum": [DEFAULT, *(kind.value for kind in FailureKind if kind in moving)],
    }


def _lane() -> _Schema:
    on: _Schema = {**_FAILURES, "description": LaneEntry.model_fields["on"].description or ""}
    route: _Schema = {**_NON_EMPTY, "description": LaneEntry.model_fields["route"].description or ""}
    entry: _Schema = {
        "type": "object",
        "additionalProperties": False,
        "required": ["route"],
        "properties": {"route": route, "on": on},
    }
    entries: _Schema = {"type": "array", "minItems": 1, "items": {"anyOf": [_NON_EMPTY, entry]}}
    table: _Schema = {
        "type": "object",
        "additionalProperties": False,
        "required": ["routes"],
        "properties": {
            "routes": {"anyOf": [_NON_EMPTY, entries], "description": "The names of routes, in order."},
            "on": on,
        },
    }
    return {
        "description": "A route, a list of routes, or a table with `routes` and `on`.",
        "anyOf": [_NON_EMPTY, entries, entry, table],
    }
