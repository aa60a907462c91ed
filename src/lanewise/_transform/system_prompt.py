"""A route's own text, added to the system message of a body."""

from __future__ import annotations

from typing import Final

import msgspec

from lanewise.types import Api

__all__ = ["add_suffix"]


class _Role(msgspec.Struct):
    role: str = ""


_ROLES: Final = msgspec.json.Decoder(list[_Role])
_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_MESSAGE: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENCODE: Final = msgspec.json.Encoder().encode
_SYSTEM: Final = frozenset({"system", "developer"})
_GAP: Final = "\n\n"


def add_suffix(fields: dict[str, msgspec.Raw], suffix: str, api: Api, *, only_extend: bool = False) -> bool:
    """Add the text to the body's system message (chat) or instructions (responses); embeddings have none.

    The first system or developer message gets it; without one a system message is put in front, unless
    ``only_extend``. Gives whether there was none. A body whose messages are malformed stays as it is: the provider says
    what is wrong with it.

    Example::

        fields = {"messages": msgspec.Raw(b'[{"role": "user", "content": "hi"}]')}
        add_suffix(fields, "Return bullet points.", Api.CHAT)
    """
    if api is Api.RESPONSES:
        written = fields.get("instructions")
        is_new = _is_empty(written)
        instructions = None if is_new and only_extend else _extended(written, suffix)
        if instructions is not None:
            fields["instructions"] = instructions
        return is_new
    if api is not Api.CHAT or "messages" not in fields:
        return False
    try:
        roles = [message.role for message in _ROLES.decode(fields["messages"])]
    except msgspec.MsgspecError:
        return False
    found = next((index for index, role in enumerate(roles) if role in _SYSTEM), None)
    if found is not None:
        messages = _with_suffix(fields["messages"], found, suffix)
        if messages is not None:
            fields["messages"] = messages
    elif not only_extend:
        fields["messages"] = _preceded(fields["messages"], suffix, empty=not roles)
    return found is None


def _with_suffix(messages: msgspec.Raw, found: int, suffix: str) -> msgspec.Raw | None:
    try:
        items = _ITEMS.decode(messages)
        message = _MESSAGE.decode(items[found])
    except msgspec.MsgspecError:
        return None
    content = _extended(message.get("content"), suffix)
    if content is None:
        return None
    message["content"] = content
    items[found] = msgspec.Raw(_ENCODE(message))
    return msgspec.Raw(_ENCODE(items))


def _preceded(messages: msgspec.Raw, suffix: str, *, empty: bool) -> msgspec.Raw:
    """The messages behind a new system message; their bytes are not read again."""
    message = _ENCODE({"role": "system", "content": suffix})
    rest = memoryview(messages)[1:]  # a view: slicing megabytes of bytes would copy them
    return msgspec.Raw(b"".join((b"[", message, b"" if empty else b",", rest)))


def _is_empty(text: msgspec.Raw | None) -> bool:
    return text is None or bytes(text) in (b"null", b'""')


def _extended(text: msgspec.Raw | None, suffix: str) -> msgspec.Raw | None:
    """A JSON text or a list of text parts, with the suffix; ``None`` if it is neither."""
    if text is None or _is_empty(text):
        return msgspec.Raw(_ENCODE(suffix))
    text_bytes = bytes(text)
    if text_bytes.startswith(b'"'):
        return msgspec.Raw(text_bytes[:-1] + _ENCODE(_GAP + suffix)[1:])
    if not text_bytes.startswith(b"["):
        return None
    parts = _ITEMS.decode(text)
    parts.append(msgspec.Raw(_ENCODE({"type": "text", "text": suffix})))
    return msgspec.Raw(_ENCODE(parts))
