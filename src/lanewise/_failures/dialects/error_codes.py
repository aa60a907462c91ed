"""The codes by which providers and gateways name an error, gathered from their documentation, and what each means.

A code in a table is certain, and may open a route or an account. One that is in none is read by its words, in
``error_words``.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Final

__all__ = ["KNOWN_CODES", "STATUS_OF", "Meaning", "by_code", "squashed"]


class Meaning(IntEnum):
    """What an error is about. Of several codes of one error the first in this order counts."""

    CONTENT_POLICY = 1
    CONTEXT_LENGTH = 2
    PARAMETER = 3
    """A parameter that the model can't take."""
    OUTPUT = 4
    """The model's own answer was not what was asked for, and the provider withheld it."""
    QUOTA = 5
    KEY = 6
    """The key, the account or its region is refused."""
    MODEL = 7
    """The account has no such model."""
    LIKELY_MODEL = 8
    LIKELY_QUOTA = 9
    LIKELY_KEY = 10
    REQUEST = 11
    """Something is wrong with what was asked."""
    DOUBTED = 12
    """Something failed that the request brought along: a tool's server, a file."""


_SQUASHED: Final = str.maketrans("", "", "_-. ")


def squashed(code: str) -> str:
    """A code without case and separators: ``InvalidApiKey``, ``invalid_api_key`` and ``INVALID-API-KEY`` are one."""
    return code.lower().translate(_SQUASHED)


