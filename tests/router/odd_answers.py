"""Answers in the manner of one server or another: odd fields, shapes and events, and errors in everybody's dialect.

All is drawn from a seed. What a server leaves out, adds, or writes as another type is noted in words.
"""

from __future__ import annotations

import base64
import json
import random
import struct
from typing import Any

__all__ = [
    "ENDS",
    "ERRORS",
    "FAILED_ENDS",
    "LEFT_OUT",
    "MODEL",
    "ODD",
    "OF_CHOICES",
    "OLD_FUNCTIONS",
    "RESPONSE_TOOLS",
    "TEXTS",
    "TOOLS",
    "USAGE",
    "USAGES",
    "Drawing",
    "Fields",
    "chat",
    "embeddings",
    "response",
]

Fields = dict[str, Any]
MODEL = "model-one"
LEFT_OUT = "\x00left out"
TEXTS = (
    "Hello",
    "Zürich ☕",
    "line\u2028and\x85line",
    "data: [DONE]",
    "a\rb\nc",
    "0",
    " ",
    "\ufeffmark",
    "x" * 9000,
    "null",
)
ODD = (None, [], {}, "", 0, False, True, -1, 1.5, "text", ["x", None], {"a": {"b": []}}, 10**30, "0", 1e-320)
TOOLS = [
    {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}},
    {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "required": ["a"]}}},
]
RESPONSE_TOOLS = [{"type": "function", "strict": False, **tool["function"]} for tool in TOOLS]  # type: ignore[dict-item]
OLD_FUNCTIONS = [{"name": "now", "parameters": {"type": "object", "properties": {}}}]
ENDS = ("stop", "end_turn", "eos", "STOP", "COMPLETE", "stop_sequence", "tool_use", "done", "null", "load", "<eos>")
FAILED_ENDS = ("error", "network_error", "abort", "insufficient_system_resource", "cancelled", "timeout", "overloaded")

# fmt: off
_NO = "upstream said no"
ERRORS: tuple[Any, ...] = (
    {"error": {"message": _NO, "type": "server_error", "code": None, "param": None}}, {"error": _NO},
    {"error": {"message": _NO, "type": "invalid_request_error", "code": "model_not_found"}}, {"error": _NO,
    "code": 500},
    {"error": {"code": 503, "message": _NO, "status": "UNAVAILABLE"}}, [{"error": {"code": 429, "message": _NO}}],
    {"type": "error", "error": {"type": "overloaded_error", "message": _NO}}, {"detail": _NO}, {"message": _NO},
    {"object": "error", "message": _NO, "type": "BadRequestError", "code": 400}, {"msg": _NO, "code": 1001},
    {"code": "InternalError", "message": _NO, "request_id": "r"}, {"code": 20015, "message": _NO, "data": None},
    {"errors": [{"code": 7003, "message": _NO}], "success": False}, {"status": "error", "message": _NO},
    {"base_resp": {"status_code": 1002, "status_msg": "rate limit"}}, {"error_code": 18, "error_msg": _NO},
    {"detail": [{"loc": ["body", "x"], "msg": _NO, "type": "missing"}]}, {"message": _NO, "statusCode": 500},
    {"title": "Bad", "status": 500, "detail": _NO, "type": "about:blank"}, {"success": False, "message": _NO},
    {"__type": "ThrottlingException", "message": _NO}, {"ok": False, "error": _NO}, {"exception": _NO},
    {"Error": {"Code": "X", "Message": _NO}}, {"fault": {"faultstring": _NO, "detail": {"errorcode": "steps.x"}}},
    {"error": {"message": {"detail": _NO}}}, {"error": json.dumps({"error": {"message": _NO, "code": 500}})},
    {"error": {"message": json.dumps({"error": {"message": _NO}}), "code": 502}}, {"error": ["a"]}, {"error": True},
    {"error": {"message": _NO, "metadata": {"raw": '{"error":"x"}'}, "code": 502}}, {"error": [{"message": _NO}]},
    {"errorMessage": _NO, "errorType": "X"}, {"errno": 111, "err": _NO}, {"failure": _NO}, {"errors": _NO},
    {"status": 500, "error": "Internal Server Error", "path": "/v1"}, {"status_code": 429, "message": _NO},
    {"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": _NO}}, {"header": {"code": 1, "message": _NO}},
    {"ResponseMetadata": {"Error": {"Code": "X", "Message": _NO}}}, {"data": None, "code": -1, "message": _NO},
    {"choices": [], "error": {"message": _NO}}, {"choices": None, "error": {"message": _NO, "code": "x"}},
    {"error": {"type": "timeout"}}, {"error": {"code": "rate_limit_exceeded"}}, {"data": {"error": _NO}}, [_NO],
)
"""Errors that come with a 200."""

