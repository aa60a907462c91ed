"""The openai SDK: the methods that its requests pass through, and what its clients keep."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from lanewise._compat.parts import Library, Part

__all__ = ["OPENAI", "OPENAI_REQUEST", "SdkInternals", "sdk_internals"]

_BASE: Final = "openai._base_client"
OPENAI: Final = Library(
    "openai",
    ("3.30", "3.57"),
    (
        Part(f"{_BASE}:get_platform"),
        Part(f"{_BASE}:BaseClient.__init__", uses=("_platform",)),
        Part(f"{_BASE}:BaseClient._prepare_url", takes=("url",)),
        Part(f"{_BASE}:BaseClient._build_request", uses=("_prepare_url", "build_request")),
        Part(f"{_BASE}:AsyncAPIClient._prepare_request", takes=("request",)),
        Part(f"{_BASE}:AsyncAPIClient.request", uses=("_prepare_request", "_platform")),
        Part(f"{_BASE}:SyncAPIClient._prepare_request", takes=("request",)),
        Part(f"{_BASE}:SyncAPIClient.request", uses=("_prepare_request",)),
        Part("openai:AsyncOpenAI.copy", takes=("http_client",)),
        Part("openai:OpenAI.copy", takes=("http_client",)),
    ),
)

OPENAI_REQUEST: Final = Library(
    OPENAI.distribution,
    OPENAI.seen,
    (
        Part(f"{_BASE}:_merge_mappings", takes=("obj1", "obj2")),
        Part(f"{_BASE}:BaseClient._build_request", takes=("options",)),
        Part(f"{_BASE}:BaseClient._make_status_error_from_response", takes=("response",)),
        Part(f"{_BASE}:AsyncAPIClient.request", uses=("_prepare_options", "_send_request", "_process_response")),
        Part(f"{_BASE}:SyncAPIClient.request", uses=("_prepare_options", "_send_request", "_process_response")),
        Part("openai._models:construct_type", takes=("type_", "value")),
        Part("openai._models:add_request_id", takes=("obj", "request_id")),
        Part("openai._utils._json:openapi_dumps"),
        Part("openai._streaming:AsyncStream.__init__", uses=("_cast_to", "_iterator")),
        Part("openai._streaming:Stream.__init__", uses=("_cast_to", "_iterator")),
    ),
)
"""What answering in the place of the SDK's ``request()`` rests on: where it has changed, ``request()`` does it all."""
_STEPS: Final = (
    ("self", "cast_to", "options", "stream", "stream_cls"),
    ("self", "cast_to", "options", "response", "stream", "stream_cls", "retries_taken"),
    ("self", "options"),
    ("self", "request", "stream", "kwargs"),
)
"""What ``request``, ``_process_response``, ``_prepare_options`` and ``_send_request`` take in the versions seen."""


class SdkInternals(NamedTuple):
    """The steps of the SDK's ``request()``, for who answers in its place."""

    dump: Callable[[Any], bytes]
    merge: Callable[[Any, Any], dict[str, Any]]
    construct: Callable[..., Any]
    add_request_id: Callable[[Any, str | None], None]
    logger: str
    found: tuple[object, ...]
    steps: Callable[[], tuple[object, ...]]

    def is_as_found(self) -> bool:
        """Whether nobody has put something of their own in the place of a step since: it would not be called."""
        return self.steps() == self.found


def sdk_internals() -> SdkInternals | None:
    """The steps of ``request()``; ``None``: they are others than in the versions that were seen, or somebody's own."""
    if OPENAI_REQUEST.changes():
        return None
    import openai
    from openai._base_client import _merge_mappings
    from openai._models import add_request_id, construct_type
    from openai._utils._json import openapi_dumps

    plain, asynchronous = openai.OpenAI, openai.AsyncOpenAI

    def steps() -> tuple[object, ...]:
        return (
            plain.request,
            plain._process_response,
            plain._prepare_options,
            plain._send_request,
            asynchronous.request,
            asynchronous._process_response,
            asynchronous._prepare_options,
            asynchronous._send_request,
        )

    found = steps()
    for step, takes in zip(found, (*_STEPS, *_STEPS), strict=True):
        if not inspect.isfunction(step) or hasattr(step, "__wrapped__"):
            return None
        if tuple(inspect.signature(step).parameters) != takes:
            return None
    return SdkInternals(
        openapi_dumps,
        _merge_mappings,
        construct_type,
        add_request_id,
        _BASE,
        found,
        steps,
    )
