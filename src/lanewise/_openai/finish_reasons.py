"""Why an answer ended, in chat's words: the spellings of other APIs and servers, gathered from their documentation."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

__all__ = ["CONTENT_FILTER", "ERROR", "LENGTH", "MALFORMED_CALL", "in_chats_words"]

LENGTH: Final = "length"
CONTENT_FILTER: Final = "content_filter"
ERROR: Final = "error"
"""Half an answer: what was said so far is not what the model had to say."""
MALFORMED_CALL: Final = "malformed_function_call"
"""The model's call could not be read by its own server. What it said beside it may still be an answer."""

_LENGTHS: Final = (
    "length",
    "max_tokens",  # Anthropic, Gemini, Bedrock, Cohere
    "max_output_tokens",  # OpenAI Responses
    "max_completion_tokens",
    "max_new_tokens",  # Hugging Face
    "max_length",
    "max_time",
    "token_limit",  # watsonx
    "tokens_limit",
    "time_limit",  # watsonx: the longest time that the request allows
    "error_limit",  # Cohere: the context is full
    "model_length",  # Mistral
    "stopped_limit",  # llama.cpp
    "limit",
    "length_limit",
    "context_length",
    "context_length_exceeded",
    "context_limit",
    "context_window_exceeded",
    "model_context_window_exceeded",  # Anthropic, Bedrock, GLM
    "repetition_truncation",  # MiMo
    "repetition",  # vLLM
    "truncated",
    "incomplete",
)
_FILTERS: Final = (
    "content_filter",  # OpenAI, Azure, DeepSeek
    "content_filtered",  # Bedrock
    "content_blocked",
    "content_policy",
    "content_policy_violation",
    "policy_violation",
    "guardrail_intervened",  # Bedrock
    "refusal",  # Anthropic
    "sensitive",  # GLM
    "error_toxic",  # Cohere
    "moderation",
    "moderated",
    "flagged",
    "filtered",
    "blocked",
    "safety",  # Gemini, from here on
    "recitation",
    "language",
    "blocklist",
    "prohibited_content",
    "spii",
    "model_armor",
    "jailbreak",
    "image_safety",
    "image_prohibited_content",
    "image_recitation",
)
_ERRORS: Final = (
    "error",  # OpenRouter, Mistral, Cohere, watsonx, vLLM
    "failed",
    "failure",
    "exception",
    "network_error",  # GLM
    "connection_error",
    "insufficient_system_resource",  # DeepSeek
    "insufficient_system_resources",
    "insufficient_resources",
    "resource_exhausted",
    "abort",  # vLLM, SGLang
    "aborted",  # DeepSeek
    "cancel",
    "cancelled",  # watsonx
    "canceled",
    "user_cancel",  # Cohere
    "interrupted",
    "disconnected",
    "not_finished",  # watsonx
    "timeout",  # Cohere
    "timed_out",
    "deadline_exceeded",
    "server_error",
    "internal_error",
    "internal_server_error",
    "engine_error",
    "model_error",
    "provider_error",
    "upstream_error",
    "stream_error",
    "overloaded",
    "overloaded_error",
    "server_overloaded",
    "unavailable",
    "service_unavailable",
    "rate_limit",
    "rate_limit_exceeded",
)
_MALFORMED: Final = (
    "malformed_function_call",  # Gemini, with the next four
    "malformed_response",
    "unexpected_tool_call",
    "too_many_tool_calls",
    "missing_thought_signature",
    "malformed_tool_call",
    "malformed_tool_use",  # Bedrock, with the next
    "malformed_model_output",
    "function_call_filter",  # Gemini's OpenAI-compatible endpoint, before a colon
)
_MEANS: Final = {
    **dict.fromkeys(_LENGTHS, LENGTH),
    **dict.fromkeys(_FILTERS, CONTENT_FILTER),
    **dict.fromkeys(_ERRORS, ERROR),
    **dict.fromkeys(_MALFORMED, MALFORMED_CALL),
}
_USUAL: Final = {"stop": "stop", "tool_calls": "tool_calls", "function_call": "function_call", **_MEANS}
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
_NOT_A_WORD: Final = re.compile(r"[^a-z0-9]+")
_PREFIX: Final = re.compile(r"finish_?reason_")
_LONGEST: Final = 200


def in_chats_words(reason: str) -> str:
    """A finish reason in chat's words, where it is known for a limit, a filter or a failure; else as it is.

    Example::

        in_chats_words("MAX_TOKENS")              # "length"
        in_chats_words("content_filter: SAFETY")  # "content_filter"
        in_chats_words("end_turn")                # "end_turn": an unknown word is a success
    """
    usual = _USUAL.get(reason)
    return _looked_up(reason[:_LONGEST]) if usual is None else usual


@lru_cache(maxsize=256)
def _looked_up(reason: str) -> str:
    parts = reason.split(":")
    for spelling in (reason, parts[-1], parts[0]):  # "function_call_filter: MALFORMED_FUNCTION_CALL" (Gemini)
        word = _NOT_A_WORD.sub("_", _CAMEL.sub("_", spelling.strip()).lower()).strip("_")
        means = _MEANS.get(_PREFIX.sub("", word, count=1))
        if means is not None:
            return means
    return reason
