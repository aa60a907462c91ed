"""What a contract names in the app's code, ``module:name``: imported where it is used, or only looked for, unrun."""

from __future__ import annotations

import ast
import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from pathlib import Path

from lanewise.config.mistakes import quoted

__all__ = ["ReferenceMissing", "find_reference", "load_reference"]


class ReferenceMissing(Exception):
    """What is named is not there. The arguments: what is wrong, and what would be right."""


def load_reference(source: str) -> object:
    """What ``module:name`` stands for. This runs the app's module. Raises ReferenceMissing.

    Example::

        load_reference("app.checks:is_polite")
    """
    module, _, name = source.partition(":")
    try:
        found: object = import_module(module)
    except Exception as error:  # noqa: BLE001 - the app's module may raise anything
        if isinstance(error, ModuleNotFoundError):
            raise _no_module(error.name or module) from None
        problem = f"the module {quoted(module)} can't be imported ({type(error).__name__})"
        raise ReferenceMissing(problem, "It must be importable where the app runs.") from None
    for part in name.split("."):
        if not hasattr(found, part):
            raise _no_name(module, name)
        found = getattr(found, part)
    return found


def find_reference(source: str) -> None:
    """Look for what ``module:name`` stands for, and run nothing: a config may be a stranger's. Raises ReferenceMissing.

    Example::

        find_reference("app.checks:is_polite")
    """
    module, _, name = source.partition(":")
    found, path = "", None
    spec: ModuleSpec | None = None
    for part in module.split("."):
        found = f"{found}.{part}" if found else part
        spec = _spec(found, path)
        if spec is None:
            raise _no_module(found)
        path = spec.submodule_search_locations
    assert spec is not None
    if spec.origin is not None and spec.origin.endswith(".py") and not _may_have(Path(spec.origin), name.split(".")[0]):
        raise _no_name(module, name)


def _spec(module: str, path: list[str] | None) -> ModuleSpec | None:
    """Where a module is. ``importlib.util.find_spec`` would import its parents."""
    found = (finder.find_spec(module, path) for finder in sys.meta_path if hasattr(finder, "find_spec"))
    return next((spec for spec in found if spec is not None), None)


def _may_have(file: Path, name: str) -> bool:
    """Whether a module's text makes a name at its top level, or might, by means that its text does not show."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return True  # loading it reports the error
    ahead: list[ast.AST] = list(tree.body)
    while ahead:
        node = ahead.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if node.name in (name, "__getattr__"):
                return True
            continue
        names = {getattr(node, "id", None)} if isinstance(getattr(node, "ctx", None), ast.Store) else set()
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        if names & {name, "*"}:
            return True
        ahead.extend(ast.iter_child_nodes(node))
    return False


def _no_module(module: str) -> ReferenceMissing:
    problem = f"there is no module {quoted(module)} to import"
    return ReferenceMissing(problem, "It must be importable where the app runs.")


def _no_name(module: str, name: str) -> ReferenceMissing:
    return ReferenceMissing(f"the module {quoted(module)} has no {quoted(name)}", "")
