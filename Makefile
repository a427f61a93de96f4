# oddlog: everything a newcomer needs is one word.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TORCH ?= torch==2.13.0

.DEFAULT_GOAL := help
.PHONY: help setup demo test soak check format bench docs clean

help: ## list the commands
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# torch goes first: what comes after it then finds it there and asks for no other build.
$(VENV)/.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check '$(TORCH)'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[train,service,kafka,notify,dev,bench]'
	touch $@

setup: $(VENV)/.installed ## make the virtual environment in .venv

demo: setup ## make a small system's logs, learn from them, say what is odd and why
	@$(BIN)/oddlog demo demo

# Flower caps Typer and other packages: its part is tested in an environment of its own, the rest with what is newest.
$(VENV)-federated/.installed: pyproject.toml
	test -x $(VENV)-federated/bin/python || $(PYTHON) -m venv $(VENV)-federated
	$(VENV)-federated/bin/python -m pip install --quiet --disable-pip-version-check '$(TORCH)'
	$(VENV)-federated/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[train,federated,dev]'
	touch $@

test: setup $(VENV)-federated/.installed ## run the tests, two at a time
	$(BIN)/python -m pytest -n 2 --dist loadfile
	$(VENV)-federated/bin/python -m pytest tests/federated
	$(VENV)-federated/bin/python -m pytest tests/test_docs.py -k federated

soak: setup ## kill the service fifty times under load: nothing is lost, nothing is twice (half an hour)
	ODDLOG_KILLS=50 $(BIN)/python -m pytest tests/service/test_kill.py tests/service/test_kill_under_load.py tests/service/test_faults.py

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
	rm -rf $(VENV) $(VENV)-federated demo site .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
