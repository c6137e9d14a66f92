# make demo: a search over the shipped corpus, the index built on the way. make test: everything that CI checks.
# Each makes .venv if it is missing and installs what it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
QUERY ?= 后门攻击

.PHONY: demo test lint types docs bench clean

demo: $(VENV)/installed
	$(BIN)/papersearch search $(QUERY)

test: $(VENV)/installed-dev lint types
	$(BIN)/python -m pytest -n 2

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed-dev
	$(BIN)/mypy

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

$(VENV)/installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable '.[fast,dev]'
	$(BIN)/python -m compileall -q src
	touch $@ $(VENV)/installed

$(VENV)/installed-bench: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable '.[fast,dev,bench]'
	touch $@ $(VENV)/installed $(VENV)/installed-dev

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
