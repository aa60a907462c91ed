"""What of a provider's error is shown: words that are known, and no word that it may have made up or been told."""

from __future__ import annotations

import typing
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import embedding_create_params
from openai.types.chat import completion_create_params
from openai.types.responses import ResponseError, response_create_params

from lanewise._failures import failure_table as failures
from lanewise._failures.classification import from_inner_error, from_status
from lanewise._failures.dialects.error_codes import KNOWN_CODES
from lanewise._failures.shown_words import KNOWN_PARAMETERS, OTHER, shown_code, shown_param
from lanewise._openai.parameters import FIXED, MEANING, MEMORY

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
CANARY = "sk-canary-1a2b3c4d"

SHAPES: dict[str, Callable[[str], Any]] = {
    "OpenAI": lambda word: {"error": {"type": word, "code": word, "param": word, "message": "m"}},
    "a known type": lambda word: {"error": {"type": "invalid_request_error", "code": word, "param": word}},
    "a text beside": lambda word: {"error": "m", "code": word, "error_type": word},
    "Gemini": lambda word: [{"error": {"status": word.upper(), "details": [{"reason": word}]}}],
    "Azure": lambda word: {"error": {"code": "x", "innererror": {"code": word}}},
    "OpenRouter": lambda word: {
        "error": {"code": 400, "metadata": {"error_type": word, "raw": msgspec.json.encode({"code": word}).decode()}}
    },
    "flat": lambda word: {"code": word, "message": "m", "param": word, "object": "error"},
    "Cloudflare": lambda word: {"errors": [{"code": word, "message": "m"}]},
    "MiniMax": lambda word: {"base_resp": {"status_code": word, "status_msg": "m"}},
    "Baidu": lambda word: {"error_code": word, "error_msg": "m"},
    "Bedrock": lambda word: {"__type": word, "message": "m"},
    "FastAPI": lambda word: {"detail": [{"type": word, "loc": ["body", word], "msg": "m"}]},
    "a message that names it": lambda word: {"error": {"message": f"Unsupported parameter: '{word}'"}},
    "deep in a known one": lambda word: {"error": {"param": f"tools[0].function.parameters.properties.{word}"}},
    "digits": lambda word: {
        "error": {"param": "messages.4929.1234.5678.9012.content", "code": "4929123456789012", "type": word}
    },
}


@pytest.mark.parametrize("shape", SHAPES)
@given(
    word=st.sampled_from([CANARY, "hunter2", "Mueller", "a.b.c", "user_4711", "4929123456789012", "in.va.lid-canary"])
)
@pytest.mark.parametrize("status", [200, 400, 401, 404, 422, 429, 500, 503])
def test_no_word_that_is_not_known_is_shown(shape: str, status: int, word: str) -> None:
    """Whatever field of whatever shape it comes in, and at whatever status."""
    body = msgspec.json.encode(SHAPES[shape](word))
    if status == 200:
        failure = from_inner_error(body, otherwise=failures.INNER_ERROR)
    else:
        failure = from_status(status, {}, body, now=NOW)
    shown = f"{failure!r} {msgspec.json.encode(failure)!r}".lower()
    assert word.lower() not in shown
    assert "4929123456789012" not in shown
    assert ".1234" not in shown


@given(code=st.text(max_size=40), param=st.text(max_size=40))
def test_what_is_shown_stands_in_a_table(code: str, param: str) -> None:
    """Any text becomes a known word, a status, or ``other``."""
    shown = shown_code([code])
    known = set(KNOWN_CODES.values())
    assert shown in known | {c.lower() for c in known} | {c.upper() for c in known} | {OTHER} or (
        shown is not None and shown.isdigit() and 400 <= int(shown) <= 599
    )
    name = shown_param(param)
    assert name == OTHER or (name is not None and name.replace("[", ".").split(".")[0] in KNOWN_PARAMETERS)


@pytest.mark.parametrize(
    ("codes", "shown"),
    [
        (["invalid_api_key"], "invalid_api_key"),
        (["INVALID_ARGUMENT"], "INVALID_ARGUMENT"),
        (["InvalidApiKey"], "InvalidApiKey"),
        (["iN_vAlid_apiKey"], "invalid_api_key"),
        (["I.N-V_A.LID_api_key"], "invalid_api_key"),
        (["throttlingexception"], "throttlingexception"),
        (["canary", "invalid_request_error"], "invalid_request_error"),
        (["canary", "404"], "404"),
        (["canary", "777"], "other"),
        (["1113"], "1113"),
        (["404", "insufficient_quota"], "insufficient_quota"),
        ([], None),
    ],
)
def test_a_code_is_shown_as_it_is_known(codes: list[str], shown: str | None) -> None:
    """In the provider's spelling if that is one of those that are known, and the first one that is."""
    assert shown_code(codes) == shown


@pytest.mark.parametrize(
    ("param", "shown"),
    [
        ("messages[0].content", "messages[0].content"),
        ("messages.0.content", "messages.0.content"),
        ("temperature", "temperature"),
        ("tools[0].function.parameters.properties.ssn", "tools[0].function.parameters.properties"),
        ("messages[0][1]", "messages[0]"),
        ("0", "other"),
        ("canary", "other"),
        ("mine", "mine"),
        (None, None),
    ],
)
def test_a_parameter_is_shown_as_far_as_it_is_known(param: str | None, shown: str | None) -> None:
    """Or if the request itself had it at its top."""
    assert shown_param(param, lambda: {"mine"}) == shown


def test_the_parameters_and_codes_of_the_sdk_are_known() -> None:
    """What a newer SDK can send, a provider may refuse by name."""
    for of in (
        completion_create_params.CompletionCreateParamsBase,
        response_create_params.ResponseCreateParamsBase,
        embedding_create_params.EmbeddingCreateParams,
    ):
        assert typing.get_type_hints(of, include_extras=True).keys() <= KNOWN_PARAMETERS
    assert MEANING | MEMORY.keys() | FIXED <= KNOWN_PARAMETERS
    for code in typing.get_args(ResponseError.model_fields["code"].annotation):
        assert shown_code([code]) == code
