# Two commands matter: `make demo` and `make test`. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Where it is set, every process of every test would compile every module anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test check lint types contracts peers conformance soak bench format lock migration clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP) ## build .venv; .venv/bin/sallyport works afterwards

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "Sallyport needs Python 3.11, 3.12 or 3.13; name one: make setup PYTHON=python3.12" >&2; exit 1; }
	@echo "Building $(VENV) (once; about a minute)..." >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . >&2
	@touch $@

demo: $(STAMP) ## the story in the terminal; ARGS="--auto --json" plays both people
	@$(BIN)/sallyport demo $(ARGS)

test: $(STAMP) ## the whole test suite; needs no server, account or key
	@$(BIN)/python -m pytest -n 4 --dist worksteal -m "not soak and not peer and not conformance" $(ARGS)

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(STAMP)
	@$(BIN)/basedpyright --level error

contracts: $(STAMP)
	@$(BIN)/lint-imports

check: lint types contracts test ## lint, types, import contracts and the tests

peers: $(STAMP) ## tests against outside peers (installs npm packages into an ignored folder)
	@$(BIN)/python -m pytest -m peer tests/peers $(ARGS)

conformance: $(STAMP) ## the public conformance suite for MCP, scenario by scenario (needs Node.js)
	@$(BIN)/python -m pytest -m conformance tests/conformance -rs $(ARGS)

soak: $(STAMP) ## the long crash, race and load suites, and a thousand examples of each property
	@$(BIN)/python -m pytest -m "soak or hypothesis" --hypothesis-profile many --timeout 3600 $(ARGS)

bench: $(STAMP) ## benchmarks, with peers in the same run
	@$(BIN)/python -m bench.governed_call
	@$(BIN)/python -m bench.durable_steps
	@$(BIN)/python -m bench.mcp_sessions

format: $(STAMP) ## format and mend what can be mended
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

lock: $(STAMP) ## pin the dependencies anew, with hashes
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --all-extras pyproject.toml --no-header -o requirements.lock

migration: $(STAMP) ## a new migration: make migration m="what it does"
	@$(BIN)/alembic -c migrations/alembic.ini revision -m "$(m)"

clean: ## remove what was built
	@rm -rf $(VENV) .sallyport .pytest_cache .ruff_cache .coverage* .peers
