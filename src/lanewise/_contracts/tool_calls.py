"""What calls of functions must keep: only functions that were, or may have been, offered, with arguments that are JSON
objects, and that keep the schema of a strict function."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from lanewise._contracts.format_cache import FormatCache
from lanewise._contracts.json_schema import NO_VERDICTS, Schema, Verdicts
from lanewise._openai.choices import ToolCall
from lanewise._openai.lenient_json import MALFORMED, read_json

__all__ = ["Elsewhere", "ToolRules", "tool_rules"]

_FUNCTIONS: Final = frozenset({None, "function", "custom"})
_NO_ARGUMENTS: Final = ("", "null")
_NOTHING: Final = (b"null", b"[]")


class _Inner(msgspec.Struct):
    name: str | None = None
    parameters: object = None
    strict: object = None


class _Tool(_Inner):
    """A tool as chat writes it (an object within), as Responses does (flat), or one of the old ``functions``."""

    type: str | None = None
    function: _Inner | None = None
    custom: _Inner | None = None

    def described(self) -> _Inner:
        return self.function or self.custom or self


class _Allowed(msgspec.Struct):
    mode: str | None = None


class _Choice(msgspec.Struct):
    """A choice of tools that is an object: one function, or some that are allowed (chat has these one level down)."""

    type: str | None = None
    name: str | None = None
    function: _Inner | None = None
    mode: str | None = None
    allowed_tools: _Allowed | None = None


class _Offer(msgspec.Struct, frozen=True):
    """The functions in a request's list of tools. ``closed``: nothing else is in it. ``needy``: those that can't do
    without arguments."""

    schemas: Mapping[str, Schema | None]
    closed: bool
    needy: frozenset[str]


class Elsewhere(enum.Enum):
    """What a request offers by more than its list of tools."""

    NOTHING = enum.auto()
    FUNCTIONS = enum.auto()
    """Whose calls are seen in the answer."""
    TOOLS = enum.auto()
    """Also the provider's own, which it calls unseen."""


class ToolRules(msgspec.Struct, frozen=True):
    """What the calls of an answer must keep. ``required`` is the function that must be called; ``""`` is any.
    ``forbidden``: none may be. ``elsewhere``: what the request offers beside its list of tools.

    The list of tools is only read once an answer calls one of them, or at once where one of them is strict.
    """

    tools: bytes
    cache: FormatCache
    required: str | None = None
    forbidden: bool = False
    elsewhere: Elsewhere = Elsewhere.NOTHING

    def __repr__(self) -> str:
        return "<ToolRules>"

    def breach(self, calls: Sequence[ToolCall], verdicts: Verdicts = NO_VERDICTS) -> str | None:
        """What is wrong with an answer's calls, or ``None``. Raises TooMuchWork.

        Example::

            rules.breach([ToolCall("refund", '{"amount": ')])  # "the arguments of refund are no JSON object"
        """
        if not calls:
            return "it calls no function, and one was required" if self._wants_calls() else None
        if self.forbidden:
            return "it calls a function, and none was to be called"
        offer = _offer(self.tools, self.cache)
        if offer is None:
            return None
        for call in calls:
            if call.name not in offer.schemas and offer.closed and self.elsewhere is Elsewhere.NOTHING:
                return "it calls a function that was not offered"
            problem = _wrong_with(call, offer, verdicts)
            if problem is not None:
                return problem
        if self.required and all(call.name != self.required for call in calls):
            return "it does not call the function that was required"
        return None

    def _wants_calls(self) -> bool:
        """Whether an answer without calls is none. A tool of the provider's own, a web search, is called unseen."""
        if self.required:
            return True
        offer = None if self.required is None else _offer(self.tools, self.cache)
        return offer is not None and offer.closed and self.elsewhere is not Elsewhere.TOOLS


def _wrong_with(call: ToolCall, offer: _Offer, verdicts: Verdicts) -> str | None:
    if call.arguments is None:
        return None
    what = f"the arguments of {call.name}" if call.name in offer.schemas else "the arguments of a call"
    try:
        arguments = _read(call.arguments, may_be_empty=call.name not in offer.needy)
    except MALFORMED:
        return f"{what} are not JSON"
    if not isinstance(arguments, dict):
        return f"{what} are no JSON object"
    schema = offer.schemas.get(call.name)
    breach = None if schema is None else schema.breach(arguments, call.arguments, verdicts)
    return None if breach is None else f"{what}: {breach}"


def _read(arguments: str, *, may_be_empty: bool) -> object:
    """Arguments as an app reads them. Many servers send nothing, or null, where a function takes no parameters."""
    if may_be_empty and arguments.strip() in _NO_ARGUMENTS:
        return {}
    try:
        return msgspec.json.decode(arguments)
    except MALFORMED:
        return read_json(arguments)


def tool_rules(
    tools: bytes, choice: bytes | None, cache: FormatCache | None = None, elsewhere: Elsewhere = Elsewhere.NOTHING
) -> ToolRules | None:
    """The rules for what a request offers, both as the JSON that the app sent; ``None`` if it offers nothing.

    ``cache`` keeps what is compiled, for the next request with the same tools. ``elsewhere``: what the request
    offers beside this list.

    Raises BadSchema: the schema of a strict function can't be compiled.

    Example::

        tool_rules(b'[{"type": "function", "function": {"name": "refund", "strict": true}}]', b'"required"')
    """
    if tools in _NOTHING and elsewhere is Elsewhere.NOTHING:
        return None
    cache = FormatCache() if cache is None else cache
    if b'"strict"' in tools:
        _offer(tools, cache)  # now, so that a schema that can't be used is reported before anything is sent
    required = None if choice is None else _required(choice)
    return ToolRules(tools, cache, required, forbidden=choice == b'"none"', elsewhere=elsewhere)


def _required(choice: bytes) -> str | None:
    if choice in (b'"auto"', b'"none"'):
        return None
    if choice == b'"required"':
        return ""
    try:
        chosen = msgspec.json.decode(choice, type=_Choice)
    except MALFORMED:
        return None
    if chosen.type == "allowed_tools":
        return "" if (chosen.allowed_tools or chosen).mode == "required" else None
    if chosen.type not in (None, "function"):
        return None
    return chosen.name or (chosen.function.name if chosen.function else None)


def _offer(tools: bytes, cache: FormatCache) -> _Offer | None:
    return cache.get("tools", tools, _read_offer)


def _read_offer(tools: bytes) -> _Offer | None:
    """The functions of a list of tools; ``None`` if it makes no sense (the provider says so). Raises BadSchema."""
    try:
        offered = msgspec.json.decode(tools, type=list[_Tool])
    except MALFORMED:
        return None
    schemas: dict[str, Schema | None] = {}
    needy = set()
    closed = True
    for tool in offered:
        described = tool.described()
        if tool.type not in _FUNCTIONS or not described.name:  # a tool of the provider's own, as it calls it
            closed = False
        else:
            strict = described.strict is True and described.parameters is not None
            schemas[described.name] = Schema(described.parameters, lenient=True) if strict else None
            if isinstance(described.parameters, dict) and described.parameters.get("required"):
                needy.add(described.name)
    return _Offer(schemas, closed, frozenset(needy))
