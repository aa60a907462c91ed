"""The fields of an answer on which a sensitive call rests: read strictly, once, and of the type that the API declares.

Elsewhere a field of another type is passed over. Here it is a doubt, and so is one that comes twice, or a body in an
encoding that another reader may read otherwise.
"""

from __future__ import annotations

import json
from collections import Counter
from enum import Enum
from typing import Final

import msgspec

from lanewise._openai.wire_types import MOST_CHOICES, IncompleteDetails
from lanewise.types import Api

__all__ = ["Uncertainty", "doubt_about"]


class Uncertainty(Enum):
    """What of an answer is in doubt: which model gave it, or what it is."""

    MODEL = "model"
    ANSWER = "answer"


class _Part(msgspec.Struct):
    type: str | None = None
    refusal: str | None = None


class _Function(msgspec.Struct):
    name: str
    arguments: str


class _FunctionPiece(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _Custom(msgspec.Struct):
    name: str | None = None
    input: str | None = None


class _Call(msgspec.Struct):
    id: str | None = None
    type: str | None = None
    function: _Function | None = None
    custom: _Custom | None = None


class _CallPiece(msgspec.Struct):
    index: int
    id: str | None = None
    type: str | None = None
    function: _FunctionPiece | None = None
    custom: _Custom | None = None


class _Message(msgspec.Struct):
    refusal: str | None = None
    tool_calls: list[_Call] | None = None
    function_call: _Function | None = None


class _Delta(msgspec.Struct):
    refusal: str | None = None
    tool_calls: list[_CallPiece] | None = None
    function_call: _FunctionPiece | None = None


class _Choice(msgspec.Struct):
    message: _Message | None = None
    finish_reason: str | None = None


class _ChoicePiece(msgspec.Struct):
    index: int = 0
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Chat(msgspec.Struct):
    choices: list[_Choice] | None = None


class _Chunk(msgspec.Struct):
    choices: list[_ChoicePiece] | None = None


class _Item(msgspec.Struct):
    type: str | None = None
    name: str | None = None
    arguments: str | None = None
    content: list[_Part] | None = None


class _Response(msgspec.Struct):
    output: list[_Item] | None = None
    status: str | None = None
    incomplete_details: IncompleteDetails | None = None


class _Event(msgspec.Struct):
    type: str | None = None
    response: _Response | None = None
    item: _Item | None = None


class _Embeddings(msgspec.Struct):
    """Nothing but the model decides."""


class _Model(msgspec.Struct):
    model: str | None = None


class _ModelWithin(_Model):
    response: _Model | None = None


_WHOLE: Final[dict[Api, type[msgspec.Struct]]] = {
    Api.CHAT: _Chat,
    Api.RESPONSES: _Response,
    Api.EMBEDDINGS: _Embeddings,
}
_EVENT: Final[dict[Api, type[msgspec.Struct]]] = {Api.CHAT: _Chunk, Api.RESPONSES: _Event}
_DECIDING: Final = frozenset({
    "arguments", "call_id", "choices", "content", "custom", "delta", "error", "finish_reason", "function",
    "function_call", "id", "incomplete_details", "index", "input", "item", "message", "name", "output", "part",
    "reason", "refusal", "response", "status", "text", "tool_calls", "type",
})  # fmt: skip
_NO_OTHER: Final = frozenset({"utf-8", "utf-8-sig"})


class _Twice(ValueError):
    def __init__(self, doubt: Uncertainty) -> None:
        super().__init__(doubt)
        self.doubt = doubt


def doubt_about(api: Api, data: bytes, *, event: bool = False) -> Uncertainty | None:
    """What of an answer, or of an event of a stream, is in doubt. ``data`` is as the provider sent it.

    Example::

        doubt_about(Api.CHAT, b'{"model": "a", "model": "b"}')  # Uncertainty.MODEL
    """
    if json.detect_encoding(data) not in _NO_OTHER or data.count(b'"delta"') > MOST_CHOICES:
        return Uncertainty.ANSWER
    try:
        value = json.loads(data, object_pairs_hook=_once)
    except _Twice as twice:
        return twice.doubt
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        return None if event else Uncertainty.ANSWER  # an event that is no object holds nothing that decides
    if not _is(_ModelWithin if event and api is Api.RESPONSES else _Model, value):
        return Uncertainty.MODEL
    return None if _is((_EVENT if event else _WHOLE)[api], value) else Uncertainty.ANSWER


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    read = dict(pairs)
    if len(read) == len(pairs):
        return read
    twice = {name for name, count in Counter(name for name, _ in pairs).items() if count > 1}
    if "model" in twice:
        raise _Twice(Uncertainty.MODEL)
    if not twice.isdisjoint(_DECIDING):
        raise _Twice(Uncertainty.ANSWER)
    return read


def _is(kind: type[msgspec.Struct], value: dict[str, object]) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True
