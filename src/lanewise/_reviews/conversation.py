"""The question of a case as a conversation: roles and texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

__all__ = ["conversation"]


def conversation(question: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Roles and texts: of messages as such, of whatever else was asked as its JSON.

    Example::

        for who, text in conversation(case.question):
            print(f"[{who}] {text}")
    """
    instructions = question.get("instructions")
    if isinstance(instructions, str):
        yield "instructions", instructions
    messages = question.get("messages", question.get("input"))
    for message in messages if isinstance(messages, list) else [messages]:
        if isinstance(message, dict) and "content" in message:
            yield str(message.get("role", "message")), _text_of(message["content"])
        else:
            yield "input", _text_of(message)


def _text_of(content: object) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [None]
    texts = [part.get("text") if isinstance(part, dict) else None for part in parts]
    found = [text for text in texts if isinstance(text, str)]
    if len(found) == len(parts):
        return "\n".join(found)
    return msgspec.json.encode(content).decode()
