"""Who gets in, who goes first, who is sent away, and with what words."""

import time
from collections.abc import Iterator

import httpx
import pytest
from redis import Redis

from fleet.names import waiting_key
from tests.fakes.handle import Fake
from tests.integration.conftest import MODEL
from tests.stack import Stack
from tests.support import Valkey, wait_until

ALICE, BOB = "alice-has-this-key", "bob-has-another-key"
CONFIG = f"""
[api]
keys = {{ alice = "{ALICE}", bob = "{BOB}" }}

[limits]
queue_jobs = 30
caller_jobs = 20

[workers]
drain_s = 0.5
"""


@pytest.fixture(scope="module")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("admission")
    valkey = Valkey(folder)
    valkey.start()
    fake = Fake("llama_server", folder / "fast.log", "--slots=1")
    fake.start()
    config = CONFIG + MODEL.format(name="fast", url=fake.url, slots=1, context=4096)
    stack = Stack(folder, valkey.url, config)
    stack.client.headers["Authorization"] = f"Bearer {ALICE}"
    stack.start_all("fast")
    yield stack
    stack.stop()
    fake.close()
    valkey.stop()


@pytest.fixture
def stack(shared_stack: Stack) -> Iterator[Stack]:
    """A fleet of one slot in which nobody has a job, before and after."""
    yield shared_stack
    for key in (ALICE, BOB):
        headers = {"Authorization": f"Bearer {key}"}
        jobs = shared_stack.client.get("/v1/jobs?limit=200", headers=headers).json()["jobs"]
        for job in jobs:
            if job["finished_at"] is None:
                shared_stack.client.post(f"/v1/jobs/{job['id']}/cancel", headers=headers)


def post(stack: Stack, key: str, text: str, **fields: object) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"}
    return stack.client.post("/v1/jobs", json={"message": text, **fields}, headers=headers)


def waiting(stack: Stack) -> int:
    """How many jobs stand in the model's line."""
    with Redis.from_url(stack.env["FLEET_REDIS_URL"]) as client:
        return int(client.zcard(waiting_key("fast")))


def occupy(stack: Stack) -> str:
    """Take the only slot; the job's id."""
    job_id = stack.post("Hi [[fake n=4000 tps=50]]")
    stack.until_status(job_id, "running")
    return job_id


def test_one_keys_many_jobs_do_not_hold_up_another_keys_one(stack: Stack) -> None:
    first = occupy(stack)
    flood = [stack.post(f"Hi {n} [[fake n=2]]") for n in range(15)]
    for job_id in flood:
        stack.until_status(job_id, "routed")
    single = post(stack, BOB, "Hi [[fake n=2]]").json()["id"]
    bobs = {"Authorization": f"Bearer {BOB}"}
    wait_until(
        lambda: stack.client.get(f"/v1/jobs/{single}", headers=bobs).json()["status"] == "routed",
        "it stands in line",
    )
    stack.client.post(f"/v1/jobs/{first}/cancel")
    for job_id in flood:
        assert stack.ended(job_id)["status"] == "completed"
    began = [stack.job(job_id)["started_at"] for job_id in flood]
    mine = stack.client.get(f"/v1/jobs/{single}", headers=bobs).json()["started_at"]
    assert sum(at < mine for at in began) <= 1
    assert began == sorted(began)


def test_a_smaller_priority_goes_first(stack: Stack) -> None:
    first = occupy(stack)
    ids = {n: stack.post("Hi [[fake n=1]]", priority=n) for n in (9, 5, 4, 3, 0, 1)}
    for job_id in ids.values():
        stack.until_status(job_id, "routed")
    stack.client.post(f"/v1/jobs/{first}/cancel")
    for job_id in ids.values():
        stack.ended(job_id)
    began = {n: stack.job(job_id)["started_at"] for n, job_id in ids.items()}
    assert sorted(began, key=lambda n: began[n]) == sorted(ids)


def test_a_key_with_too_many_jobs_is_told_so_and_another_key_is_not(stack: Stack) -> None:
    for _ in range(20):
        assert post(stack, ALICE, "Hi [[fake n=4000 tps=50]]").status_code == 202
    refused = post(stack, ALICE, "one more")
    assert refused.status_code == 429
    error = refused.json()["error"]
    assert (error["code"], error["fault"]) == ("too_many_jobs", "caller")
    assert "caller_jobs" in error["message"]
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert post(stack, BOB, "Hi [[fake n=1]]").status_code == 202


def test_a_full_queue_says_how_long_it_would_take(stack: Stack) -> None:
    occupy(stack)
    for key, count in ((ALICE, 19), (BOB, 11)):
        for _ in range(count):
            assert post(stack, key, "Hi [[fake n=4000 tps=50]]").status_code == 202
    # A job in a router's hands stands in no line.
    wait_until(lambda: waiting(stack) == 30, "all of them stand in the model's line")
    refused = post(stack, BOB, "one more")
    assert refused.status_code == 503
    error = refused.json()["error"]
    assert (error["code"], error["fault"]) == ("queue_full", "fleet")
    assert "would wait about" in error["message"]
    assert error["retry_after_s"] >= 1
    assert int(refused.headers["retry-after"]) >= 1
    again = post(stack, BOB, "one more", model="fast")
    assert again.status_code == 503


def test_a_job_that_is_not_begun_in_time_is_given_up(stack: Stack) -> None:
    occupy(stack)
    began = time.monotonic()
    job_id = stack.post("too-late-to-be-begun", start_timeout_s=0.4)
    assert stack.ended(job_id)["status"] == "expired"
    assert 0.3 < time.monotonic() - began < 3
