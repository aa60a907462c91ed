"""The request that asks a route to repair its answer: the question, the answer, and how it broke the contract."""

from __future__ import annotations

from typing import Final

import msgspec

from lanewise._openai.choices import Choice
from lanewise._openai.lenient_json import MALFORMED
from lanewise._openai.request_body import RequestBody
from lanewise.types import Api

__all__ = ["repaired"]

_ENCODE: Final = msgspec.json.Encoder().encode
_WORDS: Final = (
    "Your answer does not have the form that is required: {problem}. "
    "Answer again in the required form, and write nothing beside it."
)


def repaired(body: RequestBody, api: Api, choice: Choice, problem: str) -> RequestBody | None:
    """The body with the answer that broke the contract, and what is wrong with it, behind its messages.

    ``None`` if its messages make no sense.

    Example::

        body = repaired(body, Api.CHAT, Choice('{"title": 7}'), "title: type")
    """
    name = "input" if api is Api.RESPONSES else "messages"
    value = body.fields.get(name)
    listed = None if value is None else _as_list(bytes(value))
    if listed is None:
        return None
    answer = {"role": "assistant", "content": choice.text or _calls(choice)}
    asked = {"role": "user", "content": _WORDS.format(problem=problem)}
    added = [message for message in (answer, asked) if message["content"]]
    pieces = [*([listed] if listed else []), *map(_ENCODE, added)]
    return body.with_added(name, msgspec.Raw(b"[" + b",".join(pieces) + b"]"))


def _as_list(value: bytes) -> bytes | None:
    """What is between the brackets of a list of messages; a text alone is the Responses API's short form of one."""
    if value.startswith(b"["):
        return value[1:-1].strip()
    try:
        text = msgspec.json.decode(value, type=str)
    except MALFORMED:
        return None
    return _ENCODE({"role": "user", "content": text})


def _calls(choice: Choice) -> str:
    """Calls of functions as a text: in their own place they would need an answer each, and may not even be JSON."""
    return "\n".join([f"{call.name}({call.arguments or ''})" for call in choice.calls])
