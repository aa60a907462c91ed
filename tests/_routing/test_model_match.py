"""Whether the model that answered is the one that was asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanewise._routing.model_match import is_substitute


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("gpt-5.5", "gpt-5.5"),
        ("gpt-5.5", "gpt-5.5-2026-03-01"),
        ("gpt-5.5", "gpt-5.5-20260301"),
        ("claude-sonnet-4-6", "claude-sonnet-4-6@20260301"),
        ("gpt-4", "gpt-4-0613"),
        ("gemini-3-pro", "gemini-3-pro-001"),
        ("claude-sonnet-4-6", "claude-sonnet-4-6-v1:0"),
        ("llama-4", "llama-4-v1.2"),
    ],
)
def test_the_same_model_with_a_date_or_a_version_is_the_same(asked: str, answered: str) -> None:
    """A provider resolves a name to its dated release."""
    assert not is_substitute(asked, answered)


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("gpt-5.5", "openai/gpt-5.5"),
        ("openai/gpt-5.5", "gpt-5.5"),
        ("gpt-5.5", "openai/gpt-5.5-2026-03-01"),
        ("models/gemini-3-pro", "gemini-3-pro-002"),
    ],
)
def test_a_vendors_prefix_makes_no_other_model(asked: str, answered: str) -> None:
    """On either side, also before a version."""
    assert not is_substitute(asked, answered)


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("gpt-5.5", "gpt-5.5-mini"),
        ("gpt-5.5", "gpt-5"),
        ("gpt-5.5", "gpt-5.55"),
        ("gpt-5", "gpt-5.5"),
        ("claude-3", "claude-3-5"),
        ("gpt-4", "gpt-4-32k"),
        ("gpt-4", "gpt-4-turbo-2024-04-09"),
        ("gpt-5.5", "gpt-5.5-2026-13-01"),
        ("gpt-5.5", "gpt-5.5-2026-03-01-mini"),
        ("gpt-5.5", "GPT-5.5"),
        ("gpt-5.5", "gpt-5.5 "),
        ("gpt-5.5", "gpt-5.5-2026-03-01\n"),
        ("gpt-5.5-2026-03-01", "gpt-5.5"),
        ("gpt-5.5", "openai/gpt-5.5-mini"),
        ("openai/gpt-5.5", "azure/gpt-5.5"),
    ],
)
def test_another_name_is_another_model(asked: str, answered: str) -> None:
    """Smaller siblings, newer ones, other vendors', and what only begins alike."""
    assert is_substitute(asked, answered)


@pytest.mark.parametrize("answered", [None, ""])
def test_a_missing_name_counts_as_swapped(answered: str | None) -> None:
    """In doubt it fails closed, whatever the route declares."""
    assert is_substitute("gpt-5.5", answered)
    assert is_substitute("gpt-5.5", answered, ["*"])


def test_a_route_declares_under_which_names_its_model_answers() -> None:
    """Globs over the whole name, as it was answered, and minding case."""
    names = ["gpt-5.5-eu-*", "deployment-7"]
    assert not is_substitute("gpt-5.5", "gpt-5.5-eu-west", names)
    assert not is_substitute("gpt-5.5", "deployment-7", names)
    assert is_substitute("gpt-5.5", "deployment-77", names)
    assert is_substitute("gpt-5.5", "my-deployment-7", names)
    assert is_substitute("gpt-5.5", "Deployment-7", names)


@given(st.text(min_size=1, max_size=30), st.text(max_size=30))
def test_any_two_names_are_judged_without_an_error(asked: str, answered: str) -> None:
    """A model's name is the provider's text; and the same name is always the same model."""
    assert isinstance(is_substitute(asked, answered), bool)
    assert not is_substitute(asked, asked)
