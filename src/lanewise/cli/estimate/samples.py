"""The samples of an estimate: a prompt file, or a JSONL file of bodies, messages or texts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from lanewise._openai.parameters import OUTPUT_LIMITS
from lanewise._openai.request_body import RequestBody
from lanewise.types import Api

__all__ = ["BadSample", "RecordedSample", "read_samples"]

_ONE_A_LINE: Final = {".jsonl", ".ndjson"}


class BadSample(Exception):
    """The file can't be read as samples; the text names the line, and quotes nothing of it."""


class RecordedSample(msgspec.Struct, frozen=True):
    """A body as the app would send it. ``answers`` is how many it asks for, ``cap`` the most tokens of each."""

    body: RequestBody
    answers: int
    cap: int | None


def read_samples(file: Path, api: Api | None) -> tuple[Api, list[RecordedSample]]:
    """The samples of a file, and the kind of API that they are for.

    A file that ends in ``.jsonl`` or ``.ndjson`` has a JSON value a line: a body (bare, or as ``body`` of a batch
    file's line), a list of messages, or a text. One that ends in ``.json`` is one such value; any other one text.
    ``api`` is what the task's routes offer, if they offer one kind only. Raises BadSample.
    """
    values = list(_values(file))
    if not values:
        raise BadSample("the file is empty")
    bodies = [_body(value, line, api) for line, value in values]
    found = {_api_of(body, api) for body in bodies}
    if len(found) > 1:
        raise BadSample("some lines have messages and others have input: make a file for each kind of API")
    return found.pop(), [_sample(body) for body in bodies]


def _values(file: Path) -> Iterator[tuple[int, object]]:
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadSample(f"the file is not UTF-8 (byte {error.start})") from None
    except OSError as error:
        raise BadSample(f"the file can't be read ({error.strerror})") from None
    if file.suffix in _ONE_A_LINE:
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                yield number, _parsed(line, number)
    elif file.suffix == ".json":
        yield 1, _parsed(text, 1)
    elif text.strip():
        yield 1, text


def _parsed(text: str, line: int) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        problem = f"line {line} is not JSON"
    raise BadSample(f"{problem}: each line is a body, a list of messages, or a text in quotes")


def _body(value: object, line: int, api: Api | None) -> Mapping[str, object]:
    if isinstance(value, str):
        return {"messages": [{"role": "user", "content": value}]} if api in (None, Api.CHAT) else {"input": value}
    if isinstance(value, list) and value:
        return {"messages": value} if api in (None, Api.CHAT) else {"input": value}
    if isinstance(value, dict):
        inner = value.get("body")
        body = inner if isinstance(inner, dict) else value
        if "messages" in body or "input" in body:
            return body
    raise BadSample(f"line {line} is no body with messages or input, no list of messages, and no text")


def _api_of(body: Mapping[str, object], api: Api | None) -> Api:
    if "messages" in body:
        return Api.CHAT
    return Api.EMBEDDINGS if api is Api.EMBEDDINGS else Api.RESPONSES


def _sample(body: Mapping[str, object]) -> RecordedSample:
    caps = [cap for key in OUTPUT_LIMITS if isinstance(cap := body.get(key), int)]
    answers = body.get("n")
    return RecordedSample(
        body=RequestBody.parse(json.dumps(body).encode()),
        answers=answers if isinstance(answers, int) and answers > 1 else 1,
        cap=min(caps, default=None),
    )