_OF_ANSWERS: dict[str, tuple[Any, ...]] = {
    "id": (None, LEFT_OUT, "", 5, ["a"], {"a": 1}, "é\n"), "model": (None, LEFT_OUT, "", "other", 5, ["m"],
    {"id": "m"}),
    "object": (None, LEFT_OUT, "", "text_completion", 3), "service_tier": (None, LEFT_OUT, "weird", 5, {}, "priority"),
    "system_fingerprint": (None, LEFT_OUT, 5, {}), "error": (None, {}, "", [], False, 0, {"code": 0, "message": "ok"}),
    "created": (None, LEFT_OUT, 1.5, "2026-01-01", 10**20, -1, [], True), "x_groq": ({"id": "r"}, None,
    {"usage": "x"}, []),
    "prompt_filter_results": ([], [{"prompt_index": 0}]), "timings": ({"prompt_ms": 1.5},), "citations": (["x"], None),
    "code": (0, 200, None, "ok"), "msg": ("success", ""), "message": ("", "ok", None), "errors": ([], None, [{}]),
    "base_resp": ({"status_code": 0, "status_msg": "success"}, None), "detail": (None, "", []), "success": (True,
    False),
    "usage_breakdown": (None, {}, {"models": []}), "provider": ("X", None), "moderation": (None, {}),
}
OF_CHOICES: dict[str, tuple[Any, ...]] = {
    "index": (0, None, LEFT_OUT, "0", 7, -1, 0.0, 1e3), "matched_stop": (None, 3, "<eos>"), "stop_reason": (None,
    128009),
    "logprobs": (LEFT_OUT, None, {}, [], "x", {"content": None, "refusal": None}, {"tokens": ["H"], "top_logprobs": []},
                 {"content": [{"token": "H", "logprob": None, "bytes": None, "top_logprobs": None}]}),
    "content_filter_results": ({}, None, {"hate": {"filtered": False}}), "delta": (None, {}), "error": (None, {}, ""),
    "finish_reason": ENDS, "seed": (10**20,), "text": ("x",), "usage": (None, {"prompt_tokens": 1}),
}
_OF_MESSAGES: dict[str, tuple[Any, ...]] = {
    "role": (None, LEFT_OUT, "model", "", "tool", 1, ["assistant"]), "refusal": (None, LEFT_OUT, "", [], False),
    "annotations": ([], None, [None], {}, "x", [{"type": "url_citation", "url_citation": {"url": "x"}}]),
    "audio": (None, {}, {"id": None}), "reasoning_content": (None, "", "hm", ["x"], {"text": "x"}), "name": ("bot",
    None),
    "reasoning_details": (None, [], [{"type": "reasoning.text", "text": "x"}]), "tool_calls": (None, [], {}, "", 0),
    "function_call": (None, {}, "", {"name": None, "arguments": None}, {"name": "", "arguments": ""}), "images": ([],),
    "provider_specific_fields": (None, {"citations": None}), "thinking_blocks": ([{"thinking": "x"}],),
}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
USAGES = (
    None, {}, [], 5, "x", {"prompt_tokens": 3.0, "completion_tokens": 2.0}, {"prompt_tokens": "3"},
        {"prompt_tokens": -3},
    {**USAGE, "prompt_tokens_details": None}, {**USAGE, "prompt_tokens_details": []}, {**USAGE, "cost": 0.001},
    {**USAGE, "completion_tokens_details": {"reasoning_tokens": "7"}}, {**USAGE, "total_tokens": 10**25}, [USAGE],
)
_RESPONSE_USAGE = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
_RESPONSE_USAGES = (None, {}, {"input_tokens": 3}, {**_RESPONSE_USAGE, "output_tokens": 2.0}, 7, USAGE)
# fmt: on


