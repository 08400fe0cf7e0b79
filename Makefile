# `make` lists the targets. All of them run in .venv, which the first one creates.
PYTHON ?= python3
PORT ?= 8000
# Test processes: one more than two cores, because many tests wait for a server.
JOBS ?= 3
BIN := .venv/bin
# Errors only: pip warns of its own age and of unreachable mirrors.
PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check
# The settings need values, but linters connect to no server.
LINT_ENV := PRODUCTION=1 SECRET_KEY=only-for-checks-0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEFGH \
	JWT_SIGNING_KEYS=only-for-checks-0123456789-abcdefghijklmnop \
	DATABASE_URL=postgres://lint@localhost/lint REDIS_URL=redis://localhost:6379/0 ALLOWED_HOSTS=localhost

# evaluate_recommender --data reads files only.
EVALUATE_ENV := SECRET_KEY=only-for-measuring DATABASE_URL=postgres://nobody@localhost/none \
	REDIS_URL=redis://localhost:6379/0

.DEFAULT_GOAL := help
.PHONY: help install run backup restore test coverage lint lock format bench-tmdb bench-imports bench-quick bench chaos fuzz clients evaluate clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

# What `make run` needs. The tools of developers are three times as large.
.venv/installed: requirements.txt requirements-local.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	@echo "Installing the service into .venv …"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP_INSTALL) -r requirements.txt -r requirements-local.txt
	@touch $@

.venv/installed-dev: .venv/installed requirements-cluster.txt requirements-dev.txt
	@echo "Installing the tools of developers into .venv …"
	@$(PIP_INSTALL) -r requirements-dev.txt
	@touch $@

install: .venv/installed-dev  ## create .venv and install all packages, with those for tests and linters

run: .venv/installed  ## serve on PORT (8000) with a starter catalogue; TMDB=sample replaces TMDb by a local server
	@PORT=$(PORT) $(BIN)/python manage.py run $(if $(TMDB),--tmdb $(TMDB))

backup: .venv/installed  ## write the database to FILE (nexus-DATE.dump); DATABASE_URL names another one
	@$(BIN)/python manage.py backup $(or $(FILE),nexus-$(shell date +%Y%m%d-%H%M%S).dump)

restore: .venv/installed  ## replace the database by the backup FILE
	@test -n "$(FILE)" || { echo "Name a backup: make restore FILE=nexus-DATE.dump"; exit 1; }
	@$(BIN)/python manage.py restore $(FILE)

# Idle processes take tests from busy ones, so a fixture of a module may run in two of them.
# Tests that measure time run without the others. A machine may stall once; slow code fails every time.
# pytest's status 5 means that TEST_ARGS selects no test in one half, which only both halves may not.
test: install  ## run the tests on the real servers
	@empty_halves=0; \
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "not clocked" \
		--reruns 1 --only-rerun "[Tt]imeout|[Tt]imed out" $(TEST_ARGS) \
		|| { test $$? -eq 5 && empty_halves=1; } || exit 1; \
	$(BIN)/python -m pytest -n $(JOBS) --dist load -m clocked --reruns 2 $(TEST_ARGS) \
		|| test $$?/$$empty_halves = 5/0

coverage:  ## run the tests and list the lines they do not execute
	rm -f .coverage
	$(MAKE) test TEST_ARGS="--cov --cov-append --cov-report=term:skip-covered"

lint: install  ## check style, types, layers, migrations, deployment settings and known vulnerabilities
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(LINT_ENV) $(BIN)/mypy .
	$(BIN)/lint-imports
	$(LINT_ENV) $(BIN)/python manage.py check --deploy --fail-level WARNING
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/pip-audit --progress-spinner off --disable-pip --require-hashes -r requirements.lock

lock: install  ## resolve requirements.txt for the image, with hashes, after a change of it
	$(BIN)/uv pip compile --quiet --generate-hashes --no-annotate --custom-compile-command "make lock" \
		--python-version 3.13 --python-platform linux --output-file requirements.lock requirements.txt

format: install  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench-tmdb: install  ## measure the promises about TMDb with a local server in its place (4 minutes)
	$(BIN)/python -m benchmarks.tmdb

bench-imports: install  ## measure imports, the memory they take and the delay of mails (15 minutes)
	$(BIN)/python -m benchmarks.imports

bench-quick: install  ## measure lists and HTTP requests with 10,000 movies (5 minutes)
	$(BIN)/python -m benchmarks.queries --movies 10000 --every 6 --json .data/bench-queries-quick.json
	$(BIN)/python -m benchmarks.http --movies 10000 --rounds 2 --json .data/bench-http-quick.json

bench: install  ## measure the same with up to 1,000,000 movies (an hour the first time)
	$(BIN)/python -m benchmarks.queries --json .data/bench-queries.json --plot .data/bench-queries.svg
	$(BIN)/python -m benchmarks.http --json .data/bench-http.json --plot .data/bench-http.png
	$(BIN)/python -m benchmarks.costs --markdown .data/bench-costs.md

chaos: install  ## cause faults under load and measure their effect (16 minutes)
	$(BIN)/python -m benchmarks.chaos

fuzz: install  ## send generated requests to the service for MINUTES (5)
	$(BIN)/python -m benchmarks.fuzz --minutes $(or $(MINUTES),5)

clients: install  ## generate clients with real generators, compile and run them (needs npm and Java)
	$(BIN)/python -m benchmarks.clients $(if $(filter-out 8000,$(PORT)),--port $(PORT))

evaluate: install  ## compare the recommender with baselines on DATA, a MovieLens folder (default: synthetic)
	test -n "$(DATA)" || $(BIN)/python -m benchmarks.ratings .data/made-up --members 600 --movies 2000 --ratings 100000
	$(EVALUATE_ENV) $(BIN)/python manage.py evaluate_recommender --data $(or $(DATA),.data/made-up) $(ARGS)

clean:  ## remove .venv, all data and caches
	rm -rf .venv .data evaluation .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
