"""The codes and phrases by which providers name an error, gathered from their documentation."""

from __future__ import annotations

import re
from typing import Final

__all__ = [
    "AUTH",
    "CONTENT_POLICY",
    "CONTEXT_LENGTH",
    "CONTEXT_LENGTH_PHRASES",
    "KEY_INVALID_PHRASES",
    "MODEL_MISSING",
    "MODEL_MISSING_PATTERNS",
    "OVERLOADED",
    "QUOTA",
    "QUOTA_PHRASES",
    "STATUS_OF",
    "TOO_LARGE_PHRASE",
    "UNSUPPORTED_PARAMETER",
    "UNSUPPORTED_PATTERNS",
]

# Codes, lower case. A code is `error.code`, `error.type`, Gemini's `status` and `details[].reason`,
# Azure's `innererror.code`.

QUOTA: Final = frozenset({
    "insufficient_quota",  # OpenAI
    "billing_hard_limit_reached",  # OpenAI
    "billing_not_active",  # OpenAI
    "billing_error",  # Anthropic
    "billing_disabled",  # Gemini, details[].reason
    "credit_exhausted",
    "credits_exhausted",
    "insufficient_balance",  # DeepSeek
    "insufficient_credits",  # OpenRouter
    "insufficient_user_quota",  # one-api and its forks
    "spend_limit_exceeded",
    "spend_limit_reached",
    "spend_alert",  # Groq
    "blocked_api_access",  # Groq
})  # fmt: skip

AUTH: Final = frozenset({
    "invalid_api_key",  # OpenAI, Groq
    "incorrect_api_key",
    "account_deactivated",  # OpenAI
    "invalid_organization",  # OpenAI
    "mismatched_organization",  # OpenAI
    "mismatched_project",  # OpenAI
    "unsupported_country_region_territory",  # OpenAI
    "ip_not_authorized",  # OpenAI
    "authentication_error",  # Anthropic
    "permission_error",  # Anthropic
    "accessdenied",  # Azure: network rules of the resource
    "permissiondenied",  # Azure
    "permission_denied",  # Gemini
    "unauthenticated",  # Gemini
    "api_key_invalid",  # Gemini, details[].reason
    "api_key_service_blocked",  # Gemini, details[].reason
    "service_disabled",  # Gemini, details[].reason
    "consumer_suspended",  # Gemini, details[].reason
    "user_location_invalid",  # Gemini
})  # fmt: skip

CONTENT_POLICY: Final = frozenset({
    "content_filter",  # OpenAI, Azure
    "content_policy_violation",  # OpenAI
    "responsibleaipolicyviolation",  # Azure, innererror.code
    "invalid_prompt",  # OpenAI: flagged for its usage policy
    "moderation_blocked",  # OpenAI images
    "moderation",  # OpenRouter: metadata with reasons or flagged_input
    "prohibited_content",  # Gemini
    "data_inspection_failed",  # Alibaba
    "sensitive_words_detected",  # one-api and its forks
})  # fmt: skip

CONTEXT_LENGTH: Final = frozenset({
    "context_length_exceeded",  # OpenAI, Azure, Groq
    "context_window_exceeded",
    "string_above_max_length",  # OpenAI
    "exceed_context_size_error",  # llama.cpp
    "request_too_large",  # Anthropic, 413
    "model_context_window_exceeded",  # Anthropic
    "tokens_limit_reached",  # GitHub Models, Azure AI
})  # fmt: skip

UNSUPPORTED_PARAMETER: Final = frozenset({
    "unsupported_parameter",  # OpenAI
    "unsupported_value",  # OpenAI
    "unknown_parameter",  # OpenAI
    "extra_forbidden",  # Mistral, FastAPI: detail[].type
})  # fmt: skip

MODEL_MISSING: Final = frozenset({
    "model_not_found",  # OpenAI, Groq
    "model_not_available",
    "model_decommissioned",  # Groq
    "model_terms_required",  # Groq
    "model_permission_blocked_org",  # Groq
    "model_permission_blocked_project",  # Groq
    "deploymentnotfound",  # Azure
    "invalid_model",  # Mistral
})  # fmt: skip

