# Everything a contributor runs. `make` alone lists it.
# Python: make demo PYTHON=python3.13. The demo: PORT=8000, KEYS=20000, REDIS_URL=redis://... for a server of your own.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
DJADE = find templates example_project -name '*.html' -exec $(BIN)/djade --target-version 5.2
.DEFAULT_GOAL := help
.PHONY: help demo test lint format bench docs screenshots clean

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.13")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'

# One stamp per dependency group of pyproject.toml; it is installed again only when that file changes.
$(VENV)/installed-%: pyproject.toml | $(BIN)/python
	@echo "Installing ($*) ..." >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group $*
	@touch $@

demo: $(VENV)/installed-demo ## Start the example shop with a server of its own; Ctrl-C ends it
	@exec $(BIN)/python example_project/demo.py

test: $(VENV)/installed-test ## Run all tests; ARGS="-k name" runs some (then without the coverage gate)
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(if $(ARGS),$(ARGS),--cov --cov-report=term)

lint: $(VENV)/installed-dev ## Check style, types, templates and import layers
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(DJADE) --check {} +
	@$(BIN)/djlint --lint --quiet templates example_project
	@$(BIN)/lint-imports --no-cache

format: $(VENV)/installed-dev ## Put code and templates into the house style
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format
	@$(DJADE) {} + || $(DJADE) --check {} +  # it fails where it changed something; what is well now is no failure

BENCHMARKS ?= census sample pages purge cached_function invalidation warming middleware recording hit_rates
bench: $(VENV)/installed-test ## Measure speed, each figure as a ratio of one run; BENCHMARKS="census" runs one
	@set -e; for name in $(BENCHMARKS); do echo "== $$name"; $(BIN)/python -m benchmarks.$$name; done

docs: $(VENV)/installed-docs ## Build the documentation into docs/_build
	@$(BIN)/python -m sphinx --quiet --fail-on-warning docs docs/_build

screenshots: $(VENV)/installed-test ## Take the screenshots of the documentation
	@$(BIN)/python docs/screenshots.py

clean: ## Remove what these commands made, the virtual environment too
	rm -rf $(VENV) .nox build dist docs/_build example_project/.run .coverage .coverage.* htmlcov
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache
