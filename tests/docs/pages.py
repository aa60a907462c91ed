"""The pages of the documentation and their code blocks."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
GENERATED = {"reference/config.md", "reference/python.md", "reference/commands.md", "reference/wire.md", "failures.md"}
BASE = """
[router]
state = "memory"
[providers.openai]
[providers.openrouter]
base_url = "https://openrouter.ai/api/v1"
[providers.kissapi]
base_url = "https://api.kissapi.ai/v1"
[providers.llama]
base_url = "http://127.0.0.1:8080/v1"
[routes.flagship]
provider = "openai"
model = "gpt-5.5"
[routes.flagship-azure]
provider = "openai"
model = "gpt-5.5"
[routes.sonnet]
provider = "openrouter"
model = "claude-sonnet-4-6"
[routes.mini]
provider = "openrouter"
model = "mini"
[routes.local]
provider = "llama"
model = "llama-3-8b"
[tasks.base]
primary = "flagship"
[tasks.code]
primary = "flagship"
[sensitive.payment]
routes = ["flagship"]
"""
"""What a part of a config that a page shows is a part of."""
USUAL = (
    BASE
    + """
[tasks.chat]
primary = "flagship"
equivalent = "sonnet"
[tasks.ticket-summary]
primary = "flagship"
equivalent = "sonnet"
degraded = "mini"
[tasks.refund-decision]
primary = "flagship"
sensitive = "payment"
"""
)
"""The config of pages that show none of their own."""

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A code block: its page, its first line there, its language, its text."""

    page: str
    line: int
    language: str
    text: str

    @property
    def is_config(self) -> bool:
        """Whether it is a whole config."""
        return self.language == "toml" and self.text.startswith("# lanewise.toml")


def pages() -> list[str]:
    """The pages that people write, by their paths within ``docs``."""
    found = (str(path.relative_to(DOCS)) for path in sorted(DOCS.rglob("*.md")) if "_build" not in path.parts)
    return ["../README.md", *(page for page in found if page not in GENERATED)]


def blocks(page: str) -> Iterator[Block]:
    """The code blocks of a page, in order."""
    text = (DOCS / page).read_text()
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        yield Block(page, line, match[1], match[2])


def merged(into: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """A config with a part of one laid over it."""
    result = dict(into)
    for key, value in part.items():
        before = result.get(key)
        result[key] = merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return result


def completed(text: str) -> dict[str, Any]:
    """A part of a config, made whole."""
    filled = text.replace("<64 hex digits>", sha256(b"256 random bits").hexdigest())
    return merged(tomllib.loads(USUAL), tomllib.loads(filled))
