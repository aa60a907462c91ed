"""The JSON bodies of OpenAI's API: a whole answer in each of its forms, and its errors."""

from __future__ import annotations

import base64
import random
import time
import zlib
from array import array
from collections.abc import Mapping, Sequence

from lanewise.testing.behaviours import Answer, RejectParameters, Status, ToolCall
from lanewise.testing.journal import Asked, Received

__all__ = [
    "JsonObject",
    "answer_text",
    "answer_to",
    "chat_finish_reason",
    "chat_usage",
    "completion",
    "error_of_status",
    "function_call_item",
    "message_item",
    "model_object",
    "models_list",
    "response_object",
    "text_part",
    "unsupported_parameter",
]

JsonObject = dict[str, object]


def answer_to(received: Received, answer: Answer) -> JsonObject:
    """The whole answer, in the form that the request asks for."""
    if received.asked is Asked.RESPONSES:
        return _response(received, answer)
    if received.asked is Asked.EMBEDDINGS:
        return _embeddings(received, answer)
    if received.asked is Asked.COMPLETIONS:
        return _legacy_completion(received, answer)
    return _chat_completion(received, answer)


def answer_text(received: Received, answer: Answer) -> str:
    """The text of an answer, also where it is left to the provider."""
    return f"Hello from {received.model or 'nobody'}" if answer.text is None else answer.text


def completion(received: Received, kind: str, model: str | None, choices: list[JsonObject]) -> JsonObject:
    """What chat completions, their chunks and legacy completions have in common."""
    return {
        "id": f"chatcmpl-{received.number}",
        "object": kind,
        "created": int(time.time()),
        "model": model or received.model or "unknown",
        "choices": choices,
    }


def chat_usage(usage: tuple[int, int]) -> JsonObject:
    """Usage in the words of chat completions."""
    return {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}


def chat_tool_calls(tool_calls: Sequence[ToolCall]) -> list[JsonObject]:
    """Tool calls in the words of chat completions."""
    return [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in tool_calls
    ]


def chat_finish_reason(finish_reason: str | None, tool_calls: Sequence[ToolCall]) -> str | None:
    """An answer that calls tools ends because of them, unless something else was said."""
    return "tool_calls" if tool_calls and finish_reason == "stop" else finish_reason


def _chat_completion(received: Received, answer: Answer) -> JsonObject:
    silent = answer.text is None and (answer.tool_calls or answer.refusal)
    message: JsonObject = {
        "role": "assistant",
        "content": None if silent else answer_text(received, answer),
        "refusal": answer.refusal,
    }
    if answer.tool_calls:
        message["tool_calls"] = chat_tool_calls(answer.tool_calls)
    finish_reason = chat_finish_reason(answer.finish_reason, answer.tool_calls)
    asked_for = received.json.get("n")
    choices: list[JsonObject] = [
        {"index": index, "message": message, "logprobs": None, "finish_reason": finish_reason}
        for index in range(asked_for if isinstance(asked_for, int) else 1)
    ]
    body = completion(received, "chat.completion", answer.model, choices)
    if answer.usage is not None:
        body["usage"] = chat_usage(answer.usage)
    return body


def _legacy_completion(received: Received, answer: Answer) -> JsonObject:
    choice: JsonObject = {
        "index": 0,
        "text": answer_text(received, answer),
        "logprobs": None,
        "finish_reason": answer.finish_reason,
    }
    body = completion(received, "text_completion", answer.model, [choice])
    if answer.usage is not None:
        body["usage"] = chat_usage(answer.usage)
    return body


def _response(received: Received, answer: Answer) -> JsonObject:
    output: list[JsonObject] = []
    if answer.refusal is not None:
        output.append(message_item(received, [{"type": "refusal", "refusal": answer.refusal}]))
    elif answer.text is not None or not answer.tool_calls:
        output.append(message_item(received, [text_part(answer_text(received, answer))]))
    output += [function_call_item(call) for call in answer.tool_calls]
    return response_object(
        received, answer.model, output=output, usage=answer.usage, finish_reason=answer.finish_reason
    )


def text_part(text: str) -> JsonObject:
    """A part of a message of a response."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def message_item(received: Received, parts: list[JsonObject], status: str = "completed") -> JsonObject:
    """The message in a response's output."""
    return {
        "id": f"msg_{received.number}",
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": parts,
    }


def function_call_item(call: ToolCall, status: str = "completed") -> JsonObject:
    """A function call in a response's output."""
    return {
        "id": f"fc_{call.id}",
        "type": "function_call",
        "call_id": call.id,
        "name": call.name,
        "arguments": call.arguments if status == "completed" else "",
        "status": status,
    }


