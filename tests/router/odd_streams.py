"""Streams in the manner of one server or another: chunks and events with odd fields, families that nobody knows."""

from __future__ import annotations

from typing import Any

from router.odd_answers import (
    ENDS,
    LEFT_OUT,
    MODEL,
    ODD,
    OF_CHOICES,
    OLD_FUNCTIONS,
    RESPONSE_TOOLS,
    TEXTS,
    TOOLS,
    USAGE,
    USAGES,
    Drawing,
    Fields,
    response,
)

__all__ = ["chat_events", "response_events"]

Events = list[tuple[str | None, Fields]]
_BLANK: tuple[Fields, ...] = (
    {},
    {"content": ""},
    {"content": None},
    {"content": None, "tool_calls": None, "refusal": None},
)
_DELTAS: dict[str, list[Fields]] = {
    "thinking": [{"reasoning_content": "hm"}, {"thinking": "m"}, {"content": "Hi"}],
    "refusal": [{"refusal": "I "}, {"refusal": "can't"}],
    "audio": [{"audio": {"id": "a"}}, {"audio": {"transcript": "hi"}}, {"audio": {"data": "AAAA"}}],
    "image": [{"content": "", "images": [{"type": "image_url", "image_url": {"url": "data:,"}}]}],
    "unknown words": [{"words": "x"}, {"content": "Hi"}],
    "parts": [{"content": [{"type": "text", "text": "Hi"}]}, {"content": "x"}],
    "a blank old call": [{"content": "Hi", "function_call": {"name": "", "arguments": ""}}],
}
_NAMED = {"index": 0, "id": "a", "type": "function", "function": {"name": "add", "arguments": ""}}
_ARGUMENTS: list[Fields] = [
    {"index": 0, "function": {"arguments": '{"a"'}},
    {"index": 0, "function": {"arguments": ": 1}"}},
]
_SECOND = {"index": 1, "id": "b", "type": "function", "function": {"name": "now", "arguments": "{}"}}
_WHOLE_CALL = {"index": 0, "id": "a", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
_CALLS: dict[str, list[list[Fields]]] = {
    "in pieces": [[_NAMED], [_ARGUMENTS[0]], [_ARGUMENTS[1]]],
    "at once": [[_WHOLE_CALL]],
    "two": [[_NAMED, _SECOND], [_ARGUMENTS[0]], [_ARGUMENTS[1]]],
    "two of one index": [[_WHOLE_CALL], [{**_SECOND, "index": 0}]],
    "named late": [[{"index": 0, "id": "a", "function": {}}], [{"index": 0, "function": {"name": "add"}}], _ARGUMENTS],
    "an id each": [[_NAMED], [{**_ARGUMENTS[0], "id": "a"}], [{**_ARGUMENTS[1], "id": "", "type": None}]],
    "from index 1": [[{**_NAMED, "index": 1}], [{**piece, "index": 1} for piece in _ARGUMENTS]],
    "no arguments": [[{**_NAMED, "function": {"name": "now", "arguments": None}}]],
    "an object": [[{**_NAMED, "function": {"name": "add", "arguments": {"a": 1}}}]],
}
_OF_CHUNKS: dict[str, tuple[Any, ...]] = {
    "id": (None, LEFT_OUT, "", 5), "object": (None, LEFT_OUT, ""), "created": (None, LEFT_OUT, "1", 1.5, 10**20),
    "model": (None, LEFT_OUT, "", "other", 5), "service_tier": (None, "x", 5), "usage": (None, {}, []),
    "status": ("ok",),
    "error": (None, {}, "", False), "obfuscation": ("abc", None), "x_extra": ODD, "type": ("chunk", None),
    "code": (0, None),
}  # fmt: skip


def _chunk(draw: Drawing, delta: Any, reason: str | None = None) -> Fields:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    draw.disturb(choice, {"logprobs": OF_CHOICES["logprobs"], "index": (None, LEFT_OUT, "0", 0.0), "seed": (1,)}, 0.05)
    if reason is None:
        draw.disturb(choice, {"finish_reason": ("", LEFT_OUT, None, False)}, 0.05)
    chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": [choice]}
    draw.disturb(chunk, _OF_CHUNKS, 0.02)
    return chunk


def chat_events(draw: Drawing) -> Events:
    """The chunks of a chat stream."""
    asks_for_usage = draw.happens(0.4)
    if asks_for_usage:
        draw.options["stream_options"] = {"include_usage": True}
    chunks: list[Fields] = []
    if draw.happens(0.2):
        chunks.append({"id": "", "object": "", "model": "", "created": 0, "prompt_filter_results": [], "choices": []})
    if draw.happens(0.85):
        chunks.append(_chunk(draw, {"role": draw.pick(["assistant", None, "model"]), **draw.pick(_BLANK)}))
    shape = draw.pick(["text"] * 6 + ["calls"] * 3 + ["old call", "custom call", *_DELTAS])
    draw.tell("a stream of", shape)
    deltas = list(_DELTAS.get(shape, ()))
    reason = "stop"
    if shape == "text":
        text = draw.pick(TEXTS)
        size = max(1, len(text) // 4)
        deltas = [{"content": text[at : at + size]} for at in range(0, len(text), size)]
    elif shape == "calls":
        draw.options["tools"] = TOOLS
        way = draw.pick(sorted(_CALLS))
        draw.tell("calls", way)
        deltas, reason = [{"tool_calls": pieces} for pieces in _CALLS[way]], "tool_calls"
    elif shape == "custom call":
        draw.options["tools"] = [{"type": "custom", "custom": {"name": "run"}}]
        first = {"index": 0, "id": "a", "type": "custom", "custom": {"name": "run", "input": ""}}
        deltas = [{"tool_calls": [first]}, {"tool_calls": [{"index": 0, "custom": {"input": "ls"}}]}]
    elif shape in ("old call", "a blank old call"):
        draw.options["functions"] = OLD_FUNCTIONS
        if shape == "old call":
            deltas = [{"function_call": {"name": "now", "arguments": "{"}}, {"function_call": {"arguments": "}"}}]
    if draw.happens(0.1):
        deltas.insert(0, draw.pick(_BLANK))
    chunks += [_chunk(draw, delta) for delta in deltas]
    chunks.append(_chunk(draw, draw.pick([*_BLANK, None, [], ""]), draw.pick(ENDS) if draw.happens(0.2) else reason))
    if draw.happens(0.1):
        chunks.append(_chunk(draw, draw.pick(_BLANK)))
    _add_usage(draw, chunks, asked=asks_for_usage)
    return [(None, chunk) for chunk in chunks]


def _add_usage(draw: Drawing, chunks: list[Fields], *, asked: bool) -> None:
    usage = draw.pick([USAGE, USAGE, *USAGES])
    place = draw.pick(["none", "the last", "every", "its choice", "x_groq", "its own", "its own", "its own, null"])
    draw.tell("usage in", place)
    own = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    if place == "the last":
        chunks[-1]["usage"] = usage
    elif place == "every":
        for chunk in chunks:
            if chunk["choices"]:
                chunk["usage"] = usage
    elif place == "its choice":
        chunks[-1]["choices"][0]["usage"] = usage
    elif place == "x_groq":
        chunks[-1]["x_groq"] = {"id": "r", "usage": usage}
    elif place != "none" and asked:
        chunks.append({**own, "choices": [] if place == "its own" else None, "usage": usage})


def response_events(draw: Drawing, text: str | None = None) -> Events:
    """The events of a Responses stream, families that nobody knows among them."""
    events: Events = []

    def add(kind: str, **fields: Any) -> None:
        events.append((kind, {"type": kind, "sequence_number": len(events), **fields}))

    family = (
        "text"
        if text
        else draw.pick(["text"] * 4 + ["call", "custom", "refusal", "image", "hologram", "search", "last"])
    )
    draw.tell("events of", family)
    text = text or draw.pick(TEXTS)
    at: Fields = {"item_id": "m", "output_index": 0}
    item: Fields = {"type": "message", "id": "m", "role": "assistant", "status": "completed",
                    "content": [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]}  # fmt: skip
    if family == "call":
        draw.options["tools"] = RESPONSE_TOOLS
        item = {
            "type": "function_call",
            "id": "m",
            "call_id": "c",
            "name": "now",
            "arguments": "{}",
            "status": "completed",
        }
    elif family == "custom":
        draw.options["tools"] = [{"type": "custom", "name": "run"}]
        item = {"type": "custom_tool_call", "id": "m", "call_id": "c", "name": "run", "input": "ls"}
    elif family == "refusal":
        item["content"] = [{"type": "refusal", "refusal": "No."}]
    elif family in ("image", "hologram", "search"):
        kind = {"image": "image_generation_call", "hologram": "hologram_call", "search": "web_search_call"}[family]
        item = {"type": kind, "id": "m", "status": "completed", "result": "AAAA", "action": None}
    last = draw.pick(["completed"] * 5 + ["incomplete", "done"])
    final = response(draw, text, [item])
    if last == "incomplete":
        final |= {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    begun = {**final, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    for stage in ("queued", "created", "in_progress"):
        if draw.happens(0.2 if stage == "queued" else 0.8):
            add(f"response.{stage}", response=begun)
    if family != "last":
        begins = {"status": "in_progress", "content": [], "arguments": "", "input": "", "result": None}
        add(
            "response.output_item.added",
            output_index=0,
            item={**item, **{k: v for k, v in begins.items() if k in item}},
        )
        _add_family(draw, add, family, at, text)
        add("response.output_item.done", output_index=0, item=item)
    add(f"response.{last}", response=final)
    named = draw.happens(0.85)
    for _, event in events:
        draw.disturb(
            event,
            {"x_extra": ODD, "error": (None, {}, ""), "obfuscation": ("x",), "sequence_number": (None, "1")},
            0.02,
        )
    return [(kind if named else None, event) for kind, event in events]


def _add_family(draw: Drawing, add: Any, family: str, at: Fields, text: str) -> None:
    part = {**at, "content_index": 0}
    if family == "text":
        add("response.content_part.added", **part, part={"type": "output_text", "text": "", "annotations": []})
        half = max(1, len(text) // 2)
        for piece in (text[:half], text[half:]):
            add("response.output_text.delta", **part, delta=piece, logprobs=[])
        add("response.output_text.done", **part, text=text, logprobs=[])
    elif family == "call":
        add("response.function_call_arguments.delta", **at, delta="{}")
        add("response.function_call_arguments.done", **at, arguments="{}", name="now")
    elif family == "custom":
        add("response.custom_tool_call_input.delta", **at, delta="ls")
    elif family == "refusal":
        add("response.content_part.added", **part, part={"type": "refusal", "refusal": ""})
        add("response.refusal.delta", **part, delta="No.")
    elif family == "image":
        add("response.image_generation_call.partial_image", **at, partial_image_index=0, partial_image_b64="AAAA")
    elif family == "hologram":
        add("response.hologram_call.beaming", **at)
        add("response.hologram_call.photons.delta", **at, delta=draw.pick([{"x": 1}, "x", [1], 5]))
    elif family == "search":
        add("response.web_search_call.searching", **at)
