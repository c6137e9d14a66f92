# make demo: a search over the shipped corpus, the index built on the way. make test: everything that CI checks.
# Each makes .venv if it is missing and installs what it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PIP := $(INSTALL) --constraint constraints.txt
HASHED := $(INSTALL) --no-build-isolation --require-hashes
QUERY ?= 后门攻击

.PHONY: demo test lint types docs bars bench torture clean

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

# Everything that docs/performance.md and docs/relevance.md show: hours, as digests of 100,000 papers are indexed by all
# engines. make bars: the bars of performance alone, without what only the largest digest shows; some half an hour.
bench: bars $(VENV)/installed-bench
	$(BIN)/python bench/startup.py
	$(BIN)/python bench/speed.py --sizes 100000 --cache build/bench --save build/bench/largest.json
	$(BIN)/python bench/speed.py --load build/bench/drawn.json --load build/bench/real.json --load build/bench/largest.json
	$(BIN)/python bench/dictionary.py
	$(BIN)/python bench/relevance.py corpus tests/eval/queries.jsonl
	$(BIN)/python bench/peers.py
	$(BIN)/python bench/judged_collections.py

bars: $(VENV)/installed-bench
	mkdir -p build/bench
	$(BIN)/python bench/speed.py --sizes 60,1000,10000 --cache build/bench --save build/bench/drawn.json
	$(BIN)/python bench/speed.py --sizes 10000 --text zh-en,en --only build,size --cache build/bench --save build/bench/real.json
	$(BIN)/python bench/speed.py --load build/bench/drawn.json --load build/bench/real.json

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