def response_object(
    received: Received,
    model: str | None,
    *,
    output: list[JsonObject],
    usage: tuple[int, int] | None,
    finish_reason: str | None,
    status: str | None = None,
    error: Mapping[str, object] | None = None,
) -> JsonObject:
    """A response; its status follows from the finish reason unless it is given."""
    incomplete = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(finish_reason or "")
    ask = received.json
    body: JsonObject = {
        "id": f"resp_{received.number}",
        "object": "response",
        "created_at": int(time.time()),
        "status": status or ("incomplete" if incomplete else "completed"),
        "error": error,
        "incomplete_details": {"reason": incomplete} if incomplete and status is None else None,
        "instructions": ask.get("instructions"),
        "metadata": ask.get("metadata") or {},
        "model": model or received.model or "unknown",
        "output": output,
        "parallel_tool_calls": True,
        "temperature": ask.get("temperature", 1.0),
        "tool_choice": ask.get("tool_choice", "auto"),
        "tools": ask.get("tools") or [],
        "top_p": ask.get("top_p", 1.0),
        "usage": None,
    }
    if usage is not None:
        body["usage"] = {
            "input_tokens": usage[0],
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": usage[1],
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": sum(usage),
        }
    return body


def _embeddings(received: Received, answer: Answer) -> JsonObject:
    texts = received.json.get("input")
    # One text, or one list of tokens, is one input.
    inputs = texts if isinstance(texts, list) and not all(isinstance(item, int) for item in texts) else [texts]
    asked_for = received.json.get("dimensions")
    dimensions = asked_for if isinstance(asked_for, int) else answer.dimensions
    as_base64 = received.json.get("encoding_format") == "base64"
    data: list[JsonObject] = []
    for index, item in enumerate(inputs):
        vector = _vector(item, dimensions)
        embedding: object = base64.b64encode(vector.tobytes()).decode() if as_base64 else vector.tolist()
        data.append({"object": "embedding", "index": index, "embedding": embedding})
    body: JsonObject = {"object": "list", "data": data, "model": answer.model or received.model or "unknown"}
    if answer.usage is not None:
        body["usage"] = {"prompt_tokens": answer.usage[0], "total_tokens": answer.usage[0]}
    return body


def _vector(item: object, dimensions: int) -> array[float]:
    """Some vector that is always the same for the same input, in the precision that base64 carries."""
    draw = random.Random(zlib.crc32(repr(item).encode()))
    return array("f", [draw.uniform(-1, 1) for _ in range(dimensions)])


def models_list(names: Sequence[str]) -> JsonObject:
    """The answer to ``GET /models``."""
    return {"object": "list", "data": [model_object(name) for name in names]}


def model_object(name: str) -> JsonObject:
    """The answer to ``GET /models/<name>``."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "lanewise"}


_ERRORS: dict[int, tuple[str, str, str | None]] = {
    400: ("Invalid request.", "invalid_request_error", None),
    401: ("Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
    402: ("Payment required.", "billing_error", "insufficient_balance"),
    403: ("You are not allowed to do that.", "permission_error", None),
    404: ("The model does not exist or you do not have access to it.", "invalid_request_error", "model_not_found"),
    413: ("Request too large.", "invalid_request_error", None),
    429: ("Rate limit reached for requests.", "requests", "rate_limit_exceeded"),
    503: ("The engine is currently overloaded, please try again later.", "server_error", None),
}


def error_of_status(status: Status) -> JsonObject:
    """The error body that OpenAI sends with a status, with the fields that the test overrides."""
    default = _ERRORS.get(
        status.status, ("The server had an error while processing your request.", "server_error", None)
    )
    error: JsonObject = {"message": default[0], "type": default[1], "param": None, "code": default[2]}
    error.update(status.error or {})
    return {"error": error}


def unsupported_parameter(name: str, style: RejectParameters) -> tuple[int, object]:
    """Status and body with which a provider refuses a parameter that it does not know."""
    match style.style:
        case "gemini":
            message = f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.'
            return 400, [{"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}]
        case "mistral":
            detail = {"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted"}
            return 422, {"detail": [detail]}
        case "anthropic":
            message = f"{name}: Extra inputs are not permitted"
            return 400, {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
        case "openai":
            message = f"Unsupported parameter: '{name}' is not supported with this model."
            error = {
                "message": message,
                "type": "invalid_request_error",
                "param": name,
                "code": "unsupported_parameter",
            }
            return 400, {"error": error}
