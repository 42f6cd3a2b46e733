# One entry point for everything; `make help` lists it.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help

help:  ## list the commands
	@awk -F':.*## ' '/^[a-z][a-z-]*:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.installed  ## build .venv with everything that users, tests and linters need

.venv/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

sweep: setup  ## answer the question of June 2022: 513, 553 or 1026 cached descriptors?
	$(BIN)/sweep experiment=seed_question backend=ray_local

.venv/.chromium:
	@if command -v chromium >/dev/null || command -v chromium-browser >/dev/null; then :; \
	elif command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
	else echo "The report tests need Chromium: install the package 'chromium', or run 'make quick'."; exit 1; fi
	@touch $@

test: setup .venv/.chromium  ## every test, Ray, faults and browser included
	$(BIN)/python -m pytest

quick: setup  ## the tests that need neither Ray nor a browser
	$(BIN)/python -m pytest -m "not ray and not fault and not browser and not slow"

check: setup  ## format, lint, types, import contract
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

cov: setup  ## branch coverage of core/ with the JIT off
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest tests/core --cov --cov-report=term-missing --cov-fail-under=95

bench: setup .venv/.bench  ## measure ourselves beside our peers, in under ten minutes
	$(BIN)/python -m bench

.venv/.bench: pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,bench]'
	touch $@

reference: setup  ## write conf/README.md and results/README.md from the code
	$(BIN)/python -m tests.sweep.handbook

tutorial: setup  ## run the commands of conf/tutorial.md and write what they print
	$(BIN)/python -m tests.results.tutorial

answers: setup  ## run every experiment and write what it answers into README.md
	$(BIN)/python -m tests.results.answers_page

.PHONY: answers tutorial bench reference help setup sweep test quick check cov
