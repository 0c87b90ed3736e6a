# Needs python3 with venv, git and make. `make PYTHON=python3.13 test` takes another Python.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TEST_READY := $(VENV)/.ready-test
# A venv made for the tests has all that the demo needs.
DEMO_READY := $(if $(wildcard $(TEST_READY)),$(TEST_READY),$(VENV)/.ready-demo)

.DEFAULT_GOAL := help
.PHONY: help venv demo test check clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name what; do \
		printf '%-8s%s\n' "$$name" "$$what"; done

venv: $(TEST_READY)  ## make .venv, with all that the tests need

demo: $(DEMO_READY)  ## push to a throwaway git and a throwaway hg repository, and show what arrives
	$(BIN)/oberon demo

test: $(TEST_READY) check  ## everything CI does: check, then all tests with coverage
	tests/support/system-packages
	$(BIN)/pytest --numprocesses auto --cov

check: $(TEST_READY)  ## lint, format, types, import layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:  ## remove .venv, caches and reports
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis htmlcov dist .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is newer than pyproject.toml when the venv has what that file asks for.
$(VENV)/.ready-%: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[$*]'
	touch $@
