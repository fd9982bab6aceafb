# Dockyard. `make help` is the table of contents.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest
# Debian's own Python starts faster than most builds; another one is used where it is not there.
PYTHON ?= $(shell test -x /usr/bin/python3 && /usr/bin/python3 -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' && echo /usr/bin/python3 || echo python3)

.PHONY: help setup demo test test-long fuzz bench lint fmt lock clean

help:  ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready  ## .venv with dockyard, dy and dockyard-oci; missing system packages

$(VENV)/.ready: pyproject.toml requirements.lock tools/system-packages.txt tools/setup.sh tools/kubectl.txt
	@PYTHON=$(PYTHON) tools/setup.sh $(VENV)
	@touch $@

demo: setup  ## the whole way: build a shop, start a cluster, roll it out under load, clean up
	@$(BIN)/python examples/shop/demo.py

test: setup  ## the whole suite (under 15 minutes)
	@tools/test.sh $(BIN)

test-long: setup  ## kills by the hundred, long machines of states, large corpora (under 60 minutes)
	@$(PYTEST) -m long -o faulthandler_timeout=600 tests; code=$$?; test $$code -eq 5 && echo "0 passed, 0 failed" || exit $$code

fuzz: setup  ## the properties with cases that nobody has tried before, at each run others
	@DOCKYARD_CASES=fuzz $(PYTEST) -m "not long" $$(grep -rlE --include=*.py "@given|RuleBasedStateMachine" tests)

bench: setup  ## compare with the peers in one run; writes bench/RESULTS.md
	@$(BIN)/python bench/run.py

lint: setup  ## ruff, mypy --strict, import contracts
	@$(BIN)/ruff check src tests bench tools examples
	@$(BIN)/ruff format --check src tests bench tools examples
	@$(BIN)/mypy
	@$(BIN)/lint-imports

fmt: setup  ## format and fix what can be fixed
	@$(BIN)/ruff check --fix-only -q src tests bench tools examples
	@$(BIN)/ruff format -q src tests bench tools examples

lock:  ## pin every dependency with its hashes into requirements.lock
	@$(BIN)/uv pip compile -q --group dev pyproject.toml --generate-hashes --no-header --no-annotate \
	    --no-emit-index-url --no-emit-find-links --python-version 3.11 -o requirements.lock

clean:  ## remove what setup and the tests made in this folder
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
