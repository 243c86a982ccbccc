"""Plain Celery as a fleet: the same workers, models and Redis, another application."""

import json

import httpx
from redis import Redis

from tests.chaos.fleet import APIS, MODELS, SLOTS, WORKERS, Fleet
from tests.support import wait_until


class PlainFleet(Fleet):
    """Two APIs and two workers for each of two models, with nothing of ours in between."""

    has_log = False
    parts = (*WORKERS, *APIS)

    def environment(self) -> dict[str, str]:
        """Where the models are."""
        return {"PLAIN_MODELS": json.dumps({n: self.servers[n].url for n in MODELS})}

    def command(self, name: str) -> list[str]:
        """How an operator starts it."""
        role, _, rest = name.partition("-")
        if role == "api":
            port = str(self._ports[name])
            return ["uvicorn", "tests.chaos.plain_api:api", "--port", port, "--no-access-log"]
        model = rest.partition("-")[0]
        return [
            "celery", "-A", "tests.chaos.plain_celery", "worker", "-Q", model,
            "-P", "threads", "-c", str(SLOTS), "-n", f"{rest}@plain",
        ]  # fmt: skip

    def wait_ready(self) -> None:
        """Return when every worker answers."""

        def ready() -> bool:
            try:
                workers = self.stack.client.get("/health").json()["workers"]
            except httpx.TransportError:
                return False
            return bool(workers == len(WORKERS))

        wait_until(ready, "plain workers answer", 30)

    def remarks_on(self, redis: Redis, ids: list[str]) -> dict[str, str]:
        """Where the message of a job is that has not ended."""
        waiting = str([redis.lrange(name, 0, -1) for name in self.queue_lists()])
        unacked = str(redis.hvals("unacked"))
        return {job_id: _whereabouts(job_id, waiting, unacked) for job_id in ids}


def _whereabouts(job_id: str, waiting: str, unacked: str) -> str:
    if job_id in waiting:
        return "its message waits in the queue"
    if job_id in unacked:
        return "its message waits for the visibility timeout"
    return "its message is gone for good"
