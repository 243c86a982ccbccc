# Every target runs in the project's own environment; `uv sync --extra demo` makes it.
RUN = uv run --extra demo
# Two files of tests at a time; a file shares its servers.
TWO = -n 2 --dist loadfile

.PHONY: check format lint types contracts test e2e chaos chaos-long soak scorecard all wheel

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
	$(RUN) pytest $(TWO) -m "not e2e and not chaos"

e2e:  ## `fleet up` as processes, with a real llama-server and a real small model
	$(RUN) pytest -m e2e

chaos:  ## every fault under load, three times 100 s: no job lost, no token twice
	$(RUN) python -m tests.chaos run --seed 1 2 3

chaos-long:  ## over 10,000 jobs and 200 faults in one run, about twelve minutes
	$(RUN) python -m tests.chaos long

soak:  ## ten minutes of load without faults: memory, descriptors and keys stay flat
	$(RUN) python -m tests.chaos soak

scorecard:  ## the same kills against plain Celery and against the fleet
	$(RUN) python -m tests.chaos scorecard

all: lint types contracts
	$(RUN) pytest $(TWO)

wheel:  ## the built wheel in a clean environment: every command starts
	$(RUN) python .ci/wheel.py