OVERLOADED: Final = frozenset({
    "server_is_overloaded",  # OpenAI
    "engine_overloaded",  # OpenAI
    "overloaded_error",  # Anthropic
})  # fmt: skip

STATUS_OF: Final = {
    # the status that an error inside a 200 or a stream stands for
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "rate_limited": 429,
    "too_many_requests": 429,
    "tokens": 429,  # OpenAI's type of a tokens-a-minute limit
    "requests": 429,  # OpenAI's type of a requests-a-minute limit
    "api_error": 500,
    "internal_error": 500,
    "server_error": 500,
    "timeout_error": 504,
    "vector_store_timeout": 504,
    "overloaded_error": 529,
    "server_is_overloaded": 503,
    "engine_overloaded": 503,
    "slow_down": 503,
    # gRPC's names, which Gemini says (google.rpc.Code)
    "invalid_argument": 400,
    "failed_precondition": 400,
    "out_of_range": 400,
    "unauthenticated": 401,
    "permission_denied": 403,
    "not_found": 404,
    "aborted": 409,
    "resource_exhausted": 429,
    "unknown": 500,
    "internal": 500,
    "unavailable": 503,
    "deadline_exceeded": 504,
}

# Phrases, for statuses whose code says too little. What opens a route or an account is anchored to the start:
# a message can echo what a user wrote, and a user must not be able to close a route for everybody.

QUOTA_PHRASES: Final = (
    "your credit balance is too low",  # Anthropic
    "you have reached your specified api usage limits",  # Anthropic
    "you have reached your specified workspace api usage limits",  # Anthropic
)

KEY_INVALID_PHRASES: Final = (
    "api key not valid",  # Gemini
    "api key not found",  # Gemini
    "api key expired",  # Gemini
)

CONTEXT_LENGTH_PHRASES: Final = (
    "maximum context length",  # OpenAI, vLLM, OpenRouter, Mistral
    "prompt is too long",  # Anthropic
    "exceed context limit",  # Anthropic
    "exceeds the maximum number of tokens",  # Gemini
    "available context size",  # llama.cpp
    "'s context length is only",  # vLLM
    "exceeds the context length",  # Ollama
    "exceeds the context window",  # OpenAI Responses
    "please reduce the length of the",  # OpenAI, Groq
)

TOO_LARGE_PHRASE: Final = "request too large"  # OpenAI and Groq, for a tokens-a-minute limit

MODEL_MISSING_PATTERNS: Final = (
    re.compile(r"the model [`'\"]?[\w./:@-]{1,200}[`'\"]? (?:does not exist|was not found|has been deprecated)"),
    re.compile(r"model [`'\"]?[\w./:@-]{1,200}[`'\"]? not found"),  # Ollama
    re.compile(r"models/[\w./:@-]{1,200} is not found"),  # Gemini
    re.compile(r"model: [\w./:@-]{1,200}\Z"),  # Anthropic
    re.compile(r"no endpoints found"),  # OpenRouter
    re.compile(r"[\w./:@-]{1,200} is not a valid model id\Z"),  # OpenRouter
    re.compile(r"invalid model: [\w./:@-]{1,200}\Z"),  # Mistral
    re.compile(r"(?:your )?project [`'\"]?\w{1,100}[`'\"]? does not have access to model"),  # OpenAI
)
"""Matched at the start of the lower-case message."""

UNSUPPORTED_PATTERNS: Final = (
    re.compile(r"Invalid JSON payload received\. Unknown name \"([\w.\[\]-]{1,100})\""),  # Gemini
    re.compile(r"Unrecognized request arguments? supplied: ([\w.\[\]-]{1,100})"),  # OpenAI, Azure
    re.compile(r"Unsupported parameter: '([\w.\[\]-]{1,100})'"),  # OpenAI
    re.compile(r"property '([\w.\[\]-]{1,100})' is unsupported"),  # Groq
    re.compile(r"([\w.\[\]-]{1,100}): Extra inputs are not permitted"),  # Anthropic
)
"""Matched at the start of the message; the group is the parameter."""
