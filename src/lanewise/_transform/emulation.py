"""How a route stands in for what it can't take: each adaptation small, named, and recorded with the attempt.

``response_format = "prompt"``
    The format goes into the system message (the instructions of Responses); the answer is checked as ever.
``strict_tools = "check"``
    ``strict`` is taken out of the functions; the arguments are checked against their schemas as ever.
``n = "calls"``
    Several answers are as many requests at once, put together as one. Not for streams.
``developer = "system"``
    Messages of the role ``developer`` become ``system``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from lanewise._openai.lenient_json import MALFORMED
from lanewise._openai.request_body import RequestBody
from lanewise._openai.response_format import take_format
from lanewise._transform.system_prompt import add_suffix
from lanewise.types import Api

if TYPE_CHECKING:
    from lanewise.config import Route

__all__ = ["MOST_CALLS", "NOT_ADAPTED", "Adapted", "Emulator", "asked_choices"]

MOST_CALLS: Final = 8
"""How many requests at once may stand in for ``n``: more would look like an attack to the provider."""

_PARAMETERS: Final = {"response_format": ("response_format", "text"), "n": ("n",)}
_ABILITIES: Final = {
    "response_format": ("json", "json_schema"),
    "strict_tools": ("strict_tools",),
    "n": ("n",),
    "developer": ("developer",),
}
_ENCODE: Final = msgspec.json.Encoder().encode
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS: Final = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_SYSTEM: Final = msgspec.Raw(b'"system"')
_ONE_OBJECT: Final = "Answer with one JSON object and nothing else: no code fence and no words around it."
_BY_SCHEMA: Final = (
    "Answer with JSON that keeps this JSON Schema and with nothing else: no code fence and no words around it.\n\n"
)
_JSON: Final = "Answer with JSON and nothing else: no code fence and no words around it."

_Fields = dict[str, msgspec.Raw]


class Adapted(msgspec.Struct, frozen=True):
    """What was adapted (``notes`` for the trace), and as how many requests (``calls``) the body goes out."""

    notes: tuple[str, ...] = ()
    calls: int = 1


NOT_ADAPTED: Final = Adapted()


class Emulator:
    """The stand-ins of one route.

    Example::

        adapted = Emulator(config.routes["local"]).adapt(fields, Api.CHAT)
        adapted.notes  # ("response_format in the prompt",)
    """

    __slots__ = ("_declared", "_takes_text", "abilities", "parameters")

    def __init__(self, route: Route) -> None:
        self._declared = frozenset(route.stand_in.model_dump(exclude_none=True))
        self._takes_text = "text" not in route.drop
        self.parameters = frozenset(name for stand_in in self._declared for name in _PARAMETERS.get(stand_in, ()))
        """The parameters that the route takes because of its stand-ins, though it can't."""
        self.abilities = frozenset(name for stand_in in self._declared for name in _ABILITIES[stand_in])
        """What the route can do because of its stand-ins, though it can't (see ``capabilities.py``)."""

    @property
    def rules(self) -> tuple[str, ...]:
        """The names of the stand-ins: they are part of the fingerprint of a final body."""
        return tuple(sorted(self._declared))

    @property
    def limits(self) -> bool:
        """Whether :meth:`incapable` could say anything."""
        return "n" in self._declared

    def incapable(self, body: RequestBody, api: Api) -> str | None:
        """Why the stand-ins don't reach for this body, or ``None``."""
        if "n" not in self._declared or api is not Api.CHAT:
            return None
        choices = asked_choices(body.fields)
        if choices > 1 and body.stream:
            return f"can't stream {choices} answers at once"
        if choices > MOST_CALLS:
            return f"can't give {choices} answers ({MOST_CALLS} calls at most stand in for n)"
        return None

    def adapt(self, fields: _Fields, api: Api) -> Adapted:
        """Change the fields of a body as the route needs it."""
        if api is Api.EMBEDDINGS:
            return NOT_ADAPTED
        notes: list[str] = []
        calls = 1
        if "developer" in self._declared and _without_developer(fields, api):
            notes.append("developer messages as system messages")
        if "response_format" in self._declared:
            wanted = self._take_format(fields, api)
            if wanted is not None:
                add_suffix(fields, wanted, api)
                notes.append("response_format in the prompt" if api is Api.CHAT else "text.format in the prompt")
        if "strict_tools" in self._declared and _without_strict(fields, api):
            notes.append("strict tools checked here")
        if "n" in self._declared and api is Api.CHAT and "n" in fields:
            calls = asked_choices(fields)
            del fields["n"]
            if calls > 1:
                notes.append(f"n by {calls} calls")
        return Adapted(tuple(notes), calls) if notes else NOT_ADAPTED

    def _take_format(self, fields: _Fields, api: Api) -> str | None:
        """Take the format out of the fields, and give the text that asks for it in the prompt."""
        asked = take_format(fields, api, keeps_text=self._takes_text)
        if asked is None:
            return None
        try:
            return _wanted(asked.type, asked.raw_schema(api))
        except MALFORMED:
            return None


def asked_choices(fields: _Fields) -> int:
    """How many answers the app asked for; 1 where what it says is no number (the provider will refuse it)."""
    value = fields.get("n")
    try:
        return 1 if value is None else max(1, msgspec.json.decode(value, type=int))
    except msgspec.MsgspecError:
        return 1


def _wanted(kind: str | None, schema: msgspec.Raw) -> str | None:
    if kind == "json_object":
        return _ONE_OBJECT
    if kind != "json_schema":
        return None
    return _JSON if bytes(schema) == b"null" else _BY_SCHEMA + bytes(schema).decode()


def _without_developer(fields: _Fields, api: Api) -> bool:
    name = "messages" if api is Api.CHAT else "input"
    declared = fields.get(name)
    if declared is None or b'"developer"' not in bytes(declared):
        return False
    try:
        items = _ITEMS.decode(declared)
    except MALFORMED:
        return False
    found = [item for item in items if (role := item.get("role")) is not None and bytes(role) == b'"developer"']
    for item in found:
        item["role"] = _SYSTEM
    if found:
        fields[name] = msgspec.Raw(_ENCODE(items))
    return bool(found)


def _without_strict(fields: _Fields, api: Api) -> bool:
    declared = fields.get("tools")
    if declared is None or b'"strict"' not in bytes(declared):
        return False
    try:
        tools = _ITEMS.decode(declared)
        changed = [_relax(tool, api) for tool in tools]
    except MALFORMED:
        return False
    if any(changed):
        fields["tools"] = msgspec.Raw(_ENCODE(tools))
    return any(changed)


def _relax(tool: _Fields, api: Api) -> bool:
    if api is Api.RESPONSES:
        # Its functions are strict unless they say that they are not.
        strict = tool.get("strict")
        if strict is None or bytes(strict) != b"true":
            return False
        tool["strict"] = msgspec.Raw(b"false")
        return True
    described = tool.get("function")
    if described is None:
        return False
    function = _FIELDS.decode(described)
    if function.pop("strict", None) is None:
        return False
    tool["function"] = msgspec.Raw(_ENCODE(function))
    return True
