# oddlog: everything a newcomer needs is one word.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TORCH ?= torch==2.13.0

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format bench docs clean

help: ## list the commands
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# torch goes first: what comes after it then finds it there and asks for no other build.
$(VENV)/.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check '$(TORCH)'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[train,service,dev,bench]'
	touch $@

setup: $(VENV)/.installed ## make the virtual environment in .venv

demo: setup ## make a small system's logs, learn from them, say what is odd and why
	@$(BIN)/oddlog demo demo

test: setup ## run the tests
	$(BIN)/python -m pytest

check: setup ## lint, types and tests: what continuous integration runs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

format: setup ## put the code in form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup ## measure speed and memory against peers (minutes)
	$(BIN)/python benchmarks/run.py

# Not --strict: pages link to outputs in benchmarks/results, which are no pages; the tests check every link and anchor.
docs: setup ## build the pages into site/, each link and example checked
	test -x $(BIN)/zensical || $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	$(BIN)/zensical build
	$(BIN)/python -m pytest tests/test_docs.py tests/test_readme.py

clean: ## remove what the other commands made
	rm -rf $(VENV) demo site .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
