"""The usage chunk of a chat stream that the app did not ask for: what else it holds is the app's all the same."""

from __future__ import annotations

import json
from typing import Final

import msgspec

__all__ = ["without_usage"]

_STANDARD: Final = frozenset(
    {"id", "object", "created", "model", "choices", "usage", "system_fingerprint", "service_tier", "obfuscation"}
)
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENCODE: Final = msgspec.json.Encoder().encode
_NO_NEWS: Final = msgspec.Raw(b'[{"index":0,"delta":{},"finish_reason":null}]')
"""Apps that asked for no usage read ``choices[0]`` of every chunk."""


def without_usage(data: bytes) -> bytes | None:
    """The event to pass on instead (``citations``, ``timings``, ``cost``), or ``None`` if there is nothing but usage.

    Example::

        without_usage(b'{"choices": [], "usage": {}, "cost": 1}')  # b'data: {"choices":[...],"cost":1}\\n\\n'
    """
    try:
        fields = _FIELDS.decode(data)
    except (msgspec.MsgspecError, ValueError):
        return _as_python_reads_it(data)
    if fields.keys() <= _STANDARD:
        return None
    del fields["usage"]
    fields["choices"] = _NO_NEWS
    return b"data: " + _ENCODE(fields) + b"\n\n"


def _as_python_reads_it(data: bytes) -> bytes | None:
    """The event without its usage, where only Python's ``json`` can read it (``NaN``)."""
    try:
        fields = json.loads(data)
        if not isinstance(fields, dict) or fields.keys() <= _STANDARD:
            return None
        del fields["usage"]
        fields["choices"] = json.loads(bytes(_NO_NEWS))
        return b"data: " + json.dumps(fields).encode("ascii") + b"\n\n"
    except (ValueError, RecursionError, KeyError):
        return None
