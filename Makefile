# Every target makes ready what it needs first (scripts/setup); nothing has to be installed by hand.
.DEFAULT_GOAL := help
.PHONY: help demo test lint faults scenarios mutants bench man schema pin clean
PYTEST_ARGS ?=

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## the whole story on this machine in about a minute
	@scripts/setup run
	.venv/bin/watchdog demo

test: lint ## ruff, mypy and all tests (as root also those with a real systemd)
	@scripts/run-tests $(PYTEST_ARGS)

lint: ## ruff and mypy
	@scripts/setup test
	.venv/bin/ruff check . && .venv/bin/ruff format --check --quiet .
	.venv/bin/mypy

faults: ## the fault tests, and a table: number, injection, restarts, messages
	@scripts/setup test
	.venv/bin/python scripts/tables.py faults $(PYTEST_ARGS)

scenarios: ## model servers that fail as they really do, and a table: what was detected, after how long, restarts
	@scripts/setup test
	.venv/bin/python scripts/tables.py scenarios $(PYTEST_ARGS)

mutants: ## takes the guards out of the code one by one; each must make a test fail
	@scripts/setup test
	.venv/bin/python scripts/mutants.py $(MUTANTS)

bench: ## what it costs and how fast it is, beside Monit
	@scripts/setup bench
	.venv/bin/python bench/run.py

man: ## docs/watchdog.1, from the commands' own parsers
	@scripts/setup test
	.venv/bin/python scripts/man.py

schema: ## docs/config.schema.json, from the classes of the options
	@scripts/setup test
	.venv/bin/watchdog schema > docs/config.schema.json

pin: ## the newest versions of all dependencies into requirements*.txt
	scripts/pin

clean: ## removes what the targets made
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
