"""Redis goes away in the middle of everything and comes back."""

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from fleet.message import encode
from fleet.names import RUN_TASK
from fleet.scripts import CREATE
from tests.fakes.handle import Fake
from tests.integration.conftest import MODEL
from tests.relay import Relay
from tests.stack import Stack, text_of
from tests.support import Valkey, free_port, wait_for_line, wait_until


@pytest.fixture
def stack(tmp_path: Path, own_valkey: Valkey) -> Iterator[Stack]:
    fast = Fake("llama_server", tmp_path / "fast.log", "--slots=4")
    fast.start()
    config = "[workers]\ndrain_s = 0.5\n"
    config += MODEL.format(name="fast", url=fast.url, slots=4, context=4096)
    stack = Stack(tmp_path, own_valkey.url, config)
    stack.start_all("fast")
    yield stack
    stack.stop()
    fast.close()


def test_a_stream_and_everybody_in_it_outlive_a_restart_of_redis(
    stack: Stack, own_valkey: Valkey
) -> None:
    job_id = stack.post("Hi [[fake n=150 tps=40]]")
    with stack.reading(job_id) as stream:
        next(event for event in stream if " w20" in event[2].get("content", ""))
        own_valkey.kill()
        began = time.monotonic()
        refused = stack.client.post("/v1/jobs", json={"message": "anybody?"})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.json()["error"]["code"] == "store_unavailable"
        assert stack.client.get("/health").status_code == 503
        assert time.monotonic() - began < 1
        own_valkey.start()
        rest = list(stream)
    assert rest[-1][1] == "completed"
    events = stack.events(job_id)
    assert text_of(events) == "".join(f" w{n}" for n in range(150))
    assert [number for number, _, _ in events] == list(range(len(events)))
    assert "restarted" not in [kind for _, kind, _ in events]
    assert stack.ended(stack.post("Hi [[fake n=5]]"))["status"] == "completed"
    assert all(process.poll() is None for process in stack.processes.values())


@pytest.mark.parametrize("role", ["router", "worker"])
def test_who_waits_for_redis_at_start_still_hears_a_signal(tmp_path: Path, role: str) -> None:
    config = MODEL.format(name="fast", url="http://127.0.0.1:1", slots=1, context=4096)
    stack = Stack(tmp_path, f"redis://127.0.0.1:{free_port()}/0", config)
    if role == "router":
        stack.start_router()
    else:
        stack.start_worker("fast")
    [(name, process)] = stack.processes.items()
    wait_for_line(tmp_path / f"{name}.log", "waiting: Redis does not answer", process)
    process.terminate()
    process.wait(10)
    stack.stop()


def test_a_worker_whose_redis_is_gone_still_ends_when_told(
    stack: Stack, own_valkey: Valkey
) -> None:
    job_id = stack.post("Hi [[fake n=2000 tps=40]]")
    stack.until_status(job_id, "running")
    own_valkey.kill()
    worker = stack.processes["worker-fast"]
    worker.terminate()
    worker.wait(20)


def test_a_router_that_met_an_outage_loses_no_job(stack: Stack, own_valkey: Valkey) -> None:
    for _ in range(3):
        ids = [stack.post("Hi [[fake n=1]]") for _ in range(10)]
        own_valkey.kill()
        own_valkey.start()
        for job_id in ids:
            assert stack.ended(job_id, 25)["status"] == "completed"


@pytest.fixture
def relay(own_valkey: Valkey) -> Iterator[Relay]:
    with Relay(own_valkey.port) as relay:
        yield relay


def test_a_post_whose_answer_redis_took_to_its_grave_is_the_same_job_when_it_is_repeated(
    stack: Stack, own_valkey: Valkey, relay: Relay
) -> None:
    stack.processes["api"].terminate()
    stack.processes["api"].wait(10)
    stack.env["FLEET_REDIS_URL"] = own_valkey.url.replace(str(own_valkey.port), str(relay.port))
    stack.start_api()
    stack.wait_ready("fast")
    key = {"Idempotency-Key": "one-job-please"}
    body = {"message": "Hi [[fake n=5]]"}
    assert stack.ended(stack.post("Hi [[fake n=1]]"))["status"] == "completed"
    relay.swallow_after = CREATE.sha.encode()
    refused = stack.client.post("/v1/jobs", json=body, headers=key)
    relay.swallow_after = b""
    assert refused.status_code == 503
    made = wait_until(lambda: stack.client.get("/v1/jobs").json()["jobs"][:-1], "it was made")
    own_valkey.kill()
    own_valkey.start()
    again = stack.client.post("/v1/jobs", json=body, headers=key)
    assert again.status_code == 202
    assert [again.json()["id"]] == [job["id"] for job in made]
    assert stack.ended(again.json()["id"], 25)["status"] == "completed"
    other = stack.client.post("/v1/jobs", json={"message": "another body"}, headers=key)
    assert other.status_code == 409
    assert len(stack.client.get("/v1/jobs").json()["jobs"]) == 2


