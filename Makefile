# gmtscreen: every target sets up what it needs. `make` alone lists them.
#
#   make PYTHON=python3.12 test              another interpreter (3.11 or newer)
#   make TORCH_INDEX_URL=<address> setup     a further package index, e.g. one with CPU builds of torch: on a machine
#                                            without an NVIDIA GPU that saves several GB. A build of the pinned
#                                            version that is installed already is kept as it is.
#   make DB=hits.db N=5000 screen            another database, more prototypes

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# The first interpreter that is new enough; without one, python3, whose version `setup` then complains about.
is_new := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13; do \
	if command -v $$p >/dev/null && $$p -c '$(is_new)' 2>/dev/null; then echo $$p; exit; fi; done; echo python3)
VENV ?= .venv
TORCH_INDEX_URL ?=
DB ?= gmtscreen.db
N ?= 1000

BIN := $(VENV)/bin
STAMP := $(VENV)/.gmtscreen-is-set-up
PYTEST := $(BIN)/python -m pytest
AXE := 4.14.1

# The tests start many interpreters; without bytecode each of them would compile the program anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup screen test lint types contracts tests test-slow test-chaos test-browser test-postgres audit bench bench-scale bench-ledger bench-query bench-poison bench-readers format freeze clean

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 24

setup: $(STAMP) ## create .venv and install gmtscreen with pinned versions; instant when nothing changed

$(STAMP): pyproject.toml constraints.txt
	@python=$(BIN)/python; test -x $$python || python=$(PYTHON); $$python -c '$(is_new)' 2>/dev/null || { \
	  echo "gmtscreen needs Python 3.11 or newer; $$python is $$(command -v $$python >/dev/null && $$python --version 2>&1 || echo missing)." >&2; \
	  echo "Install one and name it, with a new environment: make PYTHON=python3.12 VENV=.venv312 setup" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
	  echo "'$(PYTHON) -m venv' failed; on Debian and Ubuntu install the package python3-venv." >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
	  $(if $(TORCH_INDEX_URL),--extra-index-url "$(TORCH_INDEX_URL)") --editable ".[test,postgres,cluster]"
	$(BIN)/python -m gmt_tasks.compilation
	@touch $@

screen: $(STAMP) ## screen the reference crystals and N=1000 prototypes into DB=gmtscreen.db, print the best hits
	$(BIN)/gmtscreen screen reference prototypes:n=$(N) --db $(DB)

# The types, one process for most of a minute where nothing is cached, beside the start of the tests.
test: lint ## lint, types, import contracts and the tests that take minutes
	@$(MAKE) --no-print-directory --jobs=2 types contracts tests

lint: $(STAMP)
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

contracts: $(STAMP)
	$(BIN)/lint-imports --no-logo

# Several processes, whole files each (tests/conftest.py): what a file's tests share is started once.
tests: $(STAMP)
	$(PYTEST) -n auto --maxprocesses 4 --dist loadfile -q -m "not slow and not chaos and not postgres and not browser"

test-slow: $(STAMP) ## the long tests
	$(PYTEST) -m slow

test-chaos: $(STAMP) ## kill processes on purpose and count what is left
	$(PYTEST) -m chaos

test-browser: $(STAMP) ## the explorer's pages in the system's Chromium
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || { \
	  echo "Chromium is not installed. On Debian and Ubuntu: apt-get install chromium." >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt playwright
	@test -f build/browser/node_modules/axe-core/axe.min.js || ! command -v npm >/dev/null || \
	  npm install --silent --no-audit --no-fund --prefix build/browser axe-core@$(AXE)
	$(PYTEST) tests/browser -m browser

test-postgres: $(STAMP) ## the database tests on PostgreSQL, on servers that they start themselves on loopback
	@test -n "$${GMTSCREEN_TEST_POSTGRES:-}" || command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || { \
	  echo "PostgreSQL is not installed. On Debian and Ubuntu: apt-get install postgresql. Or name a server on which" >&2; \
	  echo "databases may be created: GMTSCREEN_TEST_POSTGRES=postgresql://user:password@host/postgres." >&2; exit 1; }
	GMTSCREEN_TEST_POSTGRES="$${GMTSCREEN_TEST_POSTGRES:-start}" $(PYTEST) tests/db \
	  -n auto --maxprocesses 4 --dist loadfile -q -m "postgres and not slow"

audit: $(STAMP) ## compare the pinned versions with published advisories, where their index can be reached
	@$(BIN)/python -c 'import urllib.request as r; r.urlopen("https://api.osv.dev/docs/", timeout=10)' 2>/dev/null || { \
	  echo "not audited: the index of advisories, api.osv.dev, cannot be reached from here." >&2; \
	  echo "docs/security.md lists the known ones; run make audit where there is a network." >&2; exit 1; }
	@test -x $(VENV)/audit/bin/pip-audit || { $(BIN)/python -m venv $(VENV)/audit; $(VENV)/audit/bin/pip install --quiet pip-audit; }
	$(VENV)/audit/bin/pip-audit --vulnerability-service osv --requirement constraints.txt --no-deps --disable-pip

bench: $(STAMP) ## the speed of screening: stages, beside AGAINST=REVISION and a plain line, whole runs, memory; CANDIDATES=FILE
	$(BIN)/python -m benchmarks.speed $(if $(CANDIDATES),--candidates $(CANDIDATES)) $(if $(AGAINST),--against $(AGAINST)) \
	  $(if $(POSTGRES),--postgres $(POSTGRES))

bench-scale: SCALE = $(if $(filter file,$(origin N)),1000000,$(N))
bench-scale: $(STAMP) ## a run of N=1000000 generated candidates, resumable: rate, memory and database over time, into runs/scale-N
	$(BIN)/python -m benchmarks.speed.many_rows --n $(SCALE) --out runs/scale-$(SCALE) $(if $(CANDIDATES),--candidates $(CANDIDATES))

bench-ledger: $(STAMP) ## what the ledger costs: a million crystals in and out, without a network; prints shares and memory
	$(BIN)/python -m benchmarks.ledger

bench-query: $(STAMP) ## how long searches take among a million crystals, and the bytes per crystal; DB=postgresql://... for PostgreSQL
	$(BIN)/python -m benchmarks.query_latency $(if $(DB),--db $(DB))

bench-poison: $(STAMP) ## what one poison crystal per thousand costs: by kind, and in a run with real workers
	$(BIN)/python -m benchmarks.poison

bench-readers: $(STAMP) ## what reading a CIF, a POSCAR, an extended XYZ frame costs, beside pymatgen, ASE and gemmi
	$(BIN)/python -m benchmarks.readers

format: $(STAMP) ## write the tree as ruff formats it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

freeze: $(STAMP) ## write constraints.txt from what is installed now
	@{ sed -n '/^#/p' constraints.txt; $(BIN)/python -m pip freeze --exclude-editable | sed -E 's/\+[A-Za-z0-9.]+$$//' \
	  | LC_ALL=C sort -f; } > constraints.txt.part
	@mv constraints.txt.part constraints.txt

clean: ## remove caches and build products; the environment and databases stay
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
