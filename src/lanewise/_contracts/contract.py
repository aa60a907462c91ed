"""What an answer must look like to count: compiled from the request and from the task, and checked on every answer.

Of a request's own words these ask for a shape: ``response_format`` (chat), ``text.format`` (Responses), ``tools`` and
``tool_choice``. A task adds its ``contract``. What a call does not ask for costs it some look-ups; what it asks for is
compiled once for all calls that say the same, by the bytes of what they say.

A breach is told in paths and keywords. Nothing here keeps, logs or tells what an answer says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from re import Pattern
from typing import Final

import msgspec

from lanewise._contracts.format_cache import FormatCache
from lanewise._contracts.json_schema import NO_VERDICTS, BadSchema, Question, Schema, TooMuchWork, Verdicts
from lanewise._contracts.pattern_cost import MOST_STEPS, search_steps
from lanewise._contracts.tool_calls import ToolRules, tool_rules
from lanewise._failures import failure_table as failures
from lanewise._openai.choices import Choice
from lanewise._openai.finish_reasons import LENGTH
from lanewise._openai.lenient_json import MALFORMED, read_valid_json
from lanewise._openai.request_body import RequestBody
from lanewise._openai.response_format import JSON_FORMATS, format_parameter, response_format
from lanewise.types import Api, Failure

__all__ = [
    "SHAPING",
    "BadFormat",
    "Breach",
    "Contract",
    "DeclaredContract",
    "JsonRule",
    "Repair",
    "contract_of",
    "with_declared_format",
]

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


class JsonRule(msgspec.Struct, frozen=True):
    """A text that must be JSON: an object, or whatever its schema says."""

    schema: Schema | None = None
    only_objects: bool = False

    def breach(self, text: str, verdicts: Verdicts = NO_VERDICTS) -> str | None:
        """What is wrong with a text, or ``None``. Raises TooMuchWork."""
        try:
            value = _read(text)
        except MALFORMED:
            return _not_json(text)
        if self.schema is not None:
            return self.schema.breach(value, text, verdicts)
        return "it is no JSON object" if self.only_objects and not isinstance(value, dict) else None


def _read(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except MALFORMED:
        return read_valid_json(text)


def _not_json(text: str) -> str:
    if not text.strip():
        return "it has no text"
    return "it is not JSON: a code fence is around it" if text.lstrip().startswith("```") else "it is not JSON"


class DeclaredContract(msgspec.Struct, frozen=True, kw_only=True):
    """A task's contract, ready to be checked. ``formats`` is what asks a provider for its schema, by kind of API.

    ``accepts`` says more than the schema can (a pydantic model's own validators): it gives what is wrong, in words
    without values. ``check`` is the app's own, and says whether a text will do. ``repair``: a route that breaks the
    contract may mend its answer, once.
    """

    json: JsonRule | None = None
    formats: Mapping[Api, msgspec.Raw] = {}
    accepts: Callable[[str], str | None] | None = None
    max_chars: int | None = None
    must_match: Pattern[str] | None = None
    check: Callable[[str], object] | None = None
    repair: bool = False

    def breach(self, text: str, verdicts: Verdicts = NO_VERDICTS) -> str | None:
        """What is wrong with a text beside its JSON, or ``None``. Raises TooMuchWork."""
        if self.max_chars is not None and len(text) > self.max_chars:
            return f"max_chars: it is longer than {self.max_chars} characters"
        if self.must_match is not None and not _is_in(self.must_match, text, verdicts):
            return "must_match: the pattern is not in it"
        return None if self.check is None else self._checked(self.check, text)

    def _checked(self, check: Callable[[str], object], text: str) -> str | None:
        try:
            return None if check(text) else "check: the app's function says no"
        except Exception as error:  # noqa: BLE001 - the app's function may raise anything
            return f"check: the app's function raised {type(error).__name__}"


def _is_in(pattern: Pattern[str], text: str, verdicts: Verdicts) -> bool:
    """Whether a pattern is in a text. Raises TooMuchWork."""
    if search_steps(pattern.pattern, len(text)) <= MOST_STEPS:
        return pattern.search(text) is not None
    question = Question("pattern", pattern.pattern, text)
    if question not in verdicts:
        raise TooMuchWork(question, of_task=True)
    return verdicts[question] is None


class Repair(msgspec.Struct, frozen=True):
    """What a route must be shown to mend its answer: what it said, and what is wrong with it. Its repr has neither."""

    said: Choice
    problem: str

    def __repr__(self) -> str:
        return "<Repair>"


class Breach(msgspec.Struct, frozen=True):
    """An answer that breaks its contract: the failure that it is, and how it could be mended, if it may be."""

    failure: Failure
    repair: Repair | None = None


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """What the answers of one call must keep. ``asked``: the app itself asked for JSON."""

    json: tuple[JsonRule, ...] = ()
    declared: DeclaredContract | None = None
    tools: ToolRules | None = None
    asked: bool = False

    def breach(self, said: Sequence[Choice] | None, verdicts: Verdicts = NO_VERDICTS) -> Breach | None:
        """How an answer breaks the contract, or ``None``; ``None`` for ``said`` is one that can't be read.

        A refusal is the app's to read, and breaks nothing. Raises TooMuchWork.

        Example::

            contract.breach(read_choices(Api.CHAT, body))
        """
        if not said:
            return Breach(_failure("the answer can't be read as what was asked for"))
        for number, choice in enumerate(said, 1):
            if choice.refused:
                continue
            if choice.finish_reason == LENGTH and (self.json or any(call.is_cut for call in choice.calls)):
                return Breach(failures.LENGTH.failure(http_status=200))
            problem = self._problem(choice, verdicts)
            if problem is not None:
                where = f"choice {number}: " if len(said) > 1 else ""
                repair = Repair(choice, problem) if self.declared is not None and self.declared.repair else None
                return Breach(_failure(f"breaks the contract: {where}{problem}"), repair)
        return None

    def _problem(self, choice: Choice, verdicts: Verdicts) -> str | None:
        calls = choice.calls
        if self.tools is not None:
            problem = self.tools.breach(calls, verdicts)
            if problem is not None:
                return problem
        elif calls:
            return "it calls a function, and none was offered"
        if calls and not choice.text.strip():
            return None
        for rule in self.json:
            try:
                problem = rule.breach(choice.text, verdicts)
            except TooMuchWork as work:
                of_task = self.declared is not None and rule is self.declared.json
                raise TooMuchWork(work.question, of_task=of_task) from None
            if problem is not None:
                return problem
        if self.declared is None or calls:
            return None
        if self.declared.accepts is not None and self.declared.json in self.json:
            problem = self.declared.accepts(choice.text)
            if problem is not None:
                return problem
        return self.declared.breach(choice.text, verdicts)


def _failure(cause: str) -> Failure:
    return failures.CONTRACT.failure(http_status=200, cause=cause)


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
    elsewhere = api is Api.RESPONSES and _offers_elsewhere(fields)
    called = _tools(_NO_TOOLS if offered is None else offered, choice, cache, elsewhere=elsewhere)
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
        return JsonRule(Schema(schema))
    except BadSchema as error:
        problem = str(error)
    raise BadFormat(format_parameter(api), f"the schema can't be used: {problem}")


_NO_TOOLS: Final = msgspec.Raw(b"[]")
_WITH_TOOLS: Final = ("prompt", "conversation", "previous_response_id")
"""What is kept by the provider and may bring tools along."""
_TOOL_ITEMS: Final = (b'"additional_tools"', b'"tool_search_output"')


def _offers_elsewhere(fields: Mapping[str, msgspec.Raw]) -> bool:
    """Whether functions are, or may be, offered by more than a request's list of tools."""
    if any(name in fields for name in _WITH_TOOLS):
        return True
    question = bytes(fields.get("input", b""))
    return any(item in question for item in _TOOL_ITEMS)


def _tools(
    offered: msgspec.Raw, choice: msgspec.Raw | None, cache: FormatCache, *, elsewhere: bool
) -> ToolRules | None:
    try:
        return tool_rules(bytes(offered), None if choice is None else bytes(choice), cache, elsewhere=elsewhere)
    except BadSchema as error:
        problem = str(error)
    raise BadFormat("tools", f"the schema of a strict function can't be used: {problem}")
