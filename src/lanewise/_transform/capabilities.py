"""What a call needs of a route, by its body: a route that is declared not to have it is passed over.

A route is taken to have what nothing is declared of. Only what a route ``cannot`` is looked for, so a body costs
nothing where nothing is declared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from lanewise._openai.request_body import RequestBody
from lanewise._openai.response_format import JSON_FORMATS, format_parameter, response_format
from lanewise._transform.emulation import asked_choices
from lanewise.types import Api

__all__ = ["NEEDS", "has_attachments", "unmet"]

_NOTHING: Final = (b"null", b"[]")
_ATTACHED: Final = (
    *(b'"image_url"', b'"input_image"', b'"video_url"', b'"input_audio"', b'"audio_url"'),
    *(b'"file"', b'"input_file"'),
)


def _tools(body: RequestBody, api: Api) -> bool:
    return any(name in body.fields and bytes(body.fields[name]) not in _NOTHING for name in ("tools", "functions"))


def _strict_tools(body: RequestBody, api: Api) -> bool:
    tools = body.fields.get("tools")
    return tools is not None and b'"strict":true' in bytes(tools).replace(b" ", b"")


def _vision(body: RequestBody, api: Api) -> bool:
    return _question_has(body, api, b'"image_url"' if api is Api.CHAT else b'"input_image"')


def _audio(body: RequestBody, api: Api) -> bool:
    modalities = body.fields.get("modalities")
    speaks = body.has("audio") or (modalities is not None and b'"audio"' in bytes(modalities))
    return speaks or _question_has(body, api, b'"input_audio"')


def _question_has(body: RequestBody, api: Api, part: bytes) -> bool:
    """Whether a part of this kind is in the question. In a text that quotes it the quotation marks are escaped."""
    question = body.fields.get("messages" if api is Api.CHAT else "input")
    return question is not None and part in bytes(question)


def _json(body: RequestBody, api: Api) -> bool:
    return _format(body, api) in JSON_FORMATS


def _json_schema(body: RequestBody, api: Api) -> bool:
    return _format(body, api) == "json_schema"


def _format(body: RequestBody, api: Api) -> str | None:
    asked = response_format(api, body.fields.get(format_parameter(api)))
    return None if asked is None else asked.type


def _reasoning(body: RequestBody, api: Api) -> bool:
    return body.asks_reasoning


def _n(body: RequestBody, api: Api) -> bool:
    return asked_choices(body.fields) > 1


def _developer(body: RequestBody, api: Api) -> bool:
    return _question_has(body, api, b'"developer"')


NEEDS: Final[Mapping[str, Callable[[RequestBody, Api], bool]]] = {
    "tools": _tools,
    "strict_tools": _strict_tools,
    "vision": _vision,
    "audio": _audio,
    "json": _json,
    "json_schema": _json_schema,
    "reasoning": _reasoning,
    "n": _n,
    "developer": _developer,
}
"""What may be in a route's ``cannot``, each with what finds the need for it in a body."""


def unmet(cannot: tuple[str, ...], body: RequestBody, api: Api) -> str | None:
    """What a body needs of what a route can't do, or ``None``.

    Example::

        unmet(("vision",), body, Api.CHAT)  # "vision", if a picture is in the messages
    """
    return next((name for name in cannot if NEEDS[name](body, api)), None)


def has_attachments(body: RequestBody, api: Api) -> bool:
    """Whether pictures, sound or files are in the question, which a server may have no eyes or ears for.

    Example::

        assert not has_attachments(RequestBody.parse(b'{"messages": [{"role": "user", "content": "Hi"}]}'), Api.CHAT)
    """
    if api is Api.EMBEDDINGS:
        return False
    return any(_question_has(body, api, part) for part in _ATTACHED)
