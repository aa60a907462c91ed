"""``make test-lowest``: the tests on the lowest versions that ``pyproject.toml`` declares, and on the newest Python.

Each runs in an environment of its own: ``.venv-lowest`` with the oldest supported Python, ``.venv-newest`` with what is
locked on the newest Python that is found. What is not found, and so skipped, is said. Further arguments go to pytest.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
UV = Path(sys.executable).parent / "uv"
LEFT_OUT = (
    "distribution",
    "docs",
    "libraries",
    "real",
    "_routing",
    "_failures",
    "test_layers.py",
    "test_readme.py",
)
"""Of the tests: those of packages, of libraries that ask for more than the lowest, and those that touch no library."""
ON_THE_NEWEST = (
    "_compat",
    "_budgets",
    "_contracts",
    "_health",
    "_ledger",
    "_replay",
    "_reviews",
    "_runtime",
    "_transport",
    "endpoint",
    "integrations",
)
"""Of the tests, what leans on Python itself: loops, threads, forks, sockets, and the frameworks."""
FOLLOWS = frozenset({"opentelemetry-sdk"})
"""A tool of the tests whose version is that of a dependency."""


def main(options: Sequence[str]) -> int:
    os.environ.setdefault("UV_SYSTEM_CERTS", "1")  # as pip: whom the machine trusts
    pythons = sorted(set(_pythons()))
    lowest = min(pythons)
    if lowest[0] != _oldest_supported():
        print(f"Skipped: no Python {_text(_oldest_supported())} was found; the lowest versions are tried on another.")
    failed = _lowest(lowest[1], options)
    newest = max(pythons)
    if newest[0] == lowest[0]:
        print(f"Skipped: no Python newer than {_text(lowest[0])} was found.")
    else:
        failed = _newest(newest[1], options) or failed
    return failed


def declared() -> dict[str, Requirement]:
    """All dependencies that are declared, those of the extras included, by name."""
    extras = PROJECT["project"]["optional-dependencies"]
    texts = [*PROJECT["project"]["dependencies"], *(text for extra in extras.values() for text in extra)]
    found = [Requirement(text) for text in texts]
    return {canonicalize_name(each.name): each for each in found if each.name != PROJECT["project"]["name"]}


def lower_bound(requirement: Requirement) -> Version | None:
    """What a requirement declares with ``>=``."""
    bounds = [Version(each.version) for each in requirement.specifier if each.operator == ">="]
    return max(bounds, default=None)


def _lowest(python: str, options: Sequence[str]) -> int:
    print(f"The lowest declared versions, on {python}:", flush=True)
    venv = _venv(".venv-lowest", python)
    constraints = venv / "tools.txt"
    constraints.write_text("".join(f"{each}\n" for each in _locked_tools()))
    tools = ("--group", "pyproject.toml:test", "--constraint", str(constraints))
    _uv(venv, "--resolution", "lowest-direct", "--requirements", "pyproject.toml", "--all-extras", *tools)
    untrue = [*_untrue(venv)]
    if untrue:
        print(*untrue, sep="\n")
        return 1
    return _run(venv, *(f"--ignore=tests/{name}" for name in LEFT_OUT), *options)


def _newest(python: str, options: Sequence[str]) -> int:
    print(f"What is locked, on {python}:", flush=True)
    venv = _venv(".venv-newest", python)
    _uv(venv, "--require-hashes", "--no-deps", "--requirements", "requirements.lock")
    return _run(venv, *(f"tests/{name}" for name in ON_THE_NEWEST), *options)


def _untrue(venv: Path) -> Iterator[str]:
    """Where another version than the declared one is the lowest that can be installed beside all others."""
    listed = subprocess.run(
        [UV, "pip", "list", "--quiet", "--format", "json", "--python", venv], capture_output=True, check=True, cwd=ROOT
    )
    installed = {canonicalize_name(each["name"]): Version(each["version"]) for each in json.loads(listed.stdout)}
    for name, requirement in declared().items():
        bound = lower_bound(requirement)
        print(f"  {name} {installed[name]}", flush=True)
        if bound != installed[name]:
            yield f"{requirement} is untrue: the lowest that the rest lets be installed is {installed[name]}"


def _locked_tools() -> list[str]:
    """The tools of the tests, as they are locked: of them no lowest version is promised."""
    group = [Requirement(text) for text in PROJECT["dependency-groups"]["test"]]
    names = {canonicalize_name(each.name) for each in group} - FOLLOWS
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [line.removesuffix("\\").strip() for line in lines if "==" in line and not line.startswith((" ", "#"))]
    return [pin for pin in pins if canonicalize_name(Requirement(pin).name) in names]


def _run(venv: Path, *options: str) -> int:
    _uv(venv, "--no-deps", "--no-build-isolation", "--editable", ".")
    command = [venv / "bin" / "python", "-m", "pytest"]
    failed = subprocess.run([*command, "-n", "4", "--dist", "worksteal", *options], check=False, cwd=ROOT).returncode
    if failed == pytest.ExitCode.TESTS_FAILED:
        print("What failed, once more and alone, to tell a fault from an accident of the machine:", flush=True)
        command += ["--last-failed", "--last-failed-no-failures", "none", *options]
        failed = subprocess.run(command, check=False, cwd=ROOT).returncode
    return failed


def _venv(name: str, python: str) -> Path:
    venv = ROOT / name
    subprocess.run([UV, "venv", "--quiet", "--clear", "--python", python, venv], check=True, cwd=ROOT)
    return venv


def _uv(venv: Path, *arguments: str) -> None:
    subprocess.run([UV, "pip", "install", "--quiet", "--python", venv, *arguments], check=True, cwd=ROOT)


# -- the Pythons of this machine ---------------------------------------------------------------------------------------


def _pythons() -> Iterator[tuple[tuple[int, int], str]]:
    """What can be used, each with its version: this one, those on the path, and pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    named = (f"python3.{minor}" for minor in range(_oldest_supported()[1], _oldest_supported()[1] + 20))
    for name in (sys.executable, *named, *map(str, pyenv.glob("versions/*/bin/python3"))):
        version = _version(name)
        if version is not None and version >= _oldest_supported():
            yield version, name


def _version(python: str) -> tuple[int, int] | None:
    code = "import ssl, sys, venv; print(*sys.version_info[:2], sys.version_info.releaselevel)"
    try:
        told = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None  # not there, or a shim of pyenv's for one that is not
    major, minor, level = told.stdout.split()
    return (int(major), int(minor)) if level == "final" else None


def _oldest_supported() -> tuple[int, int]:
    major, minor = PROJECT["project"]["requires-python"].removeprefix(">=").split(".")
    return int(major), int(minor)


def _text(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
