"""Which parameters an answer's meaning rests on, and which bind a call to one provider's memory."""

from __future__ import annotations

from typing import Final

__all__ = ["FIXED", "MEANING", "MEMORY", "OUTPUT_LIMITS", "may_rest_on", "rests_on"]

OUTPUT_LIMITS: Final = ("max_completion_tokens", "max_output_tokens", "max_tokens")
"""The names under which a request says how long its answer may be: chat's, that of Responses, and chat's old one."""

MEANING: Final = frozenset(
    {
        "audio",
        "dimensions",
        "encoding_format",
        "function_call",
        "functions",
        "instructions",
        *OUTPUT_LIMITS,
        "modalities",
        "n",
        "parallel_tool_calls",
        "response_format",
        "stop",
        "text",
        "tool_choice",
        "tools",
    }
)
"""Parameters that decide what the answer is: they are never dropped silently."""

MEMORY: Final = {
    "previous_response_id": "it continues an earlier response",
    "conversation": "it belongs to a conversation",
    "prompt": "it uses a stored prompt",
}
"""Parameters that only the provider which stored their value can resolve, with the reason for errors and traces."""

FIXED: Final = frozenset({"model", "messages", "input", "stream"})
"""What no rule of a route may drop, rename or set."""


def may_rest_on(name: str) -> bool:
    """Whether the answer's meaning rests on this parameter for some value of it.

    Example::

        assert may_rest_on("store") and not may_rest_on("temperature")
    """
    return name in MEANING or name in MEMORY or name == "store"


def rests_on(name: str, value: bytes) -> bool:
    """Whether the answer's meaning rests on this parameter, given the JSON that the app sent for it.

    ``null`` counts as not sent. Of ``store`` only ``false`` matters: it forbids the provider to keep the answer.

    Example::

        assert rests_on("tools", b"[]") and not rests_on("store", b"true")
    """
    if value == b"null":
        return False
    return may_rest_on(name) and (name != "store" or value == b"false")
