"""Who is told of a fork and of the interpreter's end, in which order, and by whom alone."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from lanewise import _process_hooks

SOURCES = Path(_process_hooks.__file__).parent
OPENING = """
import gc, os, sys
from lanewise._process_hooks import Ending, at_exit, at_fork, notify_of_forks

def tell(word):
    os.write(1, f"{word}\\n".encode())

def fail():
    raise ValueError("this one is broken")
"""


def told(program: str) -> list[str]:
    """What a program of its own prints, and ``broken`` once an error came out."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", OPENING + program], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr or "this one is broken" in done.stderr, done.stderr
    return done.stdout.split() + ["broken"] * done.stderr.count("ValueError: this one is broken")


def test_what_leaves_records_ends_before_what_writes_them() -> None:
    """Whatever was registered first, and whichever of them raises."""
    assert told(
        """
at_exit(Ending.CONNECTIONS, lambda: tell("connections"))
at_exit(Ending.RECORDS, lambda: tell("records"))
at_exit(Ending.CALLS, fail)
at_exit(Ending.CALLS, lambda: tell("calls"))
at_exit(Ending.SERVICES, lambda: tell("services"))
"""
    ) == ["calls", "services", "records", "connections", "broken"]


def test_a_fork_is_told_on_both_sides() -> None:
    """Before it and after it in the parent; in the child the functions first, then the objects that still live."""
    words = told(
        """
class Aware:
    def __init__(self, word): self.word = word
    def after_fork(self): tell(self.word)

kept, gone = Aware("kept"), Aware("gone")
notify_of_forks(kept)
notify_of_forks(gone)
del gone
gc.collect()
at_fork(fail)
at_fork(lambda: tell("child"), before=lambda: tell("before"), in_parent=lambda: tell("parent"))
at_fork(lambda: tell("child-too"), before=lambda: tell("before-that"))
pid = os.fork()
if pid == 0:
    os._exit(0)
os.waitpid(pid, 0)
"""
    )
    assert words[:2] == ["before-that", "before"]
    assert [word for word in words if word in ("child", "child-too", "kept")] == ["child", "child-too", "kept"]
    assert sorted(words[2:]) == ["broken", "child", "child-too", "kept", "parent"]


def test_the_child_hears_of_it_through_one_that_raises() -> None:
    """All others are told, and the error comes out as Python has it."""
    words = told(
        """
class Aware:
    def after_fork(self): tell("object")

aware = Aware()
notify_of_forks(aware)
at_fork(fail)
at_fork(lambda: tell("function"))
if os.fork() == 0:
    os._exit(0)
os.wait()
"""
    )
    assert words == ["function", "object", "broken"]


def test_nobody_else_listens_for_forks_and_ends() -> None:
    """One registry: what is told, and in which order, is seen in one place."""
    elsewhere = {path for path in SOURCES.rglob("*.py") if path.name != "_process_hooks.py" and list(hooks(path))}
    assert not elsewhere


def hooks(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name == "atexit")
        elif isinstance(node, ast.ImportFrom) and node.module == "atexit":
            yield node.module
        elif isinstance(node, ast.Attribute) and node.attr == "register_at_fork":
            yield node.attr
