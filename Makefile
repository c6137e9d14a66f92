# make demo: a search over the shipped corpus, the index built on the way. make test: everything that CI checks.
# Each makes .venv if it is missing and installs what it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PIP := $(INSTALL) --constraint constraints.txt
HASHED := $(INSTALL) --no-build-isolation --require-hashes
QUERY ?= 后门攻击

.PHONY: demo test lint types docs bench torture clean

demo: $(VENV)/installed
	$(BIN)/papersearch search $(QUERY)

test: $(VENV)/installed-dev lint types
	$(BIN)/python -m pytest -n 2

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed-dev
	$(BIN)/mypy

# The promises of docs/reliability.md, ten times as long as in CI; a line each, and the counts written into the page.
torture: $(VENV)/installed-dev
	$(BIN)/python -m pytest -n 2 tests/torture tests/test_supply_chain.py -m 'slow or not slow' --rounds 10 --promises --update-golden

bench: $(VENV)/installed-bench
	$(BIN)/python bench/startup.py
	$(BIN)/python bench/speed.py
	$(BIN)/python bench/dictionary.py
	$(BIN)/python bench/relevance.py corpus tests/eval/queries.jsonl
	$(BIN)/python bench/peers.py
	$(BIN)/python bench/judged_collections.py

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable .
	$(BIN)/python -m compileall -q src
	touch $@

$(VENV)/installed-dev: pyproject.toml requirements-build.txt requirements-ci.txt | $(VENV)/bin/python
	$(HASHED) --requirement requirements-build.txt
	$(HASHED) --use-pep517 --requirement requirements-ci.txt
	$(INSTALL) --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q src
	touch $@ $(VENV)/installed

$(VENV)/installed-bench: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable '.[fast,dev,bench]'
	touch $@ $(VENV)/installed $(VENV)/installed-dev

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