def test_who_has_waited_long_for_redis_is_soon_back_at_work(
    stack: Stack, own_valkey: Valkey
) -> None:
    own_valkey.kill()
    time.sleep(6)  # pauses between tries grow meanwhile
    own_valkey.start()
    began = time.monotonic()
    assert stack.ended(stack.post("Hi [[fake n=1]]"))["status"] == "completed"
    assert time.monotonic() - began < 5


def test_a_host_whose_clock_is_wrong_changes_nothing(stack: Stack) -> None:
    skewed = {"PYTHONPATH": str(Path(__file__).parents[1] / "fakes" / "clock")}
    for name, hours in (("router", "-5"), ("worker-fast", "7")):
        stack.processes[name].terminate()
        stack.processes[name].wait(10)
        role = {"router": "router", "worker-fast": "workers"}[name]
        queue = {"router": "router", "worker-fast": "fast"}[name]
        stack.start(name, "celery", "-A", role, "worker", "-Q", queue, **skewed, HOURS_OFF=hours)
    stack.wait_ready("fast")
    ids = [stack.post("Hi [[fake n=40 tps=20]]", deadline_s=20) for _ in range(4)]
    for job_id in ids:
        job = stack.ended(job_id)
        assert (job["status"], job["attempt"]) == ("completed", 1)
        assert 0 <= job["started_at"] - job["created_at"] < 5_000


def test_a_full_memory_keeps_new_jobs_out_and_lets_the_others_end(
    stack: Stack, own_valkey: Valkey
) -> None:
    running = stack.post("Hi [[fake n=60 tps=40]]")
    waiting = [stack.post("Hi [[fake n=20 tps=40]]") for _ in range(6)]
    cancelled = stack.post("Hi [[fake n=60 tps=40]]")
    stack.until_status(running, "running")
    with Redis.from_url(own_valkey.url) as client:
        client.config_set("maxmemory", "1")
        refused = stack.client.post("/v1/jobs", json={"message": "one more"})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert "memory" in refused.json()["error"]["message"]
        assert stack.client.get("/ready").status_code == 503
        assert stack.client.post(f"/v1/jobs/{cancelled}/cancel").json()["status"] == "cancelled"
        job = stack.ended(running)
        assert (job["status"], job["attempt"]) == ("completed", 1)
        for job_id in waiting:
            assert stack.ended(job_id)["status"] == "completed"
        health = stack.client.get("/health").json()
        assert health["models"]["fast"]["workers"] == 1
        client.config_set("maxmemory", "0")
    assert stack.ended(stack.post("Hi [[fake n=1]]"))["status"] == "completed"


def test_what_is_no_message_in_a_queue_ends_nobody(stack: Stack, own_valkey: Valkey) -> None:
    real = json.loads(encode(RUN_TASK, "job_x", "x", "fast", 3))
    bodies = [b'["x"]', b"5", b"{}", b"\x80\x04not json", b"[[], {}, {}]"]
    odd: list[Any] = [{**real, "body": base64.b64encode(body).decode()} for body in bodies]
    odd += [{**real, "headers": {}}, {**real, "properties": {}}, {}, ["x"], 5, "words"]
    junk = [b"\x80\x04K\x05.", b"", b"{", *(json.dumps(each).encode() for each in odd)]
    with Redis.from_url(own_valkey.url) as client:
        for queue in ("fast", "router"):
            for each in junk:
                client.lpush(queue, each)
        for _ in range(5):
            assert stack.ended(stack.post("Hi [[fake n=3]]"))["status"] == "completed"
        wait_until(lambda: not client.exists("fast", "router"), "all of it was read")
    assert all(process.poll() is None for process in stack.processes.values())
