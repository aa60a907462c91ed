"""The phrases of providers' and gateways' error messages, read where the code of an error says too little.

A message can echo what a user wrote, and a user must not be able to close a route for everybody. So what is certain is
anchored to the start of a message, and what is only likely is looked for before its first quotation.
"""

from __future__ import annotations

import re
from typing import Final

from lanewise._failures.dialects.error_codes import Meaning

__all__ = [
    "RATE_CALLED_QUOTA",
    "TOO_LARGE",
    "UNSUPPORTED_PATTERNS",
    "by_likely_phrase",
    "by_phrase",
    "is_about_content",
    "is_of_one_user",
    "is_price_of_one_request",
    "model_named",
    "unwrapped",
]

_WRAPPED: Final = re.compile(
    r"(?:litellm\.\w{1,60}: |\w{1,60}(?:Exception|Error)(?: - |: )|error code: \d{3} - |error: |api error: "
    r"|provider returned error: |error from provider(?: \([\w .-]{1,60}\))?: |upstream error(?: from [\w .-]{1,60})?: "
    r"|\{'error': (?:\{'message': )?['\"]|/(?:v1/)?(?:chat/completions|responses|embeddings): |portkey error: )",
    re.IGNORECASE,
)
"""What gateways put in front of the message of the provider behind them."""

_QUOTATION: Final = re.compile(r"(?<![A-Za-z])['\"`]|[{\[<“‘「]")
_LOOKED_AT: Final = 300


def unwrapped(message: str) -> str:
    """A message without what gateways put in front of it."""
    while (wrapped := _WRAPPED.match(message)) is not None:
        message = message[wrapped.end() :]
    return message


_CERTAIN: Final[dict[Meaning, tuple[str, ...]]] = {
    # lower case, at the start of the message
    Meaning.QUOTA: (
        "your credit balance is too low",  # Anthropic
        "you have reached your specified api usage limits",  # Anthropic
        "you have reached your specified workspace api usage limits",  # Anthropic
        "your newly created team doesn't have any credits",  # xAI
        "your account is in arrears",  # GLM
        "access denied, please make sure your account is in good standing",  # Alibaba
        "sorry, your account balance is insufficient",  # SiliconFlow
        "budget has been exceeded!",  # LiteLLM
        "insufficient balance",  # DeepSeek
        "您的账户已欠费",  # GLM
    ),
    Meaning.KEY: (
        *("api key not valid", "api key not found", "api key expired"),  # Gemini
        "incorrect api key provided",  # OpenAI, xAI, Alibaba
        *("invalid api-key provided", "no api-key provided"),  # Alibaba
        *("user location is not supported for the api use", "this organization has been disabled"),  # Gemini, Anthropic
        *("authentication error, ", "invalid authentication"),  # LiteLLM, Moonshot
        "your api key does not have permission",  # Anthropic
        "method doesn't allow unregistered callers",  # Gemini
        "access denied due to virtual network/firewall rules",  # Azure
        *("无效的令牌", "该令牌已过期"),  # one-api and its forks
    ),
    Meaning.MODEL: (
        "model not exist",  # DeepSeek
        "model does not exist. please check it carefully",  # SiliconFlow
        "the provided model identifier is invalid",  # Bedrock
        "invalid model name passed in model=",  # LiteLLM
        *("模型不存在", "no endpoints found for "),  # GLM, OpenRouter
    ),
}

_MODEL_NAMED: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"the (?:requested |provided )?model [`'\"]?([\w./:@-]{1,200}?)[`'\"]? "
        r"(?:does not exist|was not found|is not found|has been deprecated|is not available|is not supported"
        r"|is not a valid model)",
        r"model [`'\"]?([\w./:@-]{1,200}?)[`'\"]?,? (?:was |is )?"
        r"(?:not found|does not exist|not supported|not loaded)",  # Ollama, LM Studio
        r"models/([\w./:@-]{1,200}) is not found",  # Gemini
        r"model: ([\w./:@-]{1,200})\Z",  # Anthropic
        r"([\w./:@-]{1,200}) is not a valid model id\Z",  # OpenRouter
        r"invalid model(?:: ?[`'\"]?| [`'\"])([\w./:@-]{1,200}?)[`'\"]?(?:\Z|\. |, )",  # Mistral, Perplexity
        r"unable to access model [`'\"]?([\w./:@-]{1,200}?)[`'\"]?(?:\Z|\. |, )",  # Together
        r"(?:your )?project [`'\"]?\w{1,100}[`'\"]? does not have access to model [`'\"]?([\w./:@-]{1,200})",  # OpenAI
    )
)
"""Matched at the start of the lower-case message; the group is the model."""

