"""Reading a usage entry by entry, as servers write it: under several names, nested or not, as floats and as texts.

An entry with a count whose name is in no table is listed in ``unclear``: it may be billed, so the cost is not known.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from lanewise._openai.usage.entry_names import (
    CACHED,
    COSTS,
    COUNTS,
    FREE_TOOLS,
    KINDS,
    NOT_BILLED,
    REASONING,
    SEARCHES,
    WRITTEN,
)
from lanewise._openai.usage.totals import complete_totals
from lanewise._openai.usage.usage import Usage

__all__ = ["MOST", "UsageEntries", "number", "with_cost"]

MOST: Final = 10**12
"""A count above this is none, and neither is a cost in US dollars."""
_DEEPEST: Final = 4
_LONGEST_NAME: Final = 64
_USD_PER_TICK: Final = 1e-10
"""xAI's `cost_in_usd_ticks`: ten thousand million ticks are a US dollar."""
_ANYWHERE: Final = ("global", "not_available")
"""Where Anthropic asks no more for an answer; elsewhere a tenth."""
_DOLLARS: Final = frozenset({"usd", "us$", "$"})

_NO_COUNT: Final = re.compile(
    r"time|latency|duration|ttft|speed|(?:^|_)(?:tps|ms|ns)(?:_|$)|per_s(?:ec)?|_rate$|_ratio$|percent|price|_index$"
)
"""Names of what a server measures beside the usage."""
_LIFETIME: Final = re.compile(r"(?:^|_)(\d{1,4})_?([smhd])_(?:input_)?tokens$")
_TOOL_TABLES: Final = re.compile(r"tool_use|tool_usage|tool_calls|plugins")
_TOOL_COUNT: Final = re.compile(r"^(?:num_)?(.+?)(?:_(?:requests|calls|invocations|used|count))?$")


