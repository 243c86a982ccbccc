# Every target runs in the project's own environment; `uv sync --extra demo` makes it.
RUN = uv run --extra demo

.PHONY: check format lint types contracts test e2e all wheel

check: lint types contracts test  ## what every commit must pass

format:
	$(RUN) ruff format .
	$(RUN) ruff check --fix .

lint:
	$(RUN) ruff format --check .
	$(RUN) ruff check .

types:
	$(RUN) mypy

contracts:
	$(RUN) lint-imports

test:  ## unit and integration: real Valkey, real Celery workers, fake model servers
	$(RUN) pytest -m "not e2e"

e2e:  ## `fleet up` as processes, with a real llama-server and a real small model
	$(RUN) pytest -m e2e

all: lint types contracts
	$(RUN) pytest

wheel:  ## the built wheel in a clean environment: every command starts
	$(RUN) python .ci/wheel.py