_LIKELY: Final[tuple[tuple[Meaning, re.Pattern[str]], ...]] = (
    (
        Meaning.LIKELY_QUOTA,
        re.compile(
            r"\b(?:balance|credits?|budget|billing|payment|spend(?:ing)? limit|prepaid|quota)\b.{0,60}?"
            r"\b(?:insufficient|exceeded|exhausted|used up|depleted|too low|reached|required|overdue|not enough)\b"
            r"|\b(?:insufficient|exceeded|exhausted|not enough|out of|run out of|no|over)\b.{0,30}?"
            r"\b(?:balance|credits?|budget|funds|spend(?:ing)? limit|quota)\b"
            r"|exceeded\w*budget|\btrial\b.{0,20}?\b(?:ended|expired|over)\b"
            r"|\b(?:in arrears|over budget|outstanding (?:balance|payment|invoice)|can only afford)\b"
            r"|requires more credits|余额不足|欠费|额度(?:已用尽|不足)"
        ),
    ),
    (
        Meaning.LIKELY_KEY,
        re.compile(
            r"\b(?:api[ _-]?key|access token|auth(?:entication)? token|bearer token|subscription key|credentials?)\b"
            r".{0,40}?\b(?:invalid|incorrect|expired|revoked|disabled|not valid|wrong|missing|deactivated|blocked"
            r"|not found|suspended)\b"
            r"|\b(?:invalid|incorrect|expired|revoked|disabled|wrong|missing|no|unknown)\b.{0,20}?"
            r"\b(?:api[ _-]?key|access token|auth(?:entication)? token|bearer token|subscription key|credentials)\b"
            r"|\b(?:account|organi[sz]ation|project|subscription)\b.{0,30}?"
            r"\b(?:disabled|deactivated|suspended|locked|blocked|terminated|expired|inactive)\b"
            r"|\bunauthori[sz]ed\b|\bnot authori[sz]ed\b|\bpermission denied\b"
            r"|authentication (?:failed|error|required)|令牌.{0,10}(?:无效|过期)"
        ),
    ),
    (
        Meaning.LIKELY_MODEL,
        re.compile(
            r"\b(?:unknown|invalid|unsupported|no such|unrecogni[sz]ed|non-?existent) model\b(?! (?:in|out|param))"
            r"|\bno (?:available )?(?:endpoints?|channels?|providers?|deployments?) (?:found|available|for|supports?)\b"
            r"|\bmodel (?:is )?(?:not (?:found|available)|does(?: not|n't) exist|unavailable)\b"
            r"|\bllm provider not provided\b"
            r"|无可用渠道|模型.{0,20}不存在"
        ),
    ),
)

