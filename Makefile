# The one menu. `make help` lists it.

PYTHON ?= python3
CONTAINER ?= docker
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed
SOURCES := service model pipelines tests benchmarks
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help install demo test check test-fast test-slow fuzz bench evaluate image clean

help:  ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

install: $(READY)  ## Make .venv with everything in it

# The stamp makes an install that was cut short run again, and a finished one cost nothing.
$(READY): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "Slowwave needs Python 3.11 or newer, and there is no '$(PYTHON)'. Install it, or name one: make install PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Slowwave needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Name another one: make install PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/python -c 'import pip' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,evaluate,dev]'
	@touch $@

demo: $(READY)  ## Fetch MovieLens-100K, train, serve, recommend (ARGS="--no-serve" ends there)
	$(BIN)/slowwave demo $(ARGS)

test: check  ## Check, then all tests: what CI runs
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest --hypothesis-profile ci $(ARGS)
	@# Processes that the tests kill leave files that cannot be read; they are passed over
	$(BIN)/python -W ignore -m coverage combine --quiet
	$(BIN)/coverage report

check: $(READY)  ## Format, lint, types, import contracts, dependencies, dead code, spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .
	$(BIN)/vulture
	$(BIN)/codespell

test-fast: $(READY)  ## Tests that need no TensorFlow
	$(BIN)/pytest -m "not tf and not slow" $(ARGS)

test-slow: $(READY)  ## The other tests
	$(BIN)/pytest -m "tf or slow" $(ARGS)

fuzz: $(READY)  ## Long runs of the property tests, requests from the schema, sudden deaths
	$(BIN)/pytest -m "(hypothesis or fuzz) and not tf" --hypothesis-profile fuzz --timeout 1800 $(ARGS)
	$(BIN)/pytest tests/pipelines/test_night_failures.py --hypothesis-profile fuzz --timeout 1800

bench: $(READY)  ## Speed and size, as ratios against their baselines in one run
	$(BIN)/slowwave bench $(ARGS)

evaluate: $(READY)  ## Replay MovieLens-100K against baselines (ARGS="globo --data DIR")
	$(BIN)/slowwave evaluate $(or $(ARGS),ml-100k)

image: Dockerfile  ## Build the images slowwave:serve and slowwave:train
	$(CONTAINER) build --target serve -t slowwave:serve .
	$(CONTAINER) build --target train -t slowwave:train .

clean:  ## Delete caches and build results; keep .venv and data
	rm -rf build dist .coverage* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find $(SOURCES) -type d -name __pycache__ -prune -exec rm -rf {} +
