# `make up` and `make test` need nothing but Python 3.11 or newer; Node, for Blob Storage, is installed where there is none.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
ARGS   ?=
# Tests wait for processes and for the SDKs a third of their time, so six share two cores well.
WORKERS ?= 6
# The tests start hundreds of Python processes: without bytecode each would compile all that it imports.
export PYTHONDONTWRITEBYTECODE :=

NODE := $(abspath $(BIN))/python -m localcloud.node
BIOME := $(NODE) infra/dashboard/node_modules/.bin/biome
LOCALCLOUD := packages/localcloud/tests
COSTLIEST := $(addprefix $(LOCALCLOUD)/unit/log/,test_partition_model.py test_compaction_model.py) \
	$(addprefix tests/unit/,trending library/test_two_owners.py history/test_archive_index.py)
AZURITE := packages/localcloud/src/localcloud/blobs/node_modules/.package-lock.json
DASHBOARD := infra/dashboard/node_modules/.package-lock.json

.PHONY: up test test-all test-emulators unit coverage fuzz chaos rebuilds check format bench azurite browser vendor lock schemas clean

up: $(VENV)/.run $(AZURITE)
	@exec $(BIN)/songline up $(ARGS)

test: $(VENV)/.bytecode $(AZURITE) browser
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not long" $(ARGS)

test-all: $(VENV)/.dev $(AZURITE) browser   ## what `make test` leaves out: long tests, and more examples of the costliest random ones
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m long $(ARGS)
	FUZZ_FACTOR=6 $(BIN)/pytest -q -n 2 --dist load $(COSTLIEST)

test-emulators: $(VENV)/.dev   ## the product on Microsoft's emulators; needs Docker, and .env filled in
	SONGLINE_TEST_EMULATORS=on $(BIN)/pytest -s tests/emulators $(ARGS)

unit: $(VENV)/.bytecode ## the unit tests alone, which start no process of the product
	$(BIN)/pytest -n $(WORKERS) --dist loadfile tests/unit $(LOCALCLOUD)/unit $(ARGS)

coverage: $(VENV)/.bytecode $(AZURITE)   ## which lines `make test` runs, in the processes that it starts too
	@rm -rf .coverage && mkdir .coverage
	$(BIN)/coverage run -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not long" $(ARGS)
	@$(BIN)/coverage combine -q && $(BIN)/coverage report && $(BIN)/coverage html -q -d .coverage/html

fuzz: export FUZZ_SECONDS := $(or $(FUZZ_SECONDS),600)
fuzz: export FUZZ_SEED := $(FUZZ_SEED)
fuzz: $(VENV)/.dev      ## the random tests by new seeds for FUZZ_SECONDS, or from FUZZ_SEED on
	$(BIN)/python -m tests.fuzz $(ARGS)

chaos: $(VENV)/.dev $(AZURITE)   ## libraries, rebuilds and switches at their full size
	SONGLINE_CHAOS_EVENTS=200000 $(BIN)/pytest tests/chaos/test_library.py $(ARGS)
	SONGLINE_REBUILD_EVENTS=200000 SONGLINE_REBUILD_KILLS=5 SONGLINE_REBUILD_RATE=1000 SONGLINE_REBUILD_MINUTES=$(or $(MINUTES),10) $(BIN)/pytest -s tests/chaos/test_rebuilds.py $(ARGS)
	SONGLINE_SWITCH_READS=200 SONGLINE_SWITCHES=20 $(BIN)/pytest tests/integration/projections/test_version_switch.py $(ARGS)

REBUILD := SONGLINE_REBUILD_KILLS=5 SONGLINE_REBUILD_RATE=1000 $(BIN)/pytest -s tests/chaos/test_rebuilds.py -k killed
rebuilds: $(VENV)/.dev $(AZURITE)   ## one rebuild of 2,000,000 events, and ROUNDS (20) of 200,000, each killed five times
	SONGLINE_REBUILD_EVENTS=2000000 $(REBUILD) $(ARGS)
	for round in $$(seq $(or $(ROUNDS),20)); do SONGLINE_REBUILD_EVENTS=200000 $(REBUILD) $(ARGS) || exit 1; done