_CODES: Final[dict[Meaning, tuple[str, ...]]] = {
    Meaning.CONTENT_POLICY: (
        *("content_filter", "content_policy_violation", "invalid_prompt"),  # OpenAI; the last: flagged for its policy
        *("bio_policy", "cyber_policy", "misalignment_policy_violation", "image_content_policy_violation"),  # OpenAI
        "moderation_blocked",  # OpenAI images
        "ResponsibleAIPolicyViolation",  # Azure, innererror.code
        *("moderation", "guardrail_blocked", "refusal"),  # OpenRouter
        *("prohibited_content", "safety", "recitation", "blocklist", "spii"),  # Gemini
        "data_inspection_failed",  # Alibaba
        *("sensitive_words_detected", "prompt_blocked"),  # one-api and its forks
        *("1301", "base_resp:1026", "base_resp:1027"),  # GLM, MiniMax
        *("sensitive_check_error", "safety_check_failed"),  # UCloud, ZenMux
        "ContentPolicyViolationError",  # LiteLLM
    ),
    Meaning.CONTEXT_LENGTH: (
        *("context_length_exceeded", "string_above_max_length"),  # OpenAI, Azure, Groq
        *("context_window_exceeded", "model_context_window_exceeded", "request_too_large"),  # Anthropic
        "exceed_context_size_error",  # llama.cpp
        "tokens_limit_reached",  # GitHub Models, Azure AI
        *("string_too_long", "payload_too_large"),  # OpenRouter
        "ContextWindowExceededError",  # LiteLLM
        *("1261", "tokens_too_long", "max_prompt_tokens_exceeded"),  # GLM, UCloud
    ),
    Meaning.PARAMETER: (
        *("unsupported_parameter", "unsupported_value", "unknown_parameter", "parameter_unknown"),  # OpenAI, Gemini
        "extra_forbidden",  # Mistral, FastAPI: detail[].type
        "UnsupportedParamsError",  # LiteLLM
    ),
    Meaning.OUTPUT: ("tool_use_failed", "json_validate_failed", "output_parse_failed"),  # Groq
    Meaning.QUOTA: (
        *("insufficient_quota", "billing_hard_limit_reached", "billing_not_active"),  # OpenAI
        "billing_error",  # Anthropic
        "billing_disabled",  # Gemini, details[].reason
        *("credit_exhausted", "credits_exhausted", "insufficient_credit", "insufficient_credits"),  # OpenRouter, ZenMux
        *("insufficient_balance", "insufficient_funds", "insufficient_user_quota"),  # DeepSeek; one-api and its forks
        *("spend_limit_exceeded", "spend_limit_reached", "spend_alert", "blocked_api_access"),  # the last two: Groq
        "exceeded_current_quota_error",  # Moonshot
        *("arrearage", "prepaid_bill_overdue", "postpaid_bill_overdue"),  # Alibaba
        *("AccountOverdueError", "OperationDenied.ServiceOverdue", "account_overdue"),  # Volcengine
        *("budget_exceeded", "BudgetExceededError", "project_budget_exceeded"),  # LiteLLM, Merge
        "base_resp:1008",  # MiniMax
        *("reject_no_credit", "quote_exceeded", "subscription_exhausted"),  # ZenMux, Portkey
    ),
    Meaning.KEY: (
        *("invalid_api_key", "incorrect_api_key", "account_deactivated", "invalid_organization"),  # OpenAI, Groq
        *("mismatched_organization", "mismatched_project", "ip_not_authorized"),  # OpenAI
        "unsupported_country_region_territory",  # OpenAI
        *("authentication_error", "invalid_authentication_error", "incorrect_api_key_error"),  # Anthropic, Moonshot
        *("unauthenticated", "api_key_invalid", "api_key_service_blocked", "api_key_expired"),  # Gemini
        *("service_disabled", "consumer_suspended", "consumer_invalid", "user_location_invalid"),  # Gemini
        *("wrong_api_key", "expired_api_key", "missing_api_key", "api_key_disabled"),  # Cerebras, gateways
        *("expired_key", "token_not_found_in_db", "AuthenticationError"),  # LiteLLM
        *("UnrecognizedClientException", "ExpiredTokenException", "InvalidSignatureException"),  # Bedrock
        *("base_resp:1004", "base_resp:2049"),  # MiniMax
    ),
    Meaning.MODEL: (
        *("model_not_found", "model_not_available", "model_decommissioned", "model_terms_required"),  # OpenAI, Groq
        *("model_permission_blocked_org", "model_permission_blocked_project"),  # Groq
        *("DeploymentNotFound", "unknown_model", "unavailable_model"),  # Azure, GitHub Models
        *("invalid_model", "model_not_exist", "model_not_exists"),  # Mistral
        *("model_not_supported", "model_not_supported_error"),  # Alibaba, Hugging Face
        *("ModelNotOpen", "InvalidEndpointOrModel.NotFound", "InvalidEndpoint.ClosedEndpoint"),  # Volcengine
        *("InvalidEndpointOrModel.ModelIDAccessDisabled", "UnsupportedModel"),  # Volcengine
        *("key_model_access_denied", "team_model_access_denied", "org_model_access_denied"),  # LiteLLM
        *("Model.AccessDenied", "AccessDenied.Unpurchased"),  # Alibaba
    ),
    # A bare number may be another provider's: it opens nothing.
    Meaning.LIKELY_MODEL: (
        *("1211", "1212", "1220", "1221", "1222", "1311", "20012"),  # GLM; the last: SiliconFlow
        "OperationNotSupported",  # Azure: of a deployment of another kind
    ),
    Meaning.LIKELY_QUOTA: (
        *("1113", "1308", "1309", "1310", "30001"),  # GLM; the last: SiliconFlow
        *("token_limit_exceeded", "payment_required"),  # OpenRouter: what one request may cost
        "pre_consume_token_quota_failed",  # one-api and its forks: what one request may cost
        "AllocationQuota.FreeTierOnly",  # Alibaba: of one model
        "ServiceQuotaExceededException",  # Bedrock
    ),
    Meaning.LIKELY_KEY: (
        *("1000", "1001", "1002", "1003", "1004", "1110", "1111", "1112", "1121"),  # GLM
        "auth_error",  # LiteLLM, for whatever its check of the key finds
        # What a call names (a file, an index) may be what it is not permitted to see.
        *("permission_error", "permission_denied", "permission_denied_error", "forbidden"),
        *("access_denied", "AccessDeniedException", "not_authorized", "unauthorized", "no_access"),
    ),
    Meaning.REQUEST: (
        *("data_residency_mismatch", "failed_to_download_image", "image_file_not_found"),  # OpenAI
        *("image_download_failed", "image_not_found", "max_tokens_exceeded", "unprocessable"),  # OpenRouter
        *("previous_response_not_found", "conversation_not_found", "external_connector_error"),  # OpenAI
        "InvalidParameter.DataInspection",  # Alibaba: a medium that it can't look into
        *("1210", "1213", "1214", "1215", "base_resp:2013", "base_resp:1042"),  # GLM, MiniMax
    ),
}

