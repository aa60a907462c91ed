"""The house: imports only point down, and the core knows no framework."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE = ROOT / "src" / "lanewise"
ADAPTERS = ROOT / "integrations"

LAYERS = (
    ("cli", "testing", "__main__"),
    ("web",),
    ("router",),
    ("client",),
    ("http_client",),
    ("lent",),
    ("scope",),
    ("engine",),
    ("portal",),
    ("reviews",),
    ("transport", "state", "records"),
    ("policy",),
    ("config",),
    ("sealing",),
    ("streams",),
    ("errors",),
    ("words",),
    ("version",),
)
"""From the top down. Rooms of one layer don't know each other; the cli starts what testing offers."""

SAME_LAYER = {("cli", "testing"), ("testing", "cli")}
DEMO_APP = CORE / "cli" / "demo" / "app.py"
"""An app like a user's own, run in a process of its own."""
LEDGER = CORE / "records" / "ledger"
"""What needs the extra `ledger` to be imported at all."""
REPORT_SCREEN = CORE / "cli" / "report_screen.py"
"""Shows what the ledger's room has found, and is imported by the command that has found it."""
OF_THE_LEDGER = {"sqlalchemy", "alembic"}
FRAMEWORKS = {"flask", "starlette", "fastapi", "litestar", "werkzeug", "uvicorn", "sqlalchemy", "alembic", "redis"}
FRAMEWORKS |= {"cryptography", "tiktoken", "opentelemetry", "prometheus_client", "psycopg", "genai_prices"}
RANK = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}


def modules() -> list[Path]:
    return sorted(path for path in CORE.rglob("*.py") if path != CORE / "__init__.py")


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """The modules that a file imports, each with whether at the file's top level; those for type checkers left out."""
    package = ("lanewise", *path.relative_to(CORE).parts[:-1])
    tree = ast.parse(path.read_text())
    top = {id(node) for node in tree.body}
    for node in _runtime_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            name = ".".join(part for part in (base, node.module or "") if part)
            yield name, id(node) in top
            if name == "lanewise":
                yield from ((f"lanewise.{alias.name}", id(node) in top) for alias in node.names)


def _runtime_nodes(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        yield child
        yield from _runtime_nodes(child)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(CORE)))
def test_imports_only_point_down(path: Path) -> None:
    """No module imports one of a layer above, nor another room of its own layer."""
    room = path.relative_to(CORE).parts[0].removesuffix(".py")
    assert room in RANK, f"{room} has no place in the house: give it one in LAYERS"
    for name, _ in imports(path):
        parts = name.split(".")
        if parts[0] != "lanewise" or len(parts) < 2 or parts[1] not in RANK or parts[1] == room:
            continue
        down = RANK[room] < RANK[parts[1]] or (room, parts[1]) in SAME_LAYER
        assert down, f"{path.relative_to(ROOT)} imports {name}, which lies above it or beside it"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(CORE)))
def test_the_core_knows_no_framework(path: Path) -> None:
    """What an extra brings is only imported where it is used, and a web framework only by the demo."""
    for name, at_top in imports(path):
        package = name.split(".")[0]
        if package in OF_THE_LEDGER and LEDGER in path.parents:
            continue
        if package in FRAMEWORKS and path != DEMO_APP:
            assert not at_top, f"{path.relative_to(ROOT)} needs {name} to be imported at all"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(CORE)))
def test_a_room_of_an_extra_is_imported_where_it_is_used(path: Path) -> None:
    """The ledger's room is made of SQLAlchemy: nobody else imports it at the top, so that nobody else needs it."""
    if LEDGER in path.parents or path == REPORT_SCREEN:
        return
    for name, at_top in imports(path):
        assert name != "lanewise.cli.report_screen" or not at_top
        assert not (at_top and name.startswith("lanewise.records.ledger")), f"{path.relative_to(ROOT)}: {name}"


def test_policy_does_no_input_or_output() -> None:
    """The policy has no clock, no randomness and no I/O: time and jitter are arguments."""
    impure = {"time", "random", "os", "socket", "asyncio", "anyio", "threading", "logging", "aiohttp", "httpx2", "uuid"}
    for path in (CORE / "policy").glob("*.py"):
        for name, _ in imports(path):
            assert name.split(".")[0] not in impure, f"{path.name} imports {name}"


@pytest.mark.parametrize("path", sorted(ADAPTERS.rglob("*.py")), ids=lambda path: path.name)
def test_adapters_import_only_public_names(path: Path) -> None:
    """An adapter takes what it needs from the public face, from ``lanewise.web`` and ``lanewise.cli.app``."""
    public = {"lanewise", "lanewise.web", "lanewise.cli.app", "lanewise.config"}
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "lanewise":
            assert node.module in public, f"{path.name} imports {node.module}"