check: $(VENV)/.dev $(DASHBOARD)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIOME) check --error-on-warnings
	$(NODE) infra/dashboard/node_modules/.bin/tsc

format: $(VENV)/.dev $(DASHBOARD)   ## write what `make check` can mend by itself
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIOME) check --write

bench: $(VENV)/.dev
	$(BIN)/python -m bench $(ARGS)

schemas: $(VENV)/.dev   ## write schemas/published/, and what Bicep reads, again from the types
	$(BIN)/python -m songline.schemas.publish
	$(BIN)/python -m songline.api.openapi
	$(BIN)/python -m songline.api.declarations
	$(BIN)/python -m songline.deployment.publish

vendor: $(DASHBOARD)    ## copy again what the page has of others
	$(NODE) infra/dashboard/vendor.js

browser:                ## a Chromium for the tests of the page, where apt can bring one; without one these are skipped
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { test "$$(id -u)" = 0 && apt-get update -qq >/dev/null 2>&1; test "$$(id -u)" = 0 && apt-get install -y -qq --no-install-recommends chromium >/dev/null 2>&1; } || echo "There is no Chromium: the page's tests will be skipped. apt-get install chromium, as root, brings it."

azurite: $(AZURITE)     ## install the local Blob service, and Node for it where there is none

# Production has no localcloud; this machine has all.
COMPILE := $(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
PRODUCTION := --extra api --extra cli --extra entra --extra history --extra workers
LOCAL := pyproject.toml --all-extras --no-emit-package localcloud-azure --group build
lock: $(VENV)/.dev      ## resolve pyproject.toml again
	$(COMPILE) pyproject.toml $(PRODUCTION) -o requirements/run.txt
	$(COMPILE) $(LOCAL) -c requirements/run.txt -o requirements/local.txt
	$(COMPILE) $(LOCAL) --group dev -c requirements/local.txt -o requirements/dev.txt
	$(COMPILE) --group build -c requirements/local.txt -o requirements/build.txt
	$(COMPILE) --group node -o requirements/node.txt
	$(COMPILE) --group proton -c requirements/dev.txt -o requirements/proton.txt

clean:
	rm -rf $(VENV) packages/localcloud/src/localcloud/blobs/node_modules infra/dashboard/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit(f"Songline needs Python 3.11 or newer, and $(PYTHON) is {sys.version.split()[0]}. Try: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements/local.txt pyproject.toml packages/localcloud/pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/local.txt
	$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e packages/localcloud -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.run
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/proton.txt >/dev/null 2>&1 || echo "Without a C compiler there is no Qpid Proton: its tests will be skipped."
	@touch $@

# Each process of pytest collects all tests. In a new clone all six would compile the same files: two do so before. They
# run a random test of texts each, since hypothesis then makes its tables of Unicode, and keeps them.
COLLECT := $(BIN)/pytest -qq -p no:cacheprovider
$(VENV)/.bytecode: | $(VENV)/.dev
	@$(COLLECT) tests -k the_sdk_gives_it >/dev/null 2>&1 & $(COLLECT) $(LOCALCLOUD) -k decodes_to_the_same_value >/dev/null 2>&1; wait
	@touch $@

# Node is the machine's own where it is new enough, else that of a Python package.
define with_node
@$(NODE) >/dev/null 2>&1 || $(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/node.txt
endef

$(AZURITE): packages/localcloud/src/localcloud/blobs/package-lock.json | $(VENV)/.run
	$(with_node)
	cd $(dir $<) && $(NODE) npm ci --ignore-scripts --no-progress
	@touch $@

$(DASHBOARD): infra/dashboard/package-lock.json | $(VENV)/.run
	$(with_node)
	cd $(dir $<) && $(NODE) npm ci --ignore-scripts --no-progress
	@touch $@