_BY_CODE: Final = {squashed(code): meaning for meaning, codes in _CODES.items() for code in codes}

_STATUSES: Final = {
    # the status that an error inside a 200 or a stream stands for
    # gRPC's names, which Gemini says (google.rpc.Code), are among them
    400: (
        *("invalid_request_error", "invalid_request", "bad_request", "BadRequestError", "ValidationException"),
        *("invalid_argument", "failed_precondition", "out_of_range"),
    ),
    401: ("authentication_error", "AuthenticationError", "authentication", "unauthenticated"),
    402: ("billing_error", "payment_required"),
    403: ("permission_error", "permission_denied", "PermissionDeniedError"),
    404: ("not_found_error", "not_found", "NotFoundError", "resource_not_found_error"),
    408: ("request_timeout",),
    409: ("aborted", "conflict", "1231"),
    413: ("request_too_large",),
    422: ("unprocessable_entity", "UnprocessableEntityError"),
    429: (
        *("rate_limit_error", "rate_limit_exceeded", "rate_limited", "rate_limit", "too_many_requests"),
        *("rate_limit_reached_error", "RateLimitError", "RateLimitReached", "ThrottlingException", "throttling"),
        *("tokens", "requests"),  # OpenAI's types of a limit on tokens and on requests a minute
        *("resource_exhausted", "1302", "1303", "1304", "1305", "base_resp:1002", "base_resp:1039"),
    ),
    500: (
        *("api_error", "internal_error", "server_error", "InternalServerError", "internal_server_error", "server"),
        *("unknown", "internal", "base_resp:1000", "base_resp:1013", "base_resp:1033", "1230", "1234"),
    ),
    503: (
        *("server_is_overloaded", "engine_overloaded", "engine_overloaded_error", "slow_down", "unavailable"),
        *("service_unavailable", "ServiceUnavailableError", "provider_unavailable", "base_resp:1024", "1312"),
    ),
    504: ("timeout_error", "vector_store_timeout", "deadline_exceeded", "timeout", "base_resp:1001"),
    529: ("overloaded_error", "provider_overloaded"),
}

STATUS_OF: Final = {squashed(code): status for status, codes in _STATUSES.items() for code in codes}
"""The status that an error with this code, squashed, would have come with."""


_READ_BY_WORDS: Final = (
    *("capacity_exceeded", "unavailable_error", "service_tier_capacity_exceeded"),  # Groq, llama.cpp, Mistral
    *(
        "invalid_image",
        "invalid_image_format",
        "invalid_base64_image",
        "invalid_image_url",
        "image_too_large",
    ),  # OpenAI
    *(
        "image_too_small",
        "image_parse_error",
        "invalid_image_mode",
        "image_file_too_large",
        "empty_image_file",
    ),  # OpenAI
    *("unsupported_image_media_type", "invalid_value", "invalid_type", "missing_required_parameter"),  # OpenAI
    *("invalid_json_schema", "invalid_function_parameters", "integer_below_min_value", "integer_above_max_value"),
    *("array_above_max_length", "invalid_parameter", "InvalidParameter", "invalid_parameter_error"),
    *("missing", "string_type", "int_type", "list_type", "dict_type", "value_error", "type_error"),  # Pydantic, FastAPI
    *("literal_error", "int_parsing", "float_parsing", "json_invalid", "greater_than_equal", "less_than_equal"),
    *("not_implemented", "unimplemented", "unknown_error", "error"),
)
"""Documented codes whose meaning their words tell: they may be shown."""

KNOWN_CODES: Final = {
    squashed(code): code for codes in (_READ_BY_WORDS, *_STATUSES.values(), *_CODES.values()) for code in codes
}
"""The codes that providers are known to say, squashed, and how they spell them."""


def by_code(codes: Iterable[str]) -> Meaning | None:
    """What squashed codes mean for certain, or ``None``.

    Example::

        by_code(["arrearage"])  # Meaning.QUOTA
    """
    return min((_BY_CODE[code] for code in codes if code in _BY_CODE), default=None)
