"""The shape that a request asks its answer to have: ``response_format`` of chat, ``text.format`` of Responses."""

from __future__ import annotations

from typing import Final

import msgspec

from lanewise._openai.lenient_json import MALFORMED
from lanewise.types import Api

__all__ = ["JSON_FORMATS", "ResponseFormat", "format_parameter", "response_format", "take_format"]

JSON_FORMATS: Final = frozenset({"json_object", "json_schema"})
"""The types that ask for JSON."""
_NULL: Final = msgspec.Raw(b"null")
_ENCODE: Final = msgspec.json.Encoder().encode
_OPTIONS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class ResponseFormat(msgspec.Struct, frozen=True):
    """What is asked for: ``type``, and what the API has the schema in, which may be anything."""

    type: str | None = None
    json_schema: msgspec.Raw = _NULL
    """Chat's: an object with the schema."""
    schema: msgspec.Raw = _NULL
    """That of Responses."""

    def raw_schema(self, api: Api) -> msgspec.Raw:
        """The schema as it was written, ``null`` without one. Raises MALFORMED: chat's is in no object."""
        if api is Api.RESPONSES:
            return self.schema
        declared = msgspec.json.decode(self.json_schema, type=_JsonSchema | None)
        return _NULL if declared is None else declared.schema

    def decoded_schema(self, api: Api) -> object:
        """The schema, ``None`` without one. Raises MALFORMED: chat's is in no object."""
        return msgspec.json.decode(self.raw_schema(api))


class _JsonSchema(msgspec.Struct):
    schema: msgspec.Raw = _NULL


class _Text(msgspec.Struct):
    format: ResponseFormat | None = None


def format_parameter(api: Api) -> str:
    """In which parameter a request says it.

    Example::

        assert format_parameter(Api.CHAT) == "response_format"
    """
    return "text" if api is Api.RESPONSES else "response_format"


def response_format(api: Api, value: bytes | msgspec.Raw | None) -> ResponseFormat | None:
    """What the parameter of this value asks for; ``None``: nothing, or nothing that can be read.

    Example::

        response_format(Api.RESPONSES, b'{"format": {"type": "json_object"}}').type  # "json_object"
    """
    if value is None:
        return None
    try:
        if api is not Api.RESPONSES:
            return msgspec.json.decode(value, type=ResponseFormat | None)
        text = msgspec.json.decode(value, type=_Text | None)
    except MALFORMED:
        return None
    return None if text is None else text.format


def take_format(fields: dict[str, msgspec.Raw], api: Api, *, keeps_text: bool = True) -> ResponseFormat | None:
    """Take the format out of a body's fields; ``None`` where there is none, or none that can be read.

    Of Responses' ``text`` the other options stay in, if ``keeps_text``.

    Example::

        take_format({"response_format": msgspec.Raw(b'{"type": "json_object"}')}, Api.CHAT).type  # "json_object"
    """
    if api is not Api.RESPONSES:
        return response_format(api, fields.pop("response_format", None))
    text = fields.get("text")
    if text is None or bytes(text) == b"null":
        return None
    try:
        options = _OPTIONS.decode(text)
    except MALFORMED:
        return None
    options.pop("format", None)
    if options and keeps_text:
        fields["text"] = msgspec.Raw(_ENCODE(options))
    else:
        del fields["text"]
    return response_format(api, text)
