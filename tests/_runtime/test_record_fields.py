"""What writes the fields of records, which are frozen for all but the router."""

from __future__ import annotations

import ast
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import lanewise.router
from lanewise._runtime.call.record_fields import AttemptFields, CallFields
from lanewise.types import Api, Attempt, Call, LaneName

NOW = datetime(2026, 11, 30, tzinfo=UTC)
SOURCE = Path(lanewise.router.__file__).parent


def writers(fields: type) -> list[str]:
    return [name for name in vars(fields) if not name.startswith("_")]


def a_call() -> Call:
    return Call(id="1", request_id="request-1", task="summary", api=Api.CHAT, started_at=NOW)


def an_attempt() -> Attempt:
    return Attempt(
        call_id="1",
        attempt_number=1,
        route="first",
        lane=LaneName.PRIMARY,
        model_asked="m",
        provider_host="h",
        idempotency_key="k",
        started_at=NOW,
    )


@pytest.mark.parametrize("name", writers(CallFields))
def test_a_writer_writes_the_field_of_a_call_that_it_is_called_by(name: str) -> None:
    """That one, and no other."""
    call, before = a_call(), a_call()
    value: Any = object()
    getattr(CallFields, name)(call, value)
    assert {field for field in Call.__struct_fields__ if getattr(call, field) != getattr(before, field)} == {name}
    assert getattr(call, name) is value


@pytest.mark.parametrize("name", writers(AttemptFields))
def test_a_writer_writes_the_field_of_an_attempt_that_it_is_called_by(name: str) -> None:
    """That one, and no other."""
    attempt, before = an_attempt(), an_attempt()
    value: Any = object()
    getattr(AttemptFields, name)(attempt, value)
    changed = {field for field in Attempt.__struct_fields__ if getattr(attempt, field) != getattr(before, field)}
    assert changed == {name}
    assert getattr(attempt, name) is value


@pytest.mark.parametrize("record", [a_call(), an_attempt()], ids=["call", "attempt"])
def test_a_record_is_frozen_for_everybody_else(record: Any) -> None:
    """Apps read it in the midst of a call."""
    with pytest.raises(AttributeError):
        record.route = "another"


def test_no_field_is_written_by_a_name_in_quotes() -> None:
    """A misspelt field would pass the type checker so."""
    for path in SOURCE.rglob("*.py"):
        names = {
            node.attr if isinstance(node, ast.Attribute) else node.name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Attribute | ast.alias)
        }
        assert "force_setattr" not in names, path.name
