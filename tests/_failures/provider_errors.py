"""Errors as providers and gateways document them, and whose fault each is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lanewise.types import FailureKind

__all__ = ["DOCUMENTED", "RESPONSE_ERROR_CODES", "Documented"]

AUTH, QUOTA, MODEL = FailureKind.AUTH, FailureKind.QUOTA, FailureKind.MODEL_MISSING
REQUEST, POLICY = FailureKind.BAD_REQUEST, FailureKind.CONTENT_POLICY
LENGTH, PARAMETER = FailureKind.CONTEXT_LENGTH, FailureKind.UNSUPPORTED_PARAMETER
RATE, OUTAGE = FailureKind.RATE_LIMIT, FailureKind.OUTAGE


@dataclass(frozen=True)
class Documented:
    """An error's status and body, and the failure that it is. ``opens``: the route or the account, at once."""

    provider: str
    status: int
    body: Any
    kind: FailureKind
    opens: bool = False

    def __str__(self) -> str:
        return f"{self.provider} {self.status} {self.kind}"


def _openai(code: str | None, message: str = "", type_: str = "invalid_request_error", **more: object) -> Any:
    return {"error": {"message": message, "type": type_, "param": None, "code": code, **more}}


DOCUMENTED = (
    # the account's troubles inside a 400
    Documented(
        "xAI",
        400,
        {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: xa***. You can obtain"},
        AUTH,
        opens=True,
    ),
    Documented(
        "Gemini",
        400,
        [{"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "API key expired. Please renew it."}}],
        AUTH,
        opens=True,
    ),
    Documented(
        "Gemini",
        400,
        {
            "error": {
                "code": 400,
                "message": "User location is not supported for the API use.",
                "status": "FAILED_PRECONDITION",
            }
        },
        AUTH,
        opens=True,
    ),
    Documented("Anthropic", 400, _openai(None, "This organization has been disabled."), AUTH, opens=True),
    Documented(
        "Alibaba",
        400,
        _openai("Arrearage", "Access denied, please make sure your account is in good standing.", "Arrearage"),
        QUOTA,
        opens=True,
    ),
    Documented(
        "Alibaba", 400, {"code": "Arrearage", "message": "Access denied.", "request_id": "f1"}, QUOTA, opens=True
    ),
    Documented("Alibaba", 400, {"code": "InvalidApiKey", "message": "Invalid API-key provided."}, AUTH, opens=True),
    Documented(
        "LiteLLM",
        400,
        _openai("400", "Budget has been exceeded! Current cost: 1.2, Max budget: 1.0", "budget_exceeded"),
        QUOTA,
        opens=True,
    ),
    Documented(
        "LiteLLM",
        400,
        _openai("400", "ExceededBudget: End User=u-7 over budget. Spend=1.2, Budget=1.0", "budget_exceeded"),
        QUOTA,
    ),
    Documented(
        "LiteLLM",
        400,
        _openai("400", "{'error': '/chat/completions: Invalid model name passed in model=gpt-9. Call `/v1/models`'}"),
        MODEL,
        opens=True,
    ),
    Documented(
        "LiteLLM",
        400,
        _openai("400", "litellm.BadRequestError: OpenAIException - Your credit balance is too low to access", "None"),
        QUOTA,
        opens=True,
    ),
    Documented("DeepSeek", 400, _openai("invalid_request_error", "Model Not Exist"), MODEL, opens=True),
    Documented(
        "DeepSeek", 402, _openai("invalid_request_error", "Insufficient Balance", "unknown_error"), QUOTA, opens=True
    ),
    Documented("GLM", 400, {"error": {"code": "1211", "message": "模型不存在，请检查模型代码。"}}, MODEL, opens=True),
    Documented("GLM", 429, {"error": {"code": "1113", "message": "您的账户已欠费，请充值后重试。"}}, QUOTA),
    Documented("GLM", 400, {"error": {"code": "1214", "message": "messages 参数非法。请检查文档。"}}, REQUEST),
    Documented("GLM", 400, {"error": {"code": "1301", "message": "系统检测到输入或生成内容可能包含敏感内容"}}, POLICY),
    Documented("GLM", 400, {"error": {"code": "1261", "message": "Prompt 超长"}}, LENGTH),
    Documented("GLM", 429, {"error": {"code": "1302", "message": "您当前使用该 API 的并发数过高"}}, RATE),
    Documented(
        "SiliconFlow",
        400,
        {"code": 20012, "message": "Model does not exist. Please check it carefully.", "data": None},
        MODEL,
        opens=True,
    ),
    Documented(
        "SiliconFlow", 403, {"code": 30001, "message": "Sorry, your account balance is insufficient"}, QUOTA, opens=True
    ),
    Documented(
        "Moonshot",
        403,
        _openai(None, "Your account balance is not enough", "exceeded_current_quota_error"),
        QUOTA,
        opens=True,
    ),
    Documented(
        "Moonshot", 429, _openai(None, "Your account is suspended", "exceeded_current_quota_error"), QUOTA, opens=True
    ),
    Documented(
        "Moonshot",
        400,
        _openai(None, "The request was rejected because it was considered high risk", "content_filter"),
        POLICY,
    ),
    Documented("Moonshot", 400, _openai(None, "Your request exceeded model token limit: 262144"), LENGTH),
    Documented(
        "Perplexity",
        400,
        {
            "error": {
                "message": "Invalid model 'sonar-9'. Permitted models can be found in",
                "type": "invalid_model",
                "code": 400,
            }
        },
        MODEL,
        opens=True,
    ),
    Documented(
        "OpenRouter", 400, {"error": {"message": "acme/none is not a valid model ID", "code": 400}}, MODEL, opens=True
    ),
    Documented(
        "OpenRouter", 404, {"error": {"message": "No endpoints found that support image input", "code": 404}}, MODEL
    ),
    Documented(
        "OpenRouter", 404, {"error": {"message": "No endpoints found for acme/none.", "code": 404}}, MODEL, opens=True
    ),
    Documented(
        "OpenRouter",
        402,
        {"error": {"message": "This request requires more credits, or fewer max_tokens.", "code": 402}},
        QUOTA,
    ),
    Documented("OpenRouter", 402, {"error": {"message": "Insufficient credits", "code": 402}}, QUOTA, opens=True),
    Documented(
        "OpenRouter",
        403,
        {"error": {"code": 403, "message": "flagged", "metadata": {"reasons": ["violence"], "flagged_input": "x"}}},
        POLICY,
    ),
    Documented(
        "Hugging Face",
        400,
        _openai(
            "model_not_supported",
            "The requested model 'x/y' is not supported by any provider you have enabled.",
            param="model",
        ),
        MODEL,
        opens=True,
    ),
    Documented(
        "Volcengine",
        403,
        _openai("AccountOverdueError", "The request failed because your account has an overdue balance.", "Forbidden"),
        QUOTA,
        opens=True,
    ),
    Documented(
        "Volcengine",
        404,
        _openai("ModelNotOpen", "Your account has not activated the model.", "NotFound"),
        MODEL,
        opens=True,
    ),
    Documented(
        "Volcengine",
        400,
        _openai(
            "InputTextSensitiveContentDetected",
            "The request failed because the input text may contain sensitive information.",
            "BadRequest",
        ),
        POLICY,
    ),
    Documented("Volcengine", 400, _openai("SensitiveContentDetected.Violence", "", "BadRequest"), POLICY),
    Documented("Volcengine", 400, _openai("InvalidParameter.OversizeImage", "", "BadRequest"), REQUEST),
    Documented("GitHub Models", 400, _openai("unknown_model", "Unknown model: gpt-9"), MODEL, opens=True),
    Documented(
        "Azure",
        400,
        _openai("OperationNotSupported", "The chatCompletion operation does not work with the specified model"),
        MODEL,
    ),
    Documented(
        "Azure",
        400,
        _openai("content_filter", "The response was filtered", innererror={"code": "ResponsibleAIPolicyViolation"}),
        POLICY,
    ),
    Documented(
        "Bedrock",
        400,
        {"__type": "ValidationException", "message": "The provided model identifier is invalid."},
        MODEL,
        opens=True,
    ),
    Documented(
        "Bedrock",
        403,
        {"__type": "ExpiredTokenException", "message": "The security token included in the request is expired"},
        AUTH,
        opens=True,
    ),
    Documented(
        "Bedrock", 400, {"__type": "ValidationException", "message": "Input is too long for requested model."}, LENGTH
    ),
    Documented(
        "Together", 403, _openai(None, "Input token count + max_tokens > context length of this model."), LENGTH
    ),
    Documented(
        "TGI",
        422,
        {
            "error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096",
            "error_type": "validation",
        },
        LENGTH,
    ),
    Documented(
        "SGLang",
        400,
        {
            "object": "error",
            "message": "The input (9000 tokens) is longer than the model's context length (8192 tokens).",
            "type": "BadRequestError",
            "code": 400,
        },
        LENGTH,
    ),
    Documented(
        "LM Studio", 400, {"error": "However, the model is loaded with context length of only 4096 tokens"}, LENGTH
    ),
    Documented(
        "Cohere", 400, {"message": "too many tokens: total number of tokens in the prompt cannot exceed 4081"}, LENGTH
    ),
    Documented(
        "Cohere",
        404,
        {"message": "model 'command-z' not found, make sure the correct model ID was used"},
        MODEL,
        opens=True,
    ),
    Documented(
        "vLLM",
        404,
        {
            "object": "error",
            "message": "The model `x` does not exist.",
            "type": "NotFoundError",
            "param": None,
            "code": 404,
        },
        MODEL,
        opens=True,
    ),
    Documented(
        "vLLM",
        400,
        {
            "object": "error",
            "message": "x is not a multimodal model",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
        REQUEST,
    ),
    Documented(
        "Ollama", 404, _openai(None, 'model "x" not found, try pulling it first', "api_error"), MODEL, opens=True
    ),
    Documented("one-api", 403, _openai("pre_consume_token_quota_failed", "预扣费额度失败", "new_api_error"), QUOTA),
    Documented("one-api", 400, _openai(None, "无效的令牌", "one_api_error"), AUTH, opens=True),
    Documented(
        "one-api",
        503,
        _openai("model_not_found", "分组 default 下模型 gpt-9 无可用渠道（distributor）", "new_api_error"),
        MODEL,
    ),
    Documented("Portkey", 412, {"success": False, "message": "Portkey Error: budget exceeded"}, QUOTA),
    Documented(
        "Portkey",
        446,
        {"error": {"message": "The guardrail checks defined in the config failed.", "type": "hooks_failed"}},
        POLICY,
    ),
    Documented(
        "Merge", 403, _openai("project_budget_exceeded", "Project budget exceeded for '4f'."), QUOTA, opens=True
    ),
    Documented("ZenMux", 403, _openai("403", "Upstream safety policy triggered", "safety_check_failed"), POLICY),
    Documented(
        "Cloudflare",
        400,
        {"success": False, "errors": [{"code": 5007, "message": "No such model @cf/x or task"}], "result": {}},
        MODEL,
    ),
    Documented(
        "NVIDIA",
        404,
        {"status": 404, "title": "Not Found", "detail": "Function '1f': Not found for account 'a'"},
        MODEL,
    ),
    Documented("FastAPI", 400, {"detail": "Invalid or missing API Key"}, AUTH),
    Documented("FastAPI", 400, {"detail": {"error": {"code": "budget_exceeded", "message": "no"}}}, QUOTA, opens=True),
    Documented("a gateway", 400, _openai("TeamBudgetUsedUp", "no"), QUOTA),
    Documented("a gateway", 400, _openai("tenant_suspended", "no"), AUTH),
    Documented("a gateway", 400, {"error": "Account balance is insufficient, please top up"}, QUOTA),
    Documented("a gateway", 400, {"error": "This API key has been revoked"}, AUTH),
    Documented("a gateway", 400, {"error": "Unknown model: x"}, MODEL),
    Documented("a gateway", 400, "Invalid API key", AUTH),
    # the caller's
    Documented(
        "OpenAI", 400, _openai(None, "Invalid value: 'API key not valid'. Supported values are: 'low'."), REQUEST
    ),
    Documented(
        "OpenAI", 400, _openai("invalid_value", "Your input is not valid JSON", param="messages[0].content"), REQUEST
    ),
    Documented(
        "OpenAI",
        400,
        _openai("model_not_found", "The model 'gpt-image-9' does not exist.", param="tools[0].model"),
        REQUEST,
    ),
    Documented(
        "OpenAI", 424, _openai("external_connector_error", "Error retrieving tool list from MCP server: 'x'."), REQUEST
    ),
    Documented(
        "OpenAI", 400, _openai("previous_response_not_found", "Previous response with id 'resp_1' not found."), REQUEST
    ),
    Documented(
        "OpenAI", 404, _openai("previous_response_not_found", "Previous response with id 'resp_1' not found."), REQUEST
    ),
    Documented("OpenAI", 400, _openai("image_parse_error", "You uploaded an unsupported image."), REQUEST),
    Documented(
        "Gemini",
        403,
        [
            {
                "error": {
                    "code": 403,
                    "status": "PERMISSION_DENIED",
                    "message": "You do not have permission to access the File x",
                }
            }
        ],
        AUTH,
    ),
    Documented("Groq", 400, _openai("tool_use_failed", "Failed to call a function."), FailureKind.BAD_RESPONSE),
    Documented(
        "Alibaba", 400, _openai("data_inspection_failed", "Input data may contain inappropriate content."), POLICY
    ),
    Documented(
        "Alibaba", 400, _openai("invalid_parameter_error", "Range of input length should be [1, 30720]"), LENGTH
    ),
    Documented(
        "Alibaba",
        429,
        _openai("insufficient_quota", "Allocated quota exceeded, please increase your quota limit."),
        RATE,
    ),
    Documented(
        "Gemini",
        429,
        [{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "You exceeded your current quota"}}],
        RATE,
    ),
    Documented(
        "Mistral",
        429,
        {"object": "error", "message": "Rate limit exceeded", "type": "rate_limited", "param": None, "code": "1300"},
        RATE,
    ),
    Documented(
        "Mistral",
        422,
        {
            "object": "error",
            "message": {
                "detail": [
                    {"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}
                ]
            },
        },
        PARAMETER,
    ),
    Documented("a proxy", 500, _openai("content_filter", "no"), POLICY),
    Documented("a proxy", 500, _openai("500", "no", "invalid_request_error"), OUTAGE),
    Documented("a proxy", 418, _openai("insufficient_quota", "no"), QUOTA, opens=True),
    Documented("nginx", 494, "<html><head><title>400 Request Header Or Cookie Too Large</title></head></html>", OUTAGE),
    Documented("AWS ALB", 463, "", OUTAGE),
    Documented("xAI", 403, {"code": "no permission", "error": "Content violates usage guidelines."}, POLICY),
    Documented("OpenAI", 403, _openai(None, "Your account was terminated for a breach of our usage policies."), AUTH),
    Documented("vLLM", 400, _openai("400", "The prompt is longer than the maximum model length of 8192."), LENGTH),
    Documented("a proxy", 400, {"error": {"message": "no", "code": 429}}, RATE),
    Documented("a proxy", 400, {"error": {"message": "no", "code": "401"}}, AUTH),
    Documented("a proxy", 400, {"error": {"message": "no", "code": 402}}, QUOTA),
    Documented("OpenAI", 404, _openai(None, "Invalid URL (POST /v1/chat/completion)"), MODEL),
    Documented("LM Studio", 400, {"error": "Model 'x' is not loaded"}, MODEL, opens=True),
    Documented("a proxy", 500, _openai("invalid_image_url", "no", "server_error"), OUTAGE),
)

_CALLERS = (
    *("invalid_image", "invalid_image_format", "invalid_base64_image", "invalid_image_url", "image_too_large"),
    *("image_too_small", "image_parse_error", "invalid_image_mode", "image_file_too_large", "data_residency_mismatch"),
    *("unsupported_image_media_type", "empty_image_file", "failed_to_download_image", "image_file_not_found"),
)
_POLICIES = (
    *("invalid_prompt", "bio_policy", "misalignment_policy_violation", "image_content_policy_violation"),
)  # fmt: skip

RESPONSE_ERROR_CODES = {
    **dict.fromkeys(_CALLERS, REQUEST),
    **dict.fromkeys(_POLICIES, POLICY),
    "server_error": OUTAGE,
    "rate_limit_exceeded": RATE,
    "vector_store_timeout": OUTAGE,
}
"""The codes of the SDK's ``ResponseError``, and what each is wherever it is said."""
