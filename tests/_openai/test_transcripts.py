"""What real dialects say, as their documentation shows it, and what we make of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lanewise._failures.classification import from_status
from lanewise._openai.response_check import Answer, from_answer
from lanewise._openai.streams.stream_state import StreamVerdict
from lanewise._openai.streams.stream_validator import StreamValidator
from lanewise.types import Api, Failure

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
FOLDER = Path(__file__).parent / "transcripts"


def transcripts(kind: str) -> list:
    found = []
    for file in sorted(FOLDER.glob("*.json")):
        for entry in json.loads(file.read_text(encoding="utf-8")):
            is_kind = "stream" if "events" in entry else "answer" if entry["status"] == 200 else "status"
            if is_kind == kind:
                found.append(pytest.param(entry, id=f"{file.stem}: {entry['name']}"))
    return found


def body_of(entry: dict) -> bytes:
    return entry["text"].encode() if "text" in entry else json.dumps(entry["body"]).encode()


def assert_failure(failure: object, expected: dict) -> None:
    assert isinstance(failure, Failure)
    assert {name: getattr(failure, name) for name in expected} == expected


@pytest.mark.parametrize("entry", transcripts("status"))
def test_a_providers_error_becomes_the_failure_that_it_is(entry: dict) -> None:
    """Status, headers and body of an error, as a provider sends them."""
    failure = from_status(entry["status"], entry.get("headers", {}), body_of(entry), now=NOW)
    assert_failure(failure, {"http_status": entry["status"], **entry["expect"]})


@pytest.mark.parametrize("entry", transcripts("answer"))
def test_a_200_is_an_answer_or_the_failure_that_it_hides(entry: dict) -> None:
    """The body of a 200, as a provider sends it."""
    judged = from_answer(Api(entry["api"]), body_of(entry), entry.get("content_type", "application/json"))
    if "answer" not in entry["expect"]:
        assert_failure(judged, {"http_status": 200, **entry["expect"]})
        return
    assert isinstance(judged, Answer)
    for name, value in entry["expect"]["answer"].items():
        told = judged.usage if name.endswith("_tokens") else judged
        assert getattr(told, name) == (tuple(value) if isinstance(value, list) else value), name


@pytest.mark.parametrize("entry", transcripts("stream"))
def test_a_stream_is_judged_event_by_event(entry: dict) -> None:
    """The events of a stream, as a provider sends them, and its end."""
    validator = StreamValidator(Api(entry["api"]), hide_usage=True)
    expected = entry["expect"]
    failed = False
    for (name, data), wanted in zip(entry["events"], expected["verdicts"], strict=True):
        verdict = validator.feed(name, data.encode() if isinstance(data, str) else json.dumps(data).encode())
        if isinstance(wanted, dict):
            failed = True
            assert_failure(verdict, wanted)
        else:
            assert verdict is StreamVerdict[wanted]
    if not failed:
        assert_failure(validator.end(), expected["end"]) if expected["end"] else assert_success(validator)
    for field in expected.keys() - {"verdicts", "end"}:
        told = validator.usage if field.endswith("_tokens") else validator
        assert getattr(told, field) == expected[field], field


def assert_success(validator: StreamValidator) -> None:
    assert validator.end() is None
    assert validator.complete


def test_every_dialect_has_transcripts_of_errors_answers_and_streams() -> None:
    """The folder covers the providers that the failure table names."""
    names = {file.stem for file in FOLDER.glob("*.json")}
    assert names >= {"openai", "azure", "anthropic", "gemini", "mistral", "groq", "openrouter", "vllm", "ollama"}
    assert len(transcripts("status")) + len(transcripts("answer")) + len(transcripts("stream")) >= 60