_POLICY: Final = (
    "content filtering policy",  # Anthropic
    "content management policy",  # Azure
    *("usage policies", "usage policy", "content policy"),  # OpenAI
    "considered high risk",  # Moonshot
    "inappropriate content",  # Alibaba
    "responsible ai practices",  # Gemini
    "violates usage guidelines",  # xAI
    *("prompt was flagged", "input was flagged"),
)
_CONTEXT_LENGTH: Final = (
    "maximum context length",  # OpenAI, vLLM, OpenRouter, Mistral
    "prompt is too long",  # Anthropic
    "exceed context limit",  # Anthropic
    "exceeds the maximum number of tokens",  # Gemini
    "available context size",  # llama.cpp
    *("context length is only", "longer than the maximum model length"),  # vLLM
    "model's context length",  # SGLang
    "exceeds the context length",  # Ollama
    "exceeds the context window",  # OpenAI Responses
    "context length of only",  # LM Studio
    "maximum prompt length",  # xAI
    "please reduce the length of the",  # OpenAI, Groq
    "input token length too long",  # Moonshot
    "exceeded model token limit",  # Moonshot
    "range of input length should be",  # Alibaba
    *("input is too long for requested model", "too many input tokens"),  # Bedrock
    *("prompt 超长", "prompt超长"),  # GLM
    "too many tokens: ",  # Cohere
    "`max_new_tokens` must be <=",  # TGI, Together
    "max_tokens > context length",  # Together, 403
    "prompt tokens too long",  # UCloud
)

TOO_LARGE: Final = "request too large"
"""OpenAI and Groq, for a tokens-a-minute limit. At the start, in lower case."""

RATE_CALLED_QUOTA: Final = "allocated quota exceeded"
"""Alibaba, for a limit on tokens a minute. At the start, in lower case."""

_ONE_USER: Final = re.compile(r"\bend[ _-]?user|\bcustomer\b")
_CONTENT: Final = re.compile(r"(?:messages|input|tools|content)[.\[]")
_ONE_REQUEST: Final = re.compile(r"can only afford|fewer max_tokens|\bthis request\b")

UNSUPPORTED_PATTERNS: Final = (
    re.compile(r"Invalid JSON payload received\. Unknown name \"([\w.\[\]-]{1,100})\""),  # Gemini
    re.compile(r"Unrecognized request arguments? supplied: ([\w.\[\]-]{1,100})"),  # OpenAI, Azure
    re.compile(r"Unsupported parameter: '([\w.\[\]-]{1,100})'"),  # OpenAI
    re.compile(
        r"Un(?:known|supported|recogni[sz]ed) (?:field|parameter|argument|key|property):? [`'\"]?([\w.\[\]-]{1,100})"
    ),
    re.compile(r"json: unknown field \"([\w.\[\]-]{1,100})\""),  # Go
    re.compile(r"property '([\w.\[\]-]{1,100})' is unsupported"),  # Groq
    re.compile(r"([\w.\[\]-]{1,100}): Extra inputs are not permitted"),  # Anthropic
)
"""Matched at the start of the message; the group is the parameter."""


def by_phrase(message: str) -> Meaning | None:
    """What an unwrapped message, in lower case, means for certain."""
    return next((meaning for meaning, phrases in _CERTAIN.items() if message.startswith(phrases)), None)


def by_likely_phrase(message: str) -> Meaning | None:
    """What an unwrapped message, in lower case, is likely to mean: nothing that opens a route."""
    if any(phrase in message for phrase in _CONTEXT_LENGTH):
        return Meaning.CONTEXT_LENGTH
    quotation = _QUOTATION.search(message)
    own_words = message[: _LOOKED_AT if quotation is None else min(quotation.start(), _LOOKED_AT)]
    likely = next((meaning for meaning, pattern in _LIKELY if pattern.search(own_words)), None)
    if likely is not Meaning.LIKELY_KEY and any(phrase in message for phrase in _POLICY):
        return Meaning.CONTENT_POLICY  # not of an account that was closed for what it did
    return likely


def model_named(message: str) -> str | None:
    """The model of which an unwrapped message, in lower case, says that there is none."""
    found = (pattern.match(message) for pattern in _MODEL_NAMED)
    return next((match[1] for match in found if match), None)


def is_of_one_user(message: str) -> bool:
    """Whether a budget may be that of one user of the app (LiteLLM's end users), whom a request names."""
    return _ONE_USER.search(message) is not None


def is_about_content(message: str) -> bool:
    """Whether a message begins with a place in what was asked (``messages.0.content: ...``)."""
    return _CONTENT.match(message) is not None


def is_price_of_one_request(message: str) -> bool:
    """Whether the balance is only too low for what one request may cost (OpenRouter)."""
    return _ONE_REQUEST.search(message) is not None
