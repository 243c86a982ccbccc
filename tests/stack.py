"""Router, workers and API as processes, on a given Valkey and given model servers."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.support import free_port, start_process, stop_process, wait_until

TERMINAL = {"completed", "failed", "cancelled", "expired", "incomplete"}


class Stack:
    """A fleet without `fleet up`: each process may be started, ended and killed alone."""

    def __init__(self, folder: Path, redis_url: str, config: str, **env: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.config = folder / "fleet.toml"
        self.config.write_text(config, encoding="utf-8")
        self.env = {
            "FLEET_CONFIG": str(self.config),
            "FLEET_REDIS_URL": redis_url,
            "FLEET_API__PORT": str(self.port),
            # What tells the fake servers how to behave looks like code to an embedding.
            "FLEET_ROUTER__CLASSIFIER": "keywords",
            **env,
        }
        #: The latest process of each name, and all that were ever started.
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._started: list[subprocess.Popen[bytes]] = []
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = httpx.Client(base_url=self.url, timeout=30, trust_env=False)

    def start(self, name: str, *command: str, **env: str) -> "subprocess.Popen[bytes]":
        """Start one process; its output goes to a file of that name."""
        process = start_process(
            [sys.executable, "-m", *command],
            self.folder / f"{name}.log",
            env={**self.env, **env},
        )
        self.processes[name] = process
        self._started.append(process)
        return process

    def start_api(self, *options: str) -> None:
        """Start the API; `options` are uvicorn's."""
        self.start(
            "api", "uvicorn", "--factory", "api.app:create_app", "--port", str(self.port),
            "--no-access-log", "--timeout-graceful-shutdown", "2",
            "--http", "api.connection:Connection", *options,
        )  # fmt: skip

    def start_router(self, queues: str = "router,webhooks") -> None:
        """Start a router."""
        self.start("router", "celery", "-A", "router", "worker", "-Q", queues)

    def start_worker(self, model: str, **env: str) -> "subprocess.Popen[bytes]":
        """Start a worker for the model, as the strategy's readers would."""
        return self.start(
            f"worker-{model}", "celery", "-A", "workers", "worker", "-Q", model, **env
        )

    def start_all(self, *models: str) -> None:
        """Start an API, a router and a worker for each of the models, and wait for them."""
        self.start_api()
        self.start_router()
        for model in models:
            self.start_worker(model)
        self.wait_ready(*models)

    def wait_ready(self, *models: str) -> None:
        """Wait until the API counts a router and a worker for each of the models."""

        def ready() -> bool:
            try:
                report = self.client.get("/health").json()
            except httpx.TransportError:
                return False
            workers = report.get("models", {})
            return bool(report.get("router", {}).get("workers")) and all(
                workers[model]["workers"] for model in models
            )

        wait_until(ready, f"the fleet in {self.folder} is ready", 60)

    def stop(self) -> None:
        """End everything."""
        self.client.close()
        for process in self._started:
            process.terminate()
        for process in self._started:
            stop_process(process)

    def post(self, text: str = "Write a haiku", **fields: Any) -> str:
        """Post a job; its id. What tells a fake server how to behave is no word for a router, so
        such a job names its model.
        """
        if "[[fake" in text:
            fields = {"model": "fast", **fields}
        reply = self.client.post("/v1/jobs", json={"message": text, **fields})
        assert reply.status_code == 202, reply.text
        job_id: str = reply.json()["id"]
        return job_id

    def job(self, job_id: str, wait: float = 0) -> dict[str, Any]:
        """The job as the API shows it; `wait` is in seconds."""
        reply = self.client.get(f"/v1/jobs/{job_id}", params={"wait": wait})
        assert reply.status_code == 200, reply.text
        shown: dict[str, Any] = reply.json()
        return shown

    def ended(self, job_id: str, timeout: float = 20) -> dict[str, Any]:
        """The job when it has ended."""
        shown = self.job(job_id, wait=timeout)
        assert shown["status"] in TERMINAL, shown
        return shown

    def until_status(self, job_id: str, status: str) -> None:
        """Wait until the job has that status."""
        wait_until(lambda: self.job(job_id)["status"] == status, f"{job_id} is {status}")

    def events(
        self, job_id: str, after: int | None = None
    ) -> list[tuple[int, str, dict[str, Any]]]:
        """Follow the job to its end: (number, kind, data) of each event."""
        with self.reading(job_id, after) as stream:
            return list(stream)

    @contextmanager
    def reading(
        self, job_id: str, after: int | None = None
    ) -> Iterator[Iterator[tuple[int, str, dict[str, Any]]]]:
        """An open stream of the job's events."""
        headers = {} if after is None else {"Last-Event-ID": str(after)}
        with self.client.stream("GET", f"/v1/jobs/{job_id}/events", headers=headers) as reply:
            assert reply.status_code == 200, reply.read()
            yield frames(reply.iter_lines())


def frames(lines: Iterator[str]) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Server-sent events as a browser would read them."""
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line:
            fields[name] = value
        elif "data" in fields:
            yield int(fields["id"]), fields["event"], json.loads(fields["data"])
            fields = {}
        else:
            fields = {}


def text_of(events: list[tuple[int, str, dict[str, Any]]]) -> str:
    """The answer that a reader of these events has on screen."""
    text = ""
    for _, kind, data in events:
        if kind == "restarted":
            text = ""
        text += data.get("content", "") if kind == "token" else ""
    return text
