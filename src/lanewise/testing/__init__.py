"""For an app's own tests: a fake provider that fails on request, and the behaviours that a script is made of.

``FakeProvider`` (``FakeProviderProcess``: in a process of its own) answers well until a behaviour is scripted for a
model or for all. Answers: ``Answer``, ``StreamOf`` (whole, or cut, stalled, broken in any way), ``JsonBody``, ``Body``,
``Html``, ``Status`` (an error in OpenAI's form), ``Redirect``, ``RejectParameters``. What a network does: ``Silence``,
``SlowHeaders``, ``Drip``, ``TruncatedBody``, ``Reset``, ``Close``, ``Raw``. Limits: ``RequestQuota``, ``TokenQuota``.
Several in turn: ``Cycle``, ``Flapping``.

Example::

    with FakeProvider() as provider:
        provider.script_all(Status(429), Answer())
        ...
        assert provider.request_count == 2

The names are imported when they are first used: the pytest plugin lives in this package too, and every pytest run in an
environment that has the package pays for what is imported here.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lanewise.testing.behaviours import (
        NUMBERED,
        Answer,
        Behaviour,
        Body,
        Close,
        Cycle,
        Drip,
        Flapping,
        Html,
        JsonBody,
        Raw,
        Redirect,
        RejectParameters,
        RequestQuota,
        Reset,
        Silence,
        SlowHeaders,
        Status,
        StreamOf,
        TokenQuota,
        ToolCall,
        TruncatedBody,
    )
    from lanewise.testing.control import Counts
    from lanewise.testing.journal import Asked, Received, ReceivedHeaders
    from lanewise.testing.process import FakeProviderProcess
    from lanewise.testing.provider import FakeProvider
    from lanewise.testing.scripts import Scripted

__all__ = [
    "NUMBERED",
    "Answer",
    "Asked",
    "Behaviour",
    "Body",
    "Close",
    "Counts",
    "Cycle",
    "Drip",
    "FakeProvider",
    "FakeProviderProcess",
    "Flapping",
    "Html",
    "JsonBody",
    "Raw",
    "Received",
    "ReceivedHeaders",
    "Redirect",
    "RejectParameters",
    "RequestQuota",
    "Reset",
    "Scripted",
    "Silence",
    "SlowHeaders",
    "Status",
    "StreamOf",
    "TokenQuota",
    "ToolCall",
    "TruncatedBody",
]

_HOMES = ("behaviours", "provider", "process", "journal", "control", "scripts")


def __getattr__(name: str) -> object:
    if name in __all__:
        for home in _HOMES:
            module = import_module(f".{home}", __name__)
            if hasattr(module, name):
                value: object = getattr(module, name)
                globals()[name] = value
                return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
