"""What a sensitive category needs of other tables: routes that name their models, and a place for a person's cases."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final

from lanewise.config.mistakes import MistakeCollector, Place, quoted
from lanewise.config.reading.sections import Sections
from lanewise.config.tables.sensitive import SensitiveCategory

__all__ = ["check_category"]

_FAMILIES: Final = (
    ("gpt-5.5-mini", "gpt-4o", "openai/gpt-5.5"),
    ("o4-mini",),
    ("claude-sonnet-4-6", "anthropic/claude-opus-4.1"),
    ("gemini-3-pro", "google/gemini-2.5-flash"),
    ("llama3.2", "meta-llama/Llama-3.3-70B-Instruct"),
    ("mistral-large-2512", "ministral-8b", "codestral"),
    ("qwen3-235b-a22b", "Qwen/Qwen3-32B"),
    ("deepseek-v3.2", "deepseek-ai/DeepSeek-R1"),
    ("grok-4",),
    ("command-r-plus",),
    ("phi-4",),
    ("x",),
)
"""Names of unrelated models: globs that match more than two families were not meant to name models."""
_WILDCARD: Final = re.compile(r"\[.[^\]]*\]|[*?]")
"""In a glob: a set of characters, or a star or question mark."""


def check_category(name: str, category: SensitiveCategory, sections: Sections, findings: MistakeCollector) -> None:
    """Note each route that a category names and that is not declared, or says nothing of the model that answered."""
    place = ("sensitive", name)
    for key, routes in (("routes", category.routes), ("review_routes", category.review_routes)):
        for route in routes:
            findings.expect_declared((*place, key), "route", route, sections.declared["routes"])
    if not category.routes and category.on_failure == "fail" and not findings.has((*place, "routes")):
        findings.add((*place, "routes"), "no route may answer", "Name the approved routes.")
    if category.on_failure == "review":
        _check_review((*place, "on_failure"), sections, findings)
    elif category.review_routes:
        findings.add((*place, "review_routes"), "nothing is reviewed", 'Set on_failure = "review", or leave it out.')
    _check_names(name, category, sections, findings)


def _check_names(name: str, category: SensitiveCategory, sections: Sections, findings: MistakeCollector) -> None:
    """A sensitive call counts only the model that was asked for: a route that takes any name says nothing of it."""
    for route in (*category.routes, *category.review_routes):
        patterns = sections.routes[route].answers_as if route in sections.routes else ()
        place = ("routes", route, "answers_as")
        if _take_anything(patterns) and not findings.has(place):
            listed = ", ".join(quoted(each) for each in patterns)
            findings.add(
                place,
                f"{listed} takes almost any model for the right one, and {quoted(name)} relies on the route",
                "Name the models that it may answer as.",
            )


def _take_anything(patterns: Sequence[str]) -> bool:
    """Whether globs name no models: one has next to no text of its own, or together they match unrelated ones."""
    if any(max(map(len, _WILDCARD.split(each))) < 2 for each in patterns if _WILDCARD.search(each)):
        return True
    families = [
        family for family in _FAMILIES if any(fnmatchcase(model, each) for model in family for each in patterns)
    ]
    return len(families) > 2


def _check_review(place: Place, sections: Sections, findings: MistakeCollector) -> None:
    """A case is kept in the ledger's database, and its texts only encrypted: both must be there."""
    if sections.router.ledger is None and not findings.has(("router", "ledger")):
        fix = 'Under [router] write ledger = "sqlite:///lanewise.db", or a PostgreSQL for more than one machine.'
        findings.add(place, "a case for a person needs a database, and there is no ledger", fix)
    if sections.router.storage_key_env is None and not findings.has(("router", "storage_key_env")):
        fix = 'Under [router] write storage_key_env = "STORAGE_KEY", and set that variable where the app runs.'
        findings.add(place, "a case for a person is stored encrypted, and there is no key for that", fix)
