"""What is released: the wheel and the source, each extra alone in an environment of its own, what fits beside it."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
UV = Path(sys.executable).parent / "uv"
ENVIRON = {"UV_SYSTEM_CERTS": "1", **os.environ}
"""For uv: it trusts whom the machine trusts, as pip does."""
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
PACKAGES = ("lanewise", "flask_lanewise", "starlette_lanewise", "litestar_lanewise")


def run(*command: str | Path, cwd: Path, **environ: str) -> str:
    environ = {**ENVIRON, **environ}
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=540, env=environ, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel and the sdist."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-d", out, cwd=ROOT)
    (wheel,) = out.glob("*.whl")
    (sdist,) = out.glob("*.tar.gz")
    return wheel, sdist


@pytest.fixture(scope="module")
def source(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, unpacked."""
    folder = tmp_path_factory.mktemp("source")
    with tarfile.open(built[1]) as archive:
        archive.extractall(folder, filter="data")
    (root,) = folder.iterdir()
    return root


# -- what is in them ---------------------------------------------------------------------------------------------------


def test_the_wheel_has_the_packages_alone(built: tuple[Path, Path]) -> None:
    """With their types and data, and without tests."""
    with zipfile.ZipFile(built[0]) as wheel:
        names = wheel.namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == set(PACKAGES)
    for package in PACKAGES:
        assert f"{package}/py.typed" in names
    assert "lanewise/_openai/ranks/o200k_base.xz" in names
    page = ROOT / "src" / "lanewise" / "web" / "dashboard"
    files = [*page.rglob("*.html"), *(page / "static").iterdir()]
    assert {f"lanewise/{file.relative_to(ROOT / 'src' / 'lanewise')}" for file in files} <= set(names)
    assert not [name for name in names if name.endswith(".pyc") or "/tests/" in name]