class UsageEntries:
    """One table of usage, read entry by entry."""

    def __init__(self, table: Mapping[str, object]) -> None:
        self._found: dict[str, int] = {}
        self._lifetimes: dict[str, int] = {}
        self._tools: dict[str, int] = {}
        self._costs: dict[str, float] = {}
        self._words: dict[str, str] = {}
        self._own_key: bool | None = None
        self._unclear: list[str] = []
        self._cached_apart = "input_tokens" in table and "input_tokens_details" not in table
        """As Anthropic has it: what is cached or written is not among the input's."""
        for name, value in table.items():
            if isinstance(value, dict):
                self._table(name, value)
            else:
                self._entry(name, value)

    def _entry(self, name: str, value: object) -> None:
        if value is None or value == 0 or value == "":
            self._nothing(name, value)
        elif name in COUNTS:
            self._count(COUNTS[name], name, value)
        elif name in COSTS:
            self._cost(COSTS[name], name, value, _USD_PER_TICK if name == "cost_in_usd_ticks" else 1.0)
        elif name == "is_byok":
            self._own_key = value if isinstance(value, bool) else None
        elif name in ("service_tier", "speed"):
            if isinstance(value, str):
                self._words[name] = value[:_LONGEST_NAME]
        elif name == "inference_geo":
            if value not in _ANYWHERE:
                self._unclear.append(name)
        elif name in ("num_search_queries", "num_sources_used"):
            self._tool("web_search" if name == "num_search_queries" else "sources", value)
        elif (lifetime := _LIFETIME.search(name)) is not None:
            self._count_lifetime(lifetime, name, value)
        else:
            self._unknown(name, value)

    def _nothing(self, name: str, value: object) -> None:
        """A zero says something where it is a cost, a key that is not the app's own, or a count of ours."""
        if value is None or value == "":
            return
        if name == "is_byok":
            self._own_key = False
        elif name in COSTS:
            self._costs.setdefault(COSTS[name], 0.0)
        elif name in COUNTS:
            self._found.setdefault(COUNTS[name], 0)

    def _table(self, name: str, table: Mapping[str, object], depth: int = 1) -> None:
        if name == "cost":
            self._cost_table(table)
        elif name == "cost_details":
            self._nested(table, {"upstream_inference_cost": "upstream_cost_usd"})
        elif _TOOL_TABLES.search(name):
            self._tool_table(table)
        elif depth < _DEEPEST:
            direction = "input" if "input" in name or "prompt" in name else "output"
            for key, value in table.items():
                if isinstance(value, dict):
                    nested = key if "cache" in key or name == key else f"{direction}_{key}"
                    self._table(nested, value, depth + 1)
                else:
                    self._detail(name, direction, key, value)

    def _detail(self, table: str, direction: str, name: str, value: object) -> None:
        if value is None or value == 0:
            self._zero_detail(table, direction, name, value)
        elif (lifetime := _LIFETIME.search(name)) is not None:
            self._count_lifetime(lifetime, name, value)
        elif "cached" in table or "cache_read" in table:
            self._cached_detail(name, value)
        elif name in CACHED:
            self._count("cached_tokens", name, value)
        elif name in WRITTEN:
            self._count("cache_write_tokens", name, value)
        elif name in REASONING:
            self._count("reasoning_tokens", name, value)
        elif name in KINDS:
            self._count(f"{direction}_{name}", name, value)
        else:
            self._unknown(name, value)

    def _zero_detail(self, table: str, direction: str, name: str, value: object) -> None:
        if value is None or isinstance(value, bool) or "cached" in table:
            return
        if name in CACHED:
            self._found.setdefault("cached_tokens", 0)
        elif name in WRITTEN:
            self._found.setdefault("cache_write_tokens", 0)
        elif name in REASONING:
            self._found.setdefault("reasoning_tokens", 0)
        elif name in KINDS:
            self._found.setdefault(f"{direction}_{name}", 0)

    def _cached_detail(self, name: str, value: object) -> None:
        kind = name.removeprefix("cached_")
        if kind in ("audio_tokens", "image_tokens"):
            self._count(f"cached_{kind}", name, value)
        elif kind != "text_tokens":
            self._unknown(name, value)

    def _tool_table(self, table: Mapping[str, object]) -> None:
        """Calls of tools: a count a tool, or a table with a count in it."""
        for name, value in table.items():
            if isinstance(value, dict):
                counts = [count for count in map(number, value.values()) if count]
                value = max(counts, default=0)
            if value:
                self._tool(name, value)

    def _tool(self, name: str, value: object) -> None:
        matched = _TOOL_COUNT.match(name)
        tool = (matched[1] if matched else name)[:_LONGEST_NAME]
        count = number(value)
        if tool in FREE_TOOLS or isinstance(value, str | bool):
            return
        if count is None:
            self._unclear.append(name[:_LONGEST_NAME])
        elif count:
            tool = "web_search" if tool in SEARCHES else tool
            self._tools[tool] = max(self._tools.get(tool, 0), math.ceil(count))

    def _cost_table(self, table: Mapping[str, object]) -> None:
        """Perplexity's: what each part costs, and the total."""
        currency = table.get("currency")
        if isinstance(currency, str) and currency.lower() not in _DOLLARS:
            self._unclear.append("currency")
        else:
            self._nested(table, {"total_cost": "reported_cost_usd", "total": "reported_cost_usd"})

    def _nested(self, table: Mapping[str, object], names: Mapping[str, str]) -> None:
        for name, field in names.items():
            if table.get(name) is not None:
                self._cost(field, name, table[name])

    def _cost(self, field: str, name: str, value: object, unit: float = 1.0) -> None:
        dollars = number(value)
        if dollars is None:
            self._unclear.append(name)
        else:
            self._costs[field] = max(self._costs.get(field, 0.0), dollars * unit)

    def _count(self, field: str, name: str, value: object) -> None:
        count = number(value)
        if count is None:
            self._unclear.append(name)
            return
        whole = math.ceil(count)
        if whole != count:
            self._unclear.append(name)
        self._found[field] = max(self._found.get(field, 0), whole)

    def _count_lifetime(self, lifetime: re.Match[str], name: str, value: object) -> None:
        count = number(value)
        if count is None:
            self._unclear.append(name[:_LONGEST_NAME])
        elif count:
            label = f"{int(lifetime[1])}{lifetime[2]}"
            self._lifetimes[label] = max(self._lifetimes.get(label, 0), math.ceil(count))

    def _unknown(self, name: str, value: object) -> None:
        """An entry of an unknown name: one that counts something may be billed."""
        if isinstance(value, bool | str) or not value or name in NOT_BILLED or _NO_COUNT.search(name):
            return
        self._unclear.append(name[:_LONGEST_NAME])

    # -- what it comes to ----------------------------------------------------------------------------------------

    def usage(self) -> Usage:
        """All of it."""
        found = self._found
        total = found.pop("total_tokens", None)
        written = sum(self._lifetimes.values())
        if written > found.get("cache_write_tokens", 0):
            found["cache_write_tokens"] = written
        self._unclear += complete_totals(found, total, cached_apart=self._cached_apart)
        if not found.get("input_tokens"):
            found.pop("input_tokens", None)  # no question has no tokens
        return Usage(
            **found,  # type: ignore[arg-type]
            **self._costs,  # type: ignore[arg-type]
            **self._words,  # type: ignore[arg-type]
            cache_write_lifetimes=tuple(sorted(self._lifetimes.items())),
            tool_calls=tuple(sorted(self._tools.items())),
            own_key=self._own_key,
            unclear=tuple(dict.fromkeys(self._unclear)),
        )


def with_cost(usage: Usage, text: str) -> Usage:
    """A usage with the cost of a response header. Zero is not taken: there it stands for a price that is not known."""
    cost = number(text)
    return replace(usage, reported_cost_usd=cost) if cost else usage


def number(value: object) -> float | None:
    """A number that is one, also as a text; ``None`` if it can't be believed."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value <= MOST else None  # not a number is neither
