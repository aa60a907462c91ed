"""The names of files and folders in comments, docstrings and pages: each is one that is there."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CODE = ("src", "integrations", "tests", "benchmarks", "docs", "example_apps")
PAGES = ("*.md", "docs/**/*.md", "benchmarks/**/*.md", "example_apps/**/*.md")
OF_TIKTOKEN = {"openai_public.py", "model.py"}
NO_FOLDERS = {"vendor"}
"""A vendor before the name of a model: ``vendor/model``."""

_FILE = re.compile(r"(?<![\w./-])((?:[\w.-]+/)*\w+\.py)\b(?![./])")
_FOLDER = re.compile(r"(?<!`)(?:`|``)([a-z_]\w*(?:/\w+)*)/`")
_FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)

FILES = sorted(path for folder in CODE for path in (ROOT / folder).rglob("*.py"))
FOLDERS = {path.parent for path in FILES} | {ROOT / folder for folder in CODE}
FOLDERS |= {path for folder in CODE for path in (ROOT / folder).rglob("*") if path.is_dir()}


def texts_of(path: Path) -> Iterator[str]:
    """What a file says to its readers: a module's comments and docstrings, a page without its blocks of code."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        yield _FENCED.sub("", source)
        return
    yield from (
        token.string
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    )
    yield from (
        node.value.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    )


def missing(path: Path) -> list[str]:
    """The files and folders that a file names and that are nowhere. ``NAME`` stands for any folder."""
    text = "\n".join(texts_of(path))
    files = [name for name in _FILE.findall(text) if name not in OF_TIKTOKEN and not _is_there(name, FILES)]
    return [
        *files,
        *(f"{name}/" for name in _FOLDER.findall(text) if name not in NO_FOLDERS and not _is_there(name, FOLDERS)),
    ]


def _is_there(name: str, places: list[Path] | set[Path]) -> bool:
    pattern = "*/" + name.replace("NAME", "*")
    return any(place.match(pattern) for place in places)


@pytest.mark.parametrize("folder", CODE)
def test_code_names_files_that_are_there(folder: str) -> None:
    """A comment or a docstring that names a module is mended with the module's name."""
    found = {str(path.relative_to(ROOT)): missing(path) for path in (ROOT / folder).rglob("*.py")}
    assert {path: names for path, names in found.items() if names} == {}


def test_pages_name_files_that_are_there() -> None:
    """So do the pages, outside of their blocks of code, which have an app's own files."""
    pages = {path for pattern in PAGES for path in ROOT.glob(pattern)}
    found = {str(path.relative_to(ROOT)): missing(path) for path in pages}
    assert {path: names for path, names in found.items() if names} == {}


def test_a_name_that_is_nowhere_is_found(tmp_path: Path) -> None:
    """In a comment, in a docstring and on a page, as a file and as a folder."""
    module, page = tmp_path / "module.py", tmp_path / "page.md"
    module.write_text('"""See ``nowhere_else.py`` and ``nowhere_else/``."""\n# as in web/nowhere_else.py\n')
    page.write_text("What `_routing/nowhere_else.py` says, in `nowhere_else/`.\n```\nanything.py\n```\n")
    assert missing(module) == ["web/nowhere_else.py", "nowhere_else.py", "nowhere_else/"]
    assert missing(page) == ["_routing/nowhere_else.py", "nowhere_else/"]