class Drawing:
    """One answer while it is drawn: how to ask for it, and in ``told`` what is odd in it."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.pick = self.chance.choice
        self.told: list[str] = []
        self.options: Fields = {}

    def happens(self, share: float) -> bool:
        return self.chance.random() < share

    def tell(self, *words: object) -> None:
        self.told.append(" ".join(map(str, words))[:70])

    def disturb(self, value: Fields, oddities: dict[str, tuple[Any, ...]], share: float = 0.1) -> None:
        """Give some of the fields another value."""
        for name, values in oddities.items():
            if self.happens(share):
                odd = self.pick(values)
                self.tell(name, repr(odd))
                if odd == LEFT_OUT:
                    value.pop(name, None)
                else:
                    value[name] = odd


# -- whole answers -----------------------------------------------------------------------------------------------------


def chat(draw: Drawing, *, as_json: bool = False) -> Fields:
    """A chat completion of one to three choices."""
    choices = [_choice(draw, number, "json" if as_json else None) for number in range(draw.pick([1, 1, 1, 2, 3]))]
    if draw.happens(0.1):
        draw.chance.shuffle(choices)
    usage = draw.pick(USAGES) if draw.happens(0.4) else USAGE
    answer = {"id": "c1", "object": "chat.completion", "created": 1, "model": MODEL, "choices": choices, "usage": usage}
    draw.disturb(answer, _OF_ANSWERS)
    return answer


def _choice(draw: Drawing, number: int, shape: str | None) -> Fields:
    message: Fields = {"role": "assistant", "content": draw.pick(TEXTS)}
    draw.disturb(message, _OF_MESSAGES)
    choice = {"index": number, "message": message, "finish_reason": "stop", "logprobs": None}
    draw.disturb(choice, OF_CHOICES)
    shape = shape or draw.pick(["text"] * 6 + ["tools", "parts", "refusal", "audio", "image", "thinking", "old call"])
    draw.tell("a choice of", shape)
    nothing = draw.pick([None, ""])
    if shape == "json":
        message.update(content=draw.pick(['{"a": 1}', ' {"a": 1}\n', '{\n "a": 1\n}']), tool_calls=None, refusal=None)
        message.pop("function_call", None)
    elif shape == "tools" and "functions" not in draw.options:
        draw.options["tools"] = TOOLS
        message.pop("function_call", None)
        message.update(
            content=draw.pick([None, "", "I look"]), tool_calls=[_call(draw) for _ in range(draw.pick([1, 2]))]
        )
        whole = all(call["function"]["arguments"] not in ("", None) for call in message["tool_calls"])
        choice["finish_reason"] = draw.pick(["tool_calls", "stop", "length" if whole else "stop"])
    elif shape == "old call" and "tools" not in draw.options:
        draw.options["functions"] = OLD_FUNCTIONS
        message.update(
            content=None, tool_calls=None, function_call={"name": "now", "arguments": draw.pick(["{}", "", None])}
        )
    elif shape == "parts":
        text = {"type": "text", "text": "Hi"}
        message["content"] = draw.pick(
            [[text], [{"type": "thinking", "thinking": [text]}, text], [{"text": "Hi"}], ["Hi"]]
        )
    elif shape == "refusal":
        message.update(content=None, refusal="I can't.")
    elif shape == "audio":
        message.update(content=None, audio={"id": "a", "data": "AAAA", "expires_at": 5, "transcript": "hi"})
    elif shape == "image":
        message.update(content=nothing, images=[{"type": "image_url", "image_url": {"url": "data:,"}}])
    elif shape == "thinking":
        message.update(content=nothing, reasoning_content="hm")
    return choice


def _call(draw: Drawing) -> Fields:
    name = draw.pick(["now", "add"])
    arguments = (
        draw.pick(['{"a": 1}', '{"a": 1}\n', {"a": 1}]) if name == "add" else draw.pick(["{}", "", None, " {} "])
    )
    call = {"id": "call", "type": "function", "function": {"name": name, "arguments": arguments}}
    if arguments in ("", None):
        draw.tell("no arguments")
    draw.disturb(call, {"id": (None, LEFT_OUT, "", 5), "type": (None, LEFT_OUT, ""), "index": (0, None, "0")})
    return call


_TYPES_OF_ITEMS = ("message",) * 5 + (
    "reasoning",
    "function_call",
    "custom_tool_call",
    "web_search_call",
    "mystery_call",
)


def response(draw: Drawing, text: str | None = None, items: list[Fields] | None = None) -> Fields:
    """A response of the Responses API."""
    output: list[Any] = items or [_item(draw, "message" if text else draw.pick(_TYPES_OF_ITEMS), text)]
    if items is None and draw.happens(0.15):
        output.insert(0, draw.pick([None, {}, {"type": None}, {"type": "reasoning", "id": "r", "summary": None}]))
    answer = {"id": "resp_1", "object": "response", "created_at": 1.5, "model": MODEL, "status": "completed",
        "error": None,
              "output": output, "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "metadata": {},
              "usage": draw.pick(_RESPONSE_USAGES) if draw.happens(0.3) else _RESPONSE_USAGE}  # fmt: skip
    draw.disturb(answer, _OF_ANSWERS)
    is_call = output[-1].get("type") == "function_call"  # whose arguments are cut, where there are none
    if text is None and items is None and not is_call and draw.happens(0.1):
        answer |= {"status": "incomplete", "incomplete_details": draw.pick([{"reason": "max_output_tokens"}, None])}
    return answer


def _item(draw: Drawing, kind: str, text: str | None) -> Fields:
    draw.tell("an item of", kind)
    item: Fields = {"type": kind, "id": "m", "status": "completed"}
    if kind == "message":
        part = {"type": "output_text", "text": text or draw.pick(TEXTS), "annotations": [], "logprobs": []}
        draw.disturb(part, {"annotations": (None, LEFT_OUT, [None], [{"type": "weird"}]), "logprobs": (None, {})})
        item |= {"role": "assistant", "content": [part]}
        if text is None and draw.happens(0.2):
            item["content"].append(draw.pick([{"type": "weird"}, {"text": "x"}, {"type": "refusal", "refusal": "No."}]))
    elif kind == "function_call":
        draw.options["tools"] = RESPONSE_TOOLS
        item |= {"call_id": "c", "name": "now", "arguments": draw.pick(["{}", "", " ", None])}
    elif kind == "custom_tool_call":
        draw.options["tools"] = [{"type": "custom", "name": "run"}]
        item |= {"call_id": "c", "name": "run", "input": draw.pick(["ls", ""])}
    elif kind == "reasoning":
        item |= {"summary": [], "content": draw.pick([None, [{"type": "reasoning_text", "text": "t"}]])}
    else:
        item["action"] = draw.pick([{"type": "search", "query": "q"}, {"type": "open_page", "url": None}, None])
    draw.disturb(item, {"id": (None, LEFT_OUT, 5), "status": (None, LEFT_OUT, "weird"), "phase": (None, "commentary")})
    return item


def embeddings(draw: Drawing) -> Fields:
    """A list of embeddings, in the forms in which servers write them."""
    if encoding := draw.pick([None, None, "float", "ubinary"]):
        draw.options["encoding_format"] = encoding
    packed = base64.b64encode(struct.pack("<3f", 0.1, 0.2, -0.3)).decode()
    forms: list[Any] = [packed, packed[:4] + "\n" + packed[4:], [0.1, 0.2], [1, 2], [1, 0.5, -0.0], ["0.1"], [None,
        0.1],
                        [1e-9, 5e-324], [[0.1]], [1e38] * 300]  # fmt: skip
    data: list[Fields] = [{"object": "embedding", "index": 0, "embedding": draw.pick(forms)}]
    if draw.happens(0.4):
        data.append({"object": "embedding", "index": 1, "embedding": draw.pick([*forms, []])})
    if encoding == "ubinary":
        data[0]["embedding"] = "AAEC/w=="[: draw.pick([4, 8])]
    for item in data:
        draw.disturb(item, {"index": (None, LEFT_OUT, "0", 1.0), "object": (None, LEFT_OUT, "x")})
    answer = {"object": "list", "model": MODEL, "data": data, "usage": draw.pick([None, {}, 5, {"prompt_tokens": 3.0}])}
    draw.disturb(answer, _OF_ANSWERS)
    return answer
