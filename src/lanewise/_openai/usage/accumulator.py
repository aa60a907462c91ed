"""Gathering the usage that one answer reports: at the top, in its choices, in ``x_groq``, chunk by chunk."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from lanewise._openai.lenient_json import MALFORMED
from lanewise._openai.usage.entries import number
from lanewise._openai.usage.reading import read_usage
from lanewise._openai.usage.usage import Usage, add_up, most

__all__ = ["UsageAccumulator"]

_LONGEST_NAME: Final = 64
_MOST_KEPT: Final = 8
_APPS_OWN: Final = frozenset({
    "function_call", "custom_tool_call", "computer_call", "mcp_call", "local_shell_call", "apply_patch_call",
    "tool_search_call",
})  # fmt: skip
"""Calls that the app answers itself, or that cost nothing but their tokens."""


class UsageAccumulator:
    """Gathers what one answer says of its usage, wherever it says that, and however often.

    Of a count that is reported several times, or piece by piece, the largest holds: in a stream counts only grow, and
    one that is repeated is no second bill.

    Example::

        so_far = UsageAccumulator()
        so_far.add(chunk.usage)
        so_far.usage.output_tokens
    """

    __slots__ = ("_by_choice", "_parts", "_service_tier", "_tool_usage", "_tools", "_whole")

    def __init__(self) -> None:
        self._whole: list[object] = []
        self._by_choice: dict[int, list[object]] = {}
        self._tools: dict[str, int] = {}
        self._tool_usage: object = None
        self._parts = False
        self._service_tier: str | None = None

    def add(self, raw: object, choice: int | None = None) -> None:
        """A usage: of the whole answer, or of one of its choices (Moonshot)."""
        if isinstance(raw, msgspec.Raw) and bytes(raw) == b"null":
            return
        raws = self._whole if choice is None else self._by_choice.setdefault(choice, [])
        raws.append(raw)
        if len(raws) > _MOST_KEPT:  # in each chunk: what lies between the first and the last only grows
            del raws[_MOST_KEPT // 2]

    def add_groq(self, raw: object) -> None:
        """What Groq adds to an answer: the usage is in there."""
        try:
            added = msgspec.json.decode(raw) if isinstance(raw, msgspec.Raw) else raw
        except MALFORMED:
            return
        if isinstance(added, dict) and added.get("usage"):
            self.add(added["usage"])

    def add_service_tier(self, raw: object) -> None:
        """Under which tier the answer was made."""
        tier = raw
        if isinstance(raw, msgspec.Raw):
            try:
                tier = msgspec.json.decode(raw)
            except MALFORMED:
                return
        if isinstance(tier, str) and tier:
            self._service_tier = tier[:_LONGEST_NAME]

    def add_item(self, item: object) -> None:
        """An output item of a Responses stream that is complete."""
        if isinstance(item, dict) and (tool := _hosted_tool(item.get("type"), item.get("action"))) is not None:
            self._tools[tool] = self._tools.get(tool, 0) + 1

    def add_items(self, items: Iterable[tuple[object, object]]) -> None:
        """The kinds of all output items of a response, each with its action; its stream may have had them before."""
        called = Counter(tool for kind, action in items if (tool := _hosted_tool(kind, action)) is not None)
        for tool, count in called.items():
            self._tools[tool] = max(count, self._tools.get(tool, 0))

    def add_tool_usage(self, raw: object) -> None:
        """What the provider's own tools used, in its own count (`tool_usage` of Responses)."""
        self._tool_usage = raw

    def add_parts(self) -> None:
        """The answer was made by several models, each with a usage of its own (`usage_breakdown` of Groq)."""
        self._parts = True

    @property
    def usage(self) -> Usage:
        """All of it."""
        if len(self._whole) == 1 and not self._by_choice:
            return self._completed(read_usage(self._whole[0]))
        usages = [read_usage(raw) for raw in self._whole]
        if self._by_choice:
            usages.append(_of_choices([most([read_usage(raw) for raw in raws]) for raws in self._by_choice.values()]))
        return self._completed(most(usages))

    def _completed(self, usage: Usage) -> Usage:
        """A usage, with the service tier and the tool calls that the answer reports elsewhere."""
        if self._service_tier is not None:
            usage = replace(usage, service_tier=self._service_tier)
        if self._tools or self._tool_usage is not None:
            usage = _with_tools(usage, self._tools, self._tool_usage)
        return _unclear(usage, "usage_breakdown") if self._parts else usage


def _hosted_tool(item: object, action: object) -> str | None:
    """The provider's own tool that an output item is a billed call of: opening a page costs nothing."""
    if not isinstance(item, str) or not item.endswith("_call") or item in _APPS_OWN:
        return None
    tool = item.removesuffix("_call")
    if tool == "web_search" and isinstance(action, dict) and action.get("type", "search") != "search":
        return None
    return tool[:_LONGEST_NAME]


def _of_choices(usages: Sequence[Usage]) -> Usage:
    """The usage of several choices that each report one, their own or that of all: at the most the sum."""
    if len(usages) == 1:
        return usages[0]
    read = max((usage.input_tokens or 0 for usage in usages), default=0)
    return _unclear(replace(add_up(usages), input_tokens=read or None), "choices")


def _with_tools(usage: Usage, called: Mapping[str, int], raws: object) -> Usage:
    """With the calls of the provider's own tools: its own count of what it bills goes before what was seen."""
    tools = {**called, **dict(usage.tool_calls)}
    try:
        table = msgspec.json.decode(raws) if isinstance(raws, msgspec.Raw) else raws
    except MALFORMED:
        table = None
    for tool, use in table.items() if isinstance(table, dict) else ():
        count = number(use.get("num_requests")) if isinstance(use, dict) else None
        if count is not None:
            tools[tool] = math.ceil(count)
        elif isinstance(use, dict) and any(number(value) for value in use.values()):
            tools.setdefault(tool, 1)
    return replace(usage, tool_calls=tuple(sorted((tool[:_LONGEST_NAME], n) for tool, n in tools.items() if n)))


def _unclear(usage: Usage, name: str) -> Usage:
    return replace(usage, unclear=(*usage.unclear, name))
