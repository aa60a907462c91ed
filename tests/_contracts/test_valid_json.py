"""An answer that is JSON by its grammar keeps a contract that asks for JSON, though the strict decoder refuses it."""

from __future__ import annotations

import pytest

from lanewise._contracts.contract import JsonRule
from lanewise._contracts.json_schema import Schema

RULES = (JsonRule(only_objects=True), JsonRule(Schema({"type": "object", "properties": {"b": {"type": "string"}}})))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("text", ['{"a": "\\ud83d"}', '{"a": 1e999}', '{"a": 123456789012345678901234567890}', " {}\n"])
def test_json_by_its_grammar_is_json(rule: JsonRule, text: str) -> None:
    """Half an emoji, and numbers beyond all measure."""
    assert rule.breach(text) is None


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("text", ['{"a": NaN}', '{"a": Infinity}', "\ufeff{}", "{'a': 1}", "", "```json\n{}\n```"])
def test_what_only_python_reads_is_not(rule: JsonRule, text: str) -> None:
    """A contract is strict: who reads the answer need not be Python."""
    assert rule.breach(text) is not None
