# What a developer can do here. Everything runs from .venv, which the first target makes.

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-openstack test test-cloud test-unit check checks-page benchmarks-page manual format \
        lock lab-down prove-bare clean

BIN := .venv/bin
ARGS ?=

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo '  ARGS="..." is handed on: make demo ARGS="-f json", make test-unit ARGS="-k journal"'

setup: ## install what is missing: Debian packages, and Python ones into .venv
	@scripts/setup.sh

demo: setup ## set up, then move a busy guest between two hosts on this machine
	@$(BIN)/postcopy demo $(ARGS)

demo-openstack: ## the same in a cloud: OpenStack on this machine, whose Nova moves the guest
	@scripts/setup.sh --cloud
	@$(BIN)/postcopy demo --openstack $(ARGS)

test: ## set up, then run every test, those of the lab included (as root)
	@scripts/setup.sh --test
	@POSTCOPY_REQUIRE_LAB=1 $(BIN)/pytest -n 2 tests/unit tests/lab $(ARGS)

test-cloud: ## the tests of the lab's cloud: OpenStack, in minutes (as root)
	@scripts/setup.sh --test
	@POSTCOPY_REQUIRE_LAB=1 $(BIN)/pytest tests/lab -m cloud $(ARGS)

test-unit: ## run the unit tests alone: seconds, and no root (after make setup or check)
	@scripts/setup.sh --check
	@$(BIN)/pytest tests/unit $(ARGS)

check: ## ruff, mypy --strict, and the rule that lower rooms never import upper ones
	@scripts/setup.sh --check
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

manual: ## write docs/man/postcopy.1 anew after a change of the commands
	@scripts/setup.sh --check
	@$(BIN)/python -m postcopy.cli.manual >docs/man/postcopy.1.new
	@mv docs/man/postcopy.1.new docs/man/postcopy.1

format: ## let ruff mend what it can
	@scripts/setup.sh --check
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

checks-page: ## write docs/checks.md anew after a change of the checks
	@scripts/setup.sh --check
	@$(BIN)/python -m postcopy.doctor.page >docs/checks.md.new
	@mv docs/checks.md.new docs/checks.md

benchmarks-page: ## write docs/benchmarks.md anew after benchmarks: what is on record
	@scripts/setup.sh --check
	@$(BIN)/python -m postcopy.bench.document docs/benchmarks.md

lock: ## write uv.lock anew after a change of the dependencies
	@scripts/setup.sh --check
	@$(BIN)/uv lock --no-config --upgrade $(ARGS)

lab-down: ## take the lab down, with everything it started
	@if [ -x $(BIN)/postcopy ]; then $(BIN)/postcopy lab down $(ARGS); fi

prove-bare: ## the demo and all tests in a bare Debian 12 with nothing but git and make (as root)
	@scripts/bare-root.sh $(ARGS)

clean: ## remove .venv and what the tools left here (not the lab's cache)
	@rm -rf .venv .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
