"""The names under which OpenTelemetry knows calls and attempts, all in one place.

Those that begin with ``gen_ai`` are of OpenTelemetry's semantic conventions for generative AI, which are still in
development (github.com/open-telemetry/semantic-conventions-genai, as of November 2026); the others are ours, where
the conventions have none.
"""

from __future__ import annotations

from typing import Final

from lanewise.types import Api

__all__ = ["OPERATIONS", "SECONDS", "TOKENS", "system_of"]

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_STREAM: Final = "gen_ai.request.stream"
RESPONSE_MODEL: Final = "gen_ai.response.model"
FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
"""In seconds."""
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHED_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE_TOKENS: Final = "gen_ai.usage.cache_creation.input_tokens"
REASONING_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 - no password
DURATION: Final = "gen_ai.client.operation.duration"
TOKEN_USAGE: Final = "gen_ai.client.token.usage"  # noqa: S105 - no password
TIME_TO_FIRST_CHUNK: Final = "gen_ai.client.operation.time_to_first_chunk"

SERVER: Final = "server.address"
STATUS: Final = "http.response.status_code"
ERROR: Final = "error.type"

CALL_DURATION: Final = "lanewise.call.duration"
COST: Final = "lanewise.cost"
BREAKER_CHANGES: Final = "lanewise.breaker.changes"
BREAKER_STATE: Final = "lanewise.breaker.state"
API: Final = "lanewise.api"
ACCOUNT: Final = "lanewise.account"
SCORE: Final = "lanewise.score"
SCORE_NAME: Final = "lanewise.score.name"
CALL_ID: Final = "lanewise.call.id"
REQUEST_ID: Final = "lanewise.request.id"
TASK: Final = "lanewise.task"
ROUTE: Final = "lanewise.route"
LANE: Final = "lanewise.lane"
OUTCOME: Final = "lanewise.outcome"
ATTEMPTS: Final = "lanewise.attempts"
ATTEMPT_NUMBER: Final = "lanewise.attempt.number"
SENSITIVE: Final = "lanewise.sensitive"
SUBJECT_HASH: Final = "lanewise.subject.hash"
REPLAYED_FROM: Final = "lanewise.replayed_from"
LABEL: Final = "lanewise.label."
"""Before the name of a label of the scope's."""
DROPPED: Final = "lanewise.dropped"
DETAIL: Final = "lanewise.failure.detail"
ERROR_CODE: Final = "lanewise.provider.error_code"
TOKENS_ESTIMATED: Final = "lanewise.tokens.estimated"
COST_USD: Final = "lanewise.cost.usd"
REPORTED_COST_USD: Final = "lanewise.cost.reported_usd"
COST_UPPER_USD: Final = "lanewise.cost.upper_usd"
COST_STATUS: Final = "lanewise.cost.status"

OPERATIONS: Final = {Api.CHAT: "chat", Api.RESPONSES: "chat", Api.EMBEDDINGS: "embeddings"}
"""What the conventions call the kinds of API."""
SECONDS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""The buckets that the conventions ask for, of durations."""
TOKENS: Final = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
"""The buckets that the conventions ask for, of tokens."""

_SYSTEMS: Final = {
    "api.anthropic.com": "anthropic",
    "api.cohere.ai": "cohere",
    "api.deepseek.com": "deepseek",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral_ai",
    "api.perplexity.ai": "perplexity",
    "api.x.ai": "x_ai",
}


def system_of(host: str) -> str:
    """The conventions' name of a provider. One with OpenAI's API and no name there is ``openai``: its host is recorded.

    Example::

        assert system_of("api.groq.com") == "groq"
    """
    if host.endswith((".openai.azure.com", ".services.ai.azure.com")):
        return "azure.ai.openai"
    return _SYSTEMS.get(host, "openai")
