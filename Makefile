# Everything a newcomer needs: `make help` lists it. The first target that needs Python sets up .venv by itself.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help run test check e2e corpus fuzz bench bench-inbound bench-outbound wheel format

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 15

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

run: $(READY) ## start an appliance and a session at it
	@$(BIN)/asyncos-shell

test: $(READY) ## all tests but those with real peers
	$(BIN)/pytest -m 'not e2e'

check: $(READY) ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

e2e: $(READY) ## the whole product with real peers: Postfix, unbound, BIND, slapd, swaks, openssl, ssh
	$(BIN)/pytest -m e2e

fuzz: $(READY) ## 200,000 strange inputs for receiving and its files, with a new seed
	$(BIN)/python -m tests.fuzz.receiving

corpus: $(READY) ## verification of certificates against NIST PKITS (fetches 56 MB)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[corpus]'
	$(BIN)/pytest tests/corpus

bench: $(READY) ## start-up, memory, commit time (figures: bench/README.md)
	$(BIN)/python bench/startup.py
	$(BIN)/python bench/commit.py

bench-inbound: $(READY) ## mail accepted per second, against Postfix (needs root, gcc, libssl-dev)
	$(BIN)/python -m bench.inbound

bench-outbound: $(READY) ## mail delivered and relayed per second, against Postfix (needs root, gcc, libssl-dev)
	$(BIN)/python -m bench.outbound

wheel: $(READY) ## dist/*.whl
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

format: $(READY) ## let ruff format and sort
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
