"""The reference says what the code says, and leaves nothing out."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from docs.pages import DOCS, ROOT, pages
from lanewise import Config
from public_surface import SURFACE, config_keys, log_fields, metrics_and_spans


def generator() -> ModuleType:
    """The module that writes the pages."""
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATE = generator()


@pytest.mark.parametrize("page", GENERATE.PAGES)
def test_a_generated_page_is_up_to_date(page: str) -> None:
    """``make docs`` writes them anew."""
    assert (DOCS / page).read_text() == GENERATE.PAGES[page]().rstrip() + "\n"


def test_each_key_has_an_example() -> None:
    """The example config is a whole one, and has each key that a config can have."""
    text = GENERATE.EVERY_KEY.read_text()
    example = tomllib.loads(text)
    example["tasks"]["ticket-summary"]["contract"] = {"max_chars": 1, "must_match": "x", "on_violation": "next"}
    Config.from_mapping(example)
    here = {re.split(r" *=", line)[0] for line in text.splitlines() if "=" in line}
    words = set(re.findall(r"[A-Za-z_0-9]+", text))
    missing = {path for path in config_keys() if path.rsplit(".", 1)[-1] not in here | words | {"*"}}
    assert missing <= {"router.drill_header"}  # which no version carries out yet


def test_each_public_name_stands_in_the_reference() -> None:
    """Of all public modules."""
    text = (DOCS / "reference/python.md").read_text()
    for module in GENERATE.MODULES:
        for name in SURFACE[module]():  # type: ignore[attr-defined]
            assert f"{module}.{name}" in text


def test_each_metric_and_column_stands_in_the_reference() -> None:
    """By the names that the code has."""
    text = (DOCS / "reference/wire.md").read_text()
    for name in metrics_and_spans():
        if name.startswith("gen_ai.") or re.match(r"lanewise_\w+(seconds|tokens|usd|score|cost)$", name):
            assert name in text


def test_each_header_stands_in_the_reference() -> None:
    """Those that are sent, and those that are read."""
    text = (DOCS / "reference/wire.md").read_text()
    for header in SURFACE["headers"]():  # type: ignore[attr-defined]
        assert f"`{header}`" in text


def test_log_lines_stand_in_the_code() -> None:
    """A line of the page is one that is written: its words are found in the code, around what is filled in."""
    sources = "".join(path.read_text() for root in ("src", "integrations") for path in (ROOT / root).rglob("*.py"))
    joined = re.sub(r'"\s*\n\s*f?"', "", sources)
    for line in GENERATE._texts("wire.toml")["lines"]:
        longest = max(re.split(r"%[.\d]*[a-z]", line["line"]), key=len).strip()
        assert longest in joined, line["line"]


def test_each_log_field_is_named() -> None:
    """Somewhere in the documentation."""
    text = "".join(path.read_text() for path in DOCS.rglob("*.md"))
    missing = [field for field in log_fields() if field not in text]
    assert missing == []


def test_each_order_for_the_fake_provider_is_one_that_it_takes() -> None:
    """By its path, wherever a page shows one."""
    text = "".join(path.read_text() for path in DOCS.rglob("*.md"))
    known = (ROOT / "src/lanewise/testing/control.py").read_text()
    shown = set(re.findall(r"/_fake/[a-z]+", text))
    assert shown
    assert all(f'"{path}"' in known for path in shown)


LINK = re.compile(r"\[[^\]]*\]\((?!https?:|mailto:)([^)#]*)(#[^)]*)?\)")


@pytest.mark.parametrize("page", pages())
def test_each_link_leads_somewhere(page: str) -> None:
    """To a page that is there."""
    path = (DOCS / page).resolve()
    for target, _ in LINK.findall(path.read_text()):
        assert target == "" or (path.parent / Path(target)).exists(), target
