# Two commands: `make demo` and `make test`. Each makes its own .venv from the lock file, without root.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests start many processes: each would compile everything anew where the environment forbids to keep bytecode.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test test-slow test-lowest check bench docs lock clean

demo: $(VENV)/ready
	$(BIN)/lanewise demo

test: check
	$(BIN)/python -m pytest -n 6 --dist worksteal

test-slow: check
	$(BIN)/python -m pytest -n 2 --dist worksteal --slow --timeout 600

test-lowest: $(VENV)/ready
	$(BIN)/python tests/distribution/lowest.py

check: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/ready
	$(BIN)/python -m benchmarks

docs: $(VENV)/ready
	$(BIN)/python -m lanewise._failures.failure_page > docs/failures.md
	PYTHONPATH=tests $(BIN)/python -m servers.table > docs/servers.md
	$(BIN)/python docs/generate.py
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build
	@echo "The site is in docs/_build/index.html"

$(VENV)/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "lanewise needs Python 3.11 or newer as '$(PYTHON)'; name another one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "this Python has no venv or no pip: install them (on Debian and Ubuntu the package python3-venv)"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@echo "Installing what is locked in requirements.lock (this takes a minute) ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock || { \
	  echo "the packages could not be installed: is the package index reachable?"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

lock: $(VENV)/ready
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --custom-compile-command "make lock" --all-extras --group pyproject.toml:dev pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) .venv-lowest .venv-newest .mypy_cache .ruff_cache .hypothesis .pytest_cache dist docs/_build
