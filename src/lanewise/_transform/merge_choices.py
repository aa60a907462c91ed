"""Several answers put together as one: the choices in order, the usage added up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from lanewise._openai.lenient_json import MALFORMED

__all__ = ["merged"]

_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_CHOICES: Final = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_ENCODE: Final = msgspec.json.Encoder().encode

JSON = dict[str, "JSON"] | list["JSON"] | str | int | float | bool | None


def merged(bodies: Sequence[bytes]) -> bytes | None:
    """The chat completion that holds the choices of all these, each with its place; ``None`` if one has none.

    Everything else is the first one's. A usage that one of them lacks is left out.

    Example::

        merged([b'{"choices": [{"index": 0}]}', b'{"choices": [{"index": 0}]}'])
        # b'{"choices":[{"index":0},{"index":1}]}'
    """
    try:
        answers = [_FIELDS.decode(body) for body in bodies]
        choices = [choice for answer in answers for choice in _CHOICES.decode(answer["choices"])]
        usages: list[JSON] = [msgspec.json.decode(answer["usage"]) if "usage" in answer else None for answer in answers]
    except (*MALFORMED, KeyError):
        return None
    for index, choice in enumerate(choices):
        choice["index"] = msgspec.Raw(b"%d" % index)
    whole = {**answers[0], "choices": msgspec.Raw(_ENCODE(choices))}
    if all(isinstance(usage, dict) for usage in usages):
        whole["usage"] = msgspec.Raw(_ENCODE(_sum(usages)))
    else:
        whole.pop("usage", None)
    return _ENCODE(whole)


def _sum(values: Sequence[JSON]) -> JSON:
    """Counts added up, tables entry by entry; of anything else the first."""
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) == len(values):
        return sum(numbers)
    tables = [value for value in values if isinstance(value, dict)]
    if len(tables) == len(values):
        names = dict.fromkeys(name for table in tables for name in table)
        return {name: _sum([table[name] for table in tables if name in table]) for name in names}
    return values[0]
