"""The contract of one call: compiled from what its request asks for and from what its task declares.

Of a request's own words these ask for a shape: ``response_format`` (chat), ``text.format`` (Responses), ``tools`` and
``tool_choice``. A task adds its ``contract``. What a call does not ask for costs it some look-ups; what it asks for is
compiled once for all calls that say the same, by the bytes of what they say.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import msgspec

from lanewise._contracts.contract import Contract, DeclaredContract, JsonRule
from lanewise._contracts.format_cache import FormatCache
from lanewise._contracts.json_schema import BadSchema, Schema
from lanewise._contracts.tool_calls import Elsewhere, ToolRules, tool_rules
from lanewise._openai.lenient_json import MALFORMED
from lanewise._openai.request_body import RequestBody
from lanewise._openai.response_format import JSON_FORMATS, format_parameter, response_format
from lanewise.types import Api

__all__ = ["SHAPING", "BadFormat", "contract_of", "with_declared_format"]

_ENCODE: Final = msgspec.json.Encoder().encode
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
SHAPING: Final = frozenset({"response_format", "text", "tools", "functions"})
"""The parameters by which a request asks for a shape: a call without any of them, and of a task without a contract,
need not be looked at further."""


class BadFormat(ValueError):
    """What a request asks for can't be checked. ``param`` is the parameter that says it."""

    def __init__(self, param: str, problem: str) -> None:
        super().__init__(param, problem)
        self.param = param
        self.problem = problem


def contract_of(
    body: RequestBody, api: Api, declared: DeclaredContract | None, cache: FormatCache | None = None
) -> Contract | None:
    """What the answers to this body must keep, or ``None`` if anything will do.

    The app's own JSON Schema stands in place of the task's; the rest of the task's contract holds beside it. ``cache``
    keeps what is compiled, for the next request of the same format.

    Raises BadFormat: a schema of the request can't be compiled.

    Example::

        contract = contract_of(RequestBody.parse(b'{"response_format": {"type": "json_object"}}'), Api.CHAT, None)
    """
    fields = body.fields
    format_field = fields.get(format_parameter(api))
    tools = fields.get("tools")
    functions = fields.get("functions")
    if api is Api.EMBEDDINGS:
        return None
    cache = FormatCache() if cache is None else cache
    asked = None if format_field is None else cache.get(api.value, bytes(format_field), partial(_asked, api))
    rules: tuple[JsonRule, ...] = () if asked is None else (asked,)
    if declared is not None and declared.json is not None and (asked is None or asked.schema is None):
        rules += (declared.json,)
    offered = tools if functions is None else functions
    choice = fields.get("tool_choice") or fields.get("function_call")
    elsewhere = _offered_elsewhere(body) if api is Api.RESPONSES else Elsewhere.NOTHING
    called = _tools(_NO_TOOLS if offered is None else offered, choice, cache, elsewhere)
    if not rules and declared is None and (offered is None or called is None):
        return None
    return Contract(json=rules, declared=declared, tools=called, asked=asked is not None)


def with_declared_format(body: RequestBody, api: Api, declared: DeclaredContract | None) -> RequestBody:
    """The body with the task's schema as its format, where the app gave none; the same body if there is nothing to add.

    Example::

        body = with_declared_format(body, Api.CHAT, declared)
    """
    format_ = None if declared is None else declared.formats.get(api)
    if format_ is None:
        return body
    if api is Api.CHAT:
        return (
            body if _gives_format(body.fields.get("response_format")) else body.with_added("response_format", format_)
        )
    format_field = body.fields.get("text")
    try:
        options = {} if format_field is None or bytes(format_field) == b"null" else _FIELDS.decode(format_field)
    except MALFORMED:
        return body  # the provider says what is wrong with it
    if _gives_format(options.get("format")):
        return body
    return body.with_added("text", msgspec.Raw(_ENCODE({**options, "format": format_})))


class _Kind(msgspec.Struct):
    type: str | None = None


def _gives_format(raw: msgspec.Raw | None) -> bool:
    """Whether the app asked for a JSON of its own; ``{"type": "text"}`` is what goes without saying."""
    try:
        return raw is not None and bytes(raw) != b"null" and msgspec.json.decode(raw, type=_Kind).type != "text"
    except MALFORMED:
        return True


def _asked(api: Api, raw: bytes) -> JsonRule | None:
    """The rule that a request's format asks for. Raises BadFormat."""
    asked = response_format(api, raw)
    if asked is None or asked.type not in JSON_FORMATS:
        return None
    try:
        schema = asked.decoded_schema(api)
    except MALFORMED:
        return None  # the provider says what is wrong with it
    if asked.type == "json_object":
        return JsonRule(only_objects=True)
    if schema is None:
        return JsonRule()
    try:
        return JsonRule(Schema(schema, lenient=True))
    except BadSchema as error:
        problem = str(error)
    raise BadFormat(format_parameter(api), f"the schema can't be used: {problem}")


_NO_TOOLS: Final = msgspec.Raw(b"[]")
_WITH_FUNCTIONS: Final = ("conversation", "previous_response_id")
"""Parameters that refer to what the provider has stored, in which functions may have been offered."""
_TOOL_ITEMS: Final = (b'"additional_tools"', b'"tool_search_output"')


def _offered_elsewhere(body: RequestBody) -> Elsewhere:
    """What is, or may be, offered by more than a request's list of tools."""
    question = bytes(body.fields.get("input", b""))
    if body.has("prompt") or any(item in question for item in _TOOL_ITEMS):
        return Elsewhere.TOOLS
    return Elsewhere.FUNCTIONS if any(map(body.has, _WITH_FUNCTIONS)) else Elsewhere.NOTHING


def _tools(
    offered: msgspec.Raw, choice: msgspec.Raw | None, cache: FormatCache, elsewhere: Elsewhere
) -> ToolRules | None:
    try:
        return tool_rules(bytes(offered), None if choice is None else bytes(choice), cache, elsewhere)
    except BadSchema as error:
        problem = str(error)
    raise BadFormat("tools", f"the schema of a strict function can't be used: {problem}")