def test_the_wheel_says_what_it_is(built: tuple[Path, Path]) -> None:
    """Its name, its command and its pytest plugin; and no version before a release, of anything."""
    with zipfile.ZipFile(built[0]) as wheel:
        (folder,) = {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
        metadata = wheel.read(f"{folder}/METADATA").decode()
        entries = wheel.read(f"{folder}/entry_points.txt").decode()
    assert folder.startswith("lanewise-")
    assert "lanewise = lanewise.cli:main" in entries
    assert "lanewise = lanewise.testing.pytest_plugin" in entries
    wanted = [line for line in metadata.splitlines() if line.startswith("Requires-Dist: ")]
    for line in wanted:
        bound = line.partition(">=")[2].partition(";")[0].strip()
        assert all(part.isdecimal() for part in bound.split(".") if bound), line


def test_the_source_has_what_the_two_commands_need(source: Path) -> None:
    """`make demo` and `make test`, where nothing but the sdist is there: every file that is kept, that is."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml", "README.md", "LICENSE", "tests/conftest.py"):
        assert (source / name).is_file(), name
    if (ROOT / ".git").exists():
        kept = run("git", "ls-files", "--cached", cwd=ROOT).splitlines()
        missing = [name for name in kept if (ROOT / name).exists() and not (source / name).exists()]
        assert not missing


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_source_passes_its_tests_as_it_is_unpacked(source: Path) -> None:
    """All tests are found, and those that read the tree pass."""
    path = f"{source / 'src'}{os.pathsep}{source / 'integrations'}"
    quiet = (sys.executable, "-m", "pytest", "-q", "-n", "0")
    run(*quiet, "--collect-only", "tests", cwd=source, PYTHONPATH=path)
    run(*quiet, "tests/test_layers.py", "tests/test_readme.py", "tests/config", cwd=source, PYTHONPATH=path)
    assert "lanewise demo" in run("make", "-n", "demo", cwd=source)


# -- each extra alone --------------------------------------------------------------------------------------------------

IMPORTS = """
import importlib, sys
present = set(sys.argv[1:])
import lanewise, lanewise.cli, lanewise.config, lanewise.errors, lanewise.streaming, lanewise.testing, lanewise.types
import lanewise.web
adapters = {"flask_lanewise": "flask", "starlette_lanewise": "starlette", "starlette_lanewise.fastapi": "fastapi"}
adapters["litestar_lanewise"] = "litestar"
for module, extra in adapters.items():
    try:
        importlib.import_module(module)
    except ImportError as error:
        assert extra not in present, f"{module}: {error!r}"
        needed = "starlette" if extra == "fastapi" and "starlette" not in present else extra
        assert f"pip install 'lanewise[{needed}]'" in str(error), error
    else:
        assert extra in present, f"{module} was imported without {extra}"
"""
OPENS = """
import os, sys
from importlib.util import find_spec
from lanewise import Config, ConfigError, Router
from lanewise.testing import FakeProvider
present = set(sys.argv[1:])
if find_spec("opentelemetry"):
    present.add("otel")  # some releases of FastAPI bring it
os.environ["STORAGE_KEY"] = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
asked = {
    "ledger": {"ledger": "sqlite:///calls.db"},
    "redis": {"state": "redis://127.0.0.1:1/0"},
    "otel": {"opentelemetry": True},
    "prometheus": {"prometheus": True},
}
with FakeProvider() as provider:
    def router(**settings):
        return Router.from_mapping({
            "router": settings,
            "providers": {"here": {"base_url": provider.base_url}},
            "routes": {"only": {"provider": "here", "model": "gpt-5.5"}},
            "tasks": {"chat": {"primary": ["only"]}},
        })
    for extra, settings in asked.items():
        try:
            with router(**settings):
                assert extra in present, f"{extra} is not installed, and nothing was said"
        except ConfigError as error:
            assert extra not in present, error
            assert f"pip install 'lanewise[{extra}]'" in str(error), error
    with router() as opened, opened.scope() as scope:
        reply = scope.openai.chat.completions.create(model="chat", messages=[{"role": "user", "content": "hello"}])
        assert reply.choices[0].message.content
from lanewise._openai.tokens import count_text
assert count_text("hello world", "gpt-4o").exact == ("tokens" in present)
"""


def brings(extra: str | None) -> set[str]:
    """The extras that an extra brings along, itself included."""
    if extra is None:
        return set()
    found = {extra}
    for text in EXTRAS[extra]:
        if text.startswith("lanewise["):
            for inner in text[len("lanewise[") : text.index("]")].split(","):
                found |= brings(inner)
    if extra == "demo":
        found.add("starlette")  # it serves an app of Starlette's
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("extra", [None, *EXTRAS])
def test_an_extra_is_all_that_its_users_need(extra: str | None, built: tuple[Path, Path], tmp_path: Path) -> None:
    """Installed from the wheel: no warning, the command runs, a call is answered, what is missing says what to do."""
    wheel = f"{built[0]}[{extra}]" if extra else str(built[0])
    run(UV, "venv", "--quiet", "--python", sys.executable, "venv", cwd=tmp_path)
    run(UV, "pip", "install", "--quiet", "--python", "venv", wheel, cwd=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    present = sorted(brings(extra))
    assert "lanewise, version" in run(python.parent / "lanewise", "--version", cwd=tmp_path)
    run(python.parent / "lanewise", "init", cwd=tmp_path)
    run(python, "-W", "error", "-c", IMPORTS, *present, cwd=tmp_path)
    run(python, "-W", "error", "-c", OPENS, *present, cwd=tmp_path)
    demo = subprocess.run([python.parent / "lanewise", "demo", "--seconds", "5"], capture_output=True, text=True)
    assert ("pip install 'lanewise[demo]'" in demo.stderr) == ("demo" not in present), demo.stderr
    assert (demo.returncode == 0) == ("demo" in present), demo.stdout + demo.stderr


# -- beside it ---------------------------------------------------------------------------------------------------------

BESIDE = {"pydantic-ai-slim[openai]": "pydantic-ai", "openai-agents": "openai-agents", "langchain-openai": "LangChain"}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("library", [*BESIDE, *(f"lanewise[{extra}]" for extra in EXTRAS)])
def test_what_the_readme_names_can_be_installed_beside_it(
    library: str, built: tuple[Path, Path], tmp_path: Path
) -> None:
    """By a resolver, and without any override."""
    found = resolve(tmp_path, built[0], library)
    assert found.returncode == 0, found.stderr
    assert "\nopenai==3." in found.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_instructor_still_excludes_what_the_sdk_needs(built: tuple[Path, Path], tmp_path: Path) -> None:
    """As the README says, with the override that the tests run over: once this fails, the README can say better."""
    found = resolve(tmp_path, built[0], "instructor")
    assert found.returncode != 0
    assert "jiter" in found.stderr
    overrides = tmp_path / "overrides.txt"
    overrides.write_text("jiter>=0.16\n")
    found = resolve(tmp_path, built[0], "instructor", "--overrides", str(overrides))
    assert found.returncode == 0, found.stderr


def resolve(folder: Path, wheel: Path, library: str, *options: str) -> subprocess.CompletedProcess[str]:
    name, _, extras = library.partition("[")
    wanted = f"lanewise[{extras} @ {wheel.as_uri()}" if name == "lanewise" else library
    (folder / "wanted.in").write_text(f"lanewise @ {wheel.as_uri()}\n{wanted}\n")
    command = [UV, "pip", "compile", "--quiet", "--no-config", "--no-header", "--no-annotate", *options, "wanted.in"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, env=ENVIRON, check=False)
