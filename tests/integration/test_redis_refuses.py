"""Redis hangs, or takes no changes: the API says so at once, and what it is."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis

from tests.integration.conftest import MODEL
from tests.stack import Stack
from tests.support import Valkey, free_port, wait_until


@pytest.fixture
def api(tmp_path: Path, own_valkey: Valkey) -> Iterator[Stack]:
    """An API alone, with a Redis that a test may spoil."""
    config = MODEL.format(name="fast", url="http://127.0.0.1:1", slots=1, context=4096)
    stack = Stack(tmp_path, own_valkey.url, config)
    stack.start_api()
    wait_until(lambda: ready(stack), "the API is ready", 20)
    yield stack
    stack.stop()


@pytest.fixture
def redis(own_valkey: Valkey) -> Iterator[Redis]:
    with Redis.from_url(own_valkey.url, decode_responses=True) as client:
        yield client


def ready(stack: Stack) -> bool:
    try:
        return stack.client.get("/ready").status_code == 200
    except httpx.TransportError:
        return False


def writes(stack: Stack, job_id: str) -> dict[str, Callable[[], httpx.Response]]:
    """The requests that change something."""
    body = {"message": "anybody?"}
    return {
        "post": lambda: stack.client.post("/v1/jobs", json=body),
        "stream": lambda: stack.client.post("/api/chat/stream", json=body),
        "cancel": lambda: stack.client.post(f"/v1/jobs/{job_id}/cancel"),
    }


def reads(stack: Stack, job_id: str) -> dict[str, Callable[[], httpx.Response]]:
    """The requests that only look."""
    return {
        "get": lambda: stack.client.get(f"/v1/jobs/{job_id}"),
        "wait": lambda: stack.client.get(f"/v1/jobs/{job_id}?wait=20"),
        "events": lambda: stack.client.get(f"/v1/jobs/{job_id}/events"),
        "list": lambda: stack.client.get("/v1/jobs"),
    }


def error_of(reply: httpx.Response) -> dict[str, Any]:
    assert reply.status_code == 503, reply.text
    assert reply.headers["retry-after"] == "1"
    error: dict[str, Any] = reply.json()["error"]
    assert (error["code"], error["fault"]) == ("store_unavailable", "fleet")
    return error


def refuses_to_write(stack: Stack, job_id: str, told: str, but: str = "") -> None:
    """Every change (but one) is refused with that word, and so does the API say of itself."""
    for name, ask in writes(stack, job_id).items():
        if name == but:
            continue
        assert told in error_of(ask())["message"], name
    assert stack.client.get(f"/v1/jobs/{job_id}").json()["status"] == "queued"
    not_ready = stack.client.get("/ready")
    assert not_ready.status_code == 503
    assert told in not_ready.json()["reason"]
    health = stack.client.get("/health")
    assert (health.status_code, health.json()["status"]) == (503, "down")
    assert told in health.json()["problems"][0]


def test_a_redis_that_hangs_holds_no_request_and_is_back_as_soon_as_it_answers(
    api: Stack, own_valkey: Valkey
) -> None:
    job_id = api.post()
    os.kill(own_valkey.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        error_of(api.client.post("/v1/jobs", json={"message": "the first to find out"}))
        assert 1 < time.monotonic() - began < 2.5
        for name, ask in {**writes(api, job_id), **reads(api, job_id)}.items():
            began = time.monotonic()
            assert "does not answer" in error_of(ask())["message"]
            assert time.monotonic() - began < 0.5, name
        for path in ("/ready", "/health"):
            began = time.monotonic()
            assert api.client.get(path).status_code == 503
            assert time.monotonic() - began < 0.5, path
    finally:
        os.kill(own_valkey.pid, signal.SIGCONT)
    wait_until(lambda: ready(api), "the API is ready again", 2)
    assert api.job(job_id)["status"] == "queued"


def test_a_redis_that_is_dead_is_told_at_once_by_every_endpoint(
    api: Stack, own_valkey: Valkey
) -> None:
    job_id = api.post()
    own_valkey.kill()
    for name, ask in {**writes(api, job_id), **reads(api, job_id)}.items():
        began = time.monotonic()
        assert "does not answer" in error_of(ask())["message"]
        assert time.monotonic() - began < 0.5, name


def test_a_full_memory_is_named(api: Stack, redis: Redis) -> None:
    job_id = api.post()
    redis.config_set("maxmemory", "1mb")
    refuses_to_write(api, job_id, "Redis' memory is full", but="cancel")
    assert api.client.post(f"/v1/jobs/{job_id}/cancel").json()["status"] == "cancelled"
    redis.config_set("maxmemory", "0")
    assert api.post()
    assert ready(api)


def test_a_disk_that_takes_nothing_is_named(api: Stack, own_valkey: Valkey, redis: Redis) -> None:
    job_id = api.post()
    (own_valkey.folder / "dump.rdb").mkdir()  # a snapshot cannot take its place
    redis.config_set("save", "3600 1")
    redis.bgsave()
    wait_until(lambda: redis.info()["rdb_last_bgsave_status"] == "err", "the snapshot has failed")
    refuses_to_write(api, job_id, "cannot write to its disk")
    (own_valkey.folder / "dump.rdb").rmdir()
    redis.bgsave()
    wait_until(lambda: ready(api), "the snapshot has been written")
    redis.config_set("save", "")


def test_a_replica_is_named(api: Stack, redis: Redis) -> None:
    job_id = api.post()
    redis.replicaof("127.0.0.1", str(free_port()))
    refuses_to_write(api, job_id, "read-only replica")
    redis.replicaof("NO", "ONE")
    assert api.post()


def rewritten(redis: Redis) -> bool:
    info = redis.info("persistence")
    return not (info["aof_rewrite_in_progress"] or info["aof_rewrite_scheduled"])


def test_a_redis_that_still_loads_is_named_and_waited_for(
    api: Stack, own_valkey: Valkey, redis: Redis
) -> None:
    job_id = api.post()
    redis.mset({f"ballast:{n}": os.urandom(2_000) for n in range(300)})
    redis.bgrewriteaof()
    wait_until(lambda: rewritten(redis), "its data lie in a file that it loads key by key")
    redis.close()
    own_valkey.kill()
    own_valkey.options = {
        "key-load-delay": "10000",  # microseconds
        "loading-process-events-interval-bytes": "1024",
    }
    own_valkey.start(loaded=False)
    for name, ask in {**writes(api, job_id), **reads(api, job_id)}.items():
        assert "still loading" in error_of(ask())["message"], name
    assert "still loading" in api.client.get("/ready").json()["reason"]
    assert "still loading" in api.client.get("/health").json()["redis"]
    wait_until(lambda: ready(api), "it has loaded", 20)
    assert api.job(job_id)["status"] == "queued"
