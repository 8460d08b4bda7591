# Two commands are enough: `make demo` and `make test`. Any other shows what it does in `make help`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Options for `make lock`: LOCK=--upgrade takes the newest versions that fit.
LOCK ?=
# Options for pytest: TESTS=tests/unit, or TESTS="-k dotenv --no-cov". Two processes by default, like two cores.
TESTS ?= --numprocesses=2 --dist=worksteal
# How long `make soak` goes on, and whatever else it takes: SOAK="--rotations 40 --seed 7".
MINUTES ?= 10
SOAK ?=

# What `make bench` measures, all by default, and how long: BENCH=quick.
FIGURES ?=
BENCH ?=

PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
COMPILE := $(BIN)/uv --quiet pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --no-strip-extras \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(LOCK)

.DEFAULT_GOAL := help
.PHONY: help demo extras test check browser attacks bench faults faults-all nightly soak mutants mutants-score lint format docs lock clean

help:  ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

extras: $(VENV)/installed-all  ## install what the optional destinations and `rotator notify` need, as locked

demo: $(VENV)/installed  ## install, then see the whole job run against a stand-in for OpenRouter (half a minute)
	$(BIN)/rotator demo

test: $(VENV)/installed-dev  ## every test, and 100 % branch coverage of the core
	$(BIN)/python -m pytest --cov --cov-report=term --ignore=tests/faults --ignore=tests/browser --ignore=tests/attacks \
		$(TESTS)

check: $(VENV)/installed-dev lint  ## format, lint, types, import contracts, and the README against the code
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest --quiet tests/habits

browser: $(VENV)/installed-dev  ## the console in a real browser; needs Debian's chromium
	$(BIN)/python -m pytest --quiet --numprocesses=2 tests/browser

attacks: $(VENV)/installed-dev  ## whatever the OpenAPI document allows and forbids, and attacks on API and console
	$(BIN)/python -m pytest --quiet --numprocesses=2 tests/attacks

bench: $(VENV)/installed-dev  ## figures, each beside a floor in the same run: BENCH=quick, FIGURES=status_reads
	BENCH=$(BENCH) $(BIN)/python -m tests.benchmarks $(FIGURES)

faults: $(VENV)/installed-dev  ## every fault at every kind of call; prints the table, and writes it to build/faults.md
	$(BIN)/python -m pytest --quiet --numprocesses=2 tests/faults

faults-all: $(VENV)/installed-dev  ## the same at every single call of every life: an hour or two
	ROTATOR_TEST_EVERY_POINT=1 $(BIN)/python -m pytest --quiet --numprocesses=2 tests/faults

nightly: $(VENV)/installed-dev  ## the property tests, ten times as thorough and each time otherwise
	HYPOTHESIS_PROFILE=nightly $(BIN)/python -m pytest --numprocesses=2 --timeout=0 tests/property

soak: $(VENV)/installed-dev  ## hundreds of rotations on real servers, under chaos: MINUTES=10
	$(BIN)/python -m tests.soak --minutes $(MINUTES) $(SOAK)

mutants: $(VENV)/installed-dev  ## deliberate mistakes in the product: each must turn a test red
	$(BIN)/python -m tests.mutants

mutants-score: $(VENV)/installed-mutants  ## every small mistake that mutmut can think of in the core: how many are seen
	$(BIN)/python -m tests.mutants.score

lint: $(VENV)/installed-dev  ## format and lint, changing nothing
	$(BIN)/ruff format --check
	$(BIN)/ruff check

format: $(VENV)/installed-dev  ## write the format, and the fixes that are safe
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

docs: $(VENV)/installed-dev  ## write the README's tables from the code
	$(BIN)/python -m tests.habits.readme_tables

lock: $(VENV)/installed-dev  ## write the locks anew from pyproject.toml; LOCK=--upgrade for newer versions
	$(COMPILE) --extra all --group dev --output-file requirements-dev.lock pyproject.toml
	$(COMPILE) --group build --constraint requirements-dev.lock --output-file requirements.lock pyproject.toml
	$(COMPILE) --extra all --group build --constraint requirements-dev.lock --output-file requirements-all.lock pyproject.toml
	$(COMPILE) --group mutants --constraint requirements-dev.lock --output-file requirements-mutants.lock

clean:  ## remove the environment and every cache
	rm -rf $(VENV) .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache dist build
	find config tasks worker tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: what is installed already is not installed again.
$(VENV)/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is $$($(PYTHON) --version 2>&1), but 3.11 or newer is needed: make PYTHON=python3.13 $(MAKECMDGOALS)" >&2; \
		exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/installed: $(VENV)/made requirements.lock pyproject.toml
	$(PIP) install --require-hashes --requirement requirements.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/installed-all: $(VENV)/installed requirements-all.lock
	$(PIP) install --require-hashes --requirement requirements-all.lock
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed requirements-dev.lock
	$(PIP) install --require-hashes --requirement requirements-dev.lock
	@touch $@

# Apart from the rest: what mutmut brings would rename Celery's processes.
$(VENV)/installed-mutants: $(VENV)/installed-dev requirements-mutants.lock
	$(PIP) install --target $(VENV)/mutants --upgrade --require-hashes --requirement requirements-mutants.lock
	@touch $@
