# Needs python3 with venv, git and make. `make PYTHON=python3.13 test` takes another Python.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TEST_READY := $(VENV)/.ready-test
# A venv made for the tests has all that the demo needs.
DEMO_READY := $(if $(wildcard $(TEST_READY)),$(TEST_READY),$(VENV)/.ready-demo)

# Of the tests at once: one more than there are processors, since they wait for servers and disks a third of their time.
TEST_PROCESSES ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)

# For `make soak`.
OBERON_SOAK ?= 20000
OBERON_CHAOS_S ?= 600
ifndef OBERON_SEED
OBERON_SEED := $(shell date +%s)
endif

.DEFAULT_GOAL := help
.PHONY: help venv demo test check docs soak bench clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name what; do \
		printf '%-8s%s\n' "$$name" "$$what"; done

venv: $(TEST_READY)  ## make .venv, with all that the tests need

demo: $(DEMO_READY)  ## push to a throwaway git and a throwaway hg repository, and show what arrives
	$(BIN)/oberon demo

test: $(TEST_READY) check  ## everything CI does: check, then all tests with coverage
	tests/support/system-packages
	@# As an installation does: where PYTHONDONTWRITEBYTECODE is set, each of some thousand processes would compile all it imports.
	$(BIN)/python -m compileall -q payload brokers githooks hghooks
	$(BIN)/pytest --numprocesses $(TEST_PROCESSES) --cov

check: $(TEST_READY)  ## lint, format, types, import layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(TEST_READY)  ## write what the documents say of settings and brokers anew, from the code
	$(BIN)/python -m tests.support.docs

soak: $(TEST_READY)  ## OBERON_SOAK=20000 random pushes against git, as many against hg, 2000 histories of an outbox, kills for OBERON_CHAOS_S=600; OBERON_SEED=N repeats a run
	tests/support/system-packages
	@echo "$(OBERON_SOAK) pushes to git and $(OBERON_SOAK) to hg, OBERON_SEED=$(OBERON_SEED)"
	OBERON_SOAK=$(OBERON_SOAK) OBERON_SEED=$(OBERON_SEED) $(BIN)/pytest --numprocesses auto --timeout 0 \
		--maxschedchunk 1 --hypothesis-seed=$(OBERON_SEED) \
		tests/integration/test_hg_differential.py tests/integration/test_git_differential.py \
		tests/unit/brokers/delivery/test_outbox_machine.py
	@echo "no difference in $(OBERON_SOAK) pushes to git and $(OBERON_SOAK) to hg, no outbox broken, OBERON_SEED=$(OBERON_SEED)"
	@echo "producers and workers are killed for $(OBERON_CHAOS_S) s, OBERON_SEED=$(OBERON_SEED)"
	OBERON_CHAOS_S=$(OBERON_CHAOS_S) OBERON_SEED=$(OBERON_SEED) $(BIN)/pytest --numprocesses 0 --timeout 0 --capture no \
		tests/acceptance/test_chaos.py

bench: $(VENV)/.ready-bench  ## how fast pushing, reading and delivering are, against others; BENCH=--quick for a short one
	$(BIN)/python -m tests.bench $(BENCH)

clean:  ## remove .venv, caches and reports
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis htmlcov build dist .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is newer than pyproject.toml when the venv has what that file asks for.
$(VENV)/.ready-%: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[$*]'
	touch $@
