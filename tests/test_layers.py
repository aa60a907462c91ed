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
    ("_client",),
    ("_runtime",),
    ("_reviews",),
    ("_replay", "_ledger", "_telemetry"),
    ("_budgets", "_health", "_contracts", "_transport"),
    ("_prices",),
    ("_routing",),
    ("_transform",),
    ("_openai",),
    ("_failures",),
    ("_store",),
    ("scope", "_scope"),
    ("config",),
    ("_compat",),
    ("_sealing",),
    ("_recent_percentiles",),
    ("_process_hooks",),
    ("streaming",),
    ("errors",),
    ("types",),
    ("version",),
)
"""From the top down. Rooms of one layer don't know each other; the cli starts what testing offers."""

SAME_LAYER = {("cli", "testing"), ("testing", "cli"), ("scope", "_scope"), ("_scope", "scope")}
DEMO_APP = CORE / "cli" / "demo" / "app.py"
"""An app like a user's own, run in a process of its own."""
HTTP_PROTOCOL = CORE / "web" / "openai_endpoint" / "http_protocol.py"
"""Made of uvicorn's, which imports it by its name."""
LEDGER = CORE / "_ledger"
"""What needs the extra `ledger` to be imported at all."""
REPORT = CORE / "cli" / "report"
SHOW_THE_LEDGER = {*REPORT.glob("*.py")} - {REPORT / "__init__.py", REPORT / "command.py"}
"""They show what the ledger's room has found, and are imported by the command that has found it."""
OF_THE_LEDGER = {"sqlalchemy", "alembic"}
FRAMEWORKS = {"flask", "starlette", "fastapi", "litestar", "werkzeug", "uvicorn", "sqlalchemy", "alembic", "redis"}
FRAMEWORKS |= {
    "jinja2",
    "markupsafe",
    "cryptography",
    "tiktoken",
    "opentelemetry",
    "prometheus_client",
    "psycopg",
    "genai_prices",
}
PURE_ROOMS = ("_failures", "_openai", "_transform", "_routing")
IMPURE = {"encodings.py", "tokens.py"}
"""Of these rooms: they read the vocabularies that are shipped."""
PURE_FILES = (
    "_budgets/buckets.py",
    "_budgets/call_budgets.py",
    "_budgets/claims.py",
    "_budgets/history.py",
    "_budgets/spending_window.py",
    "_contracts/contract.py",
    "_contracts/json_schema.py",
    "_contracts/tool_calls.py",
    "_recent_percentiles.py",
    "_health/breakers/transitions.py",
    "_health/breakers/circuit.py",
    "_health/rate_limits/gcra_limit.py",
    "_health/breakers/local_breaker.py",
    "_health/breakers/outcomes.py",
    "_health/rate_limits/rate_limit_headers.py",
    "_health/breakers/route_health.py",
    "_health/breakers/slow_calls.py",
)
RANK = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}


def modules() -> list[Path]:
    return sorted(path for path in CORE.rglob("*.py") if path != CORE / "__init__.py")


def imports(path: Path, *, for_types: bool = False) -> Iterator[tuple[str, bool]]:
    """The modules that a file imports, each with whether at the file's top level."""
    package = ("lanewise", *path.relative_to(CORE).parts[:-1])
    tree = ast.parse(path.read_text())
    top = {id(node) for node in tree.body}
    for node in _nodes(tree, for_types=for_types):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            name = ".".join(part for part in (base, node.module or "") if part)
            yield name, id(node) in top
            if name.split(".")[0] == "lanewise":
                yield from ((f"{name}.{alias.name}", id(node) in top) for alias in node.names)


def _nodes(node: ast.AST, *, for_types: bool) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not for_types and isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from _nodes(child, for_types=for_types)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(CORE)))
def test_imports_only_point_down(path: Path) -> None:
    """No module imports one of a layer above, nor another room of its own layer, not for types either."""
    room = path.relative_to(CORE).parts[0].removesuffix(".py")
    assert room in RANK, f"{room} has no place in the house: give it one in LAYERS"
    for name, _ in imports(path, for_types=True):
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
        if package in FRAMEWORKS and path not in (DEMO_APP, HTTP_PROTOCOL):
            assert not at_top, f"{path.relative_to(ROOT)} needs {name} to be imported at all"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(CORE)))
def test_a_room_of_an_extra_is_imported_where_it_is_used(path: Path) -> None:
    """The ledger's room is made of SQLAlchemy: nobody else imports it at the top, so that nobody else needs it."""
    if LEDGER in path.parents or path in SHOW_THE_LEDGER:
        return
    for name, at_top in imports(path):
        assert name not in {_module(shows) for shows in SHOW_THE_LEDGER} or not at_top
        assert not (at_top and name.startswith("lanewise._ledger")), f"{path.relative_to(ROOT)}: {name}"


def circles() -> list[set[str]]:
    """The circles of imports: modules each of which reaches all others, imports for types and within functions too."""
    known = {_module(path): path for path in modules()}
    graph = {
        module: {name for name, _ in imports(path, for_types=True) if name in known} for module, path in known.items()
    }
    reach: dict[str, set[str]] = {}
    for module in graph:
        seen: set[str] = set()
        ahead = list(graph[module])
        while ahead:
            if (name := ahead.pop()) not in seen:
                seen.add(name)
                ahead.extend(graph[name])
        reach[module] = seen
    together = {frozenset({*(o for o in reach[m] if m in reach[o]), m}) for m in graph if m in reach[m]}
    return [set(circle) for circle in together if len(circle) > 1]


def _module(path: Path) -> str:
    return ".".join(("lanewise", *path.relative_to(CORE).with_suffix("").parts)).removesuffix(".__init__")


def test_imports_run_in_no_circle() -> None:
    """No module reaches itself by what it imports: for types, within functions, or by way of others."""
    assert [sorted(circle) for circle in circles()] == []


def pure() -> list[Path]:
    """The files that decide and do nothing else."""
    rooms = [path for room in PURE_ROOMS for path in (CORE / room).rglob("*.py") if path.name not in IMPURE]
    return [*rooms, *(CORE / name for name in PURE_FILES)]


@pytest.mark.parametrize("path", pure(), ids=lambda path: str(path.relative_to(CORE)))
def test_what_decides_does_no_input_or_output(path: Path) -> None:
    """What is pure has no clock, no randomness and no I/O: time and jitter are arguments."""
    impure = {"time", "random", "os", "socket", "asyncio", "anyio", "threading", "logging", "aiohttp", "httpx2", "uuid"}
    for name, _ in imports(path):
        assert name.split(".")[0] not in impure, f"{path.name} imports {name}"


@pytest.mark.parametrize("path", sorted(ADAPTERS.rglob("*.py")), ids=lambda path: path.name)
def test_adapters_import_only_public_names(path: Path) -> None:
    """An adapter takes what it needs from the public face, ``lanewise.web`` and ``lanewise.cli.framework_commands``."""
    public = {"lanewise", "lanewise.web", "lanewise.cli.framework_commands", "lanewise.config"}
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "lanewise":
            assert node.module in public, f"{path.name} imports {node.module}"
