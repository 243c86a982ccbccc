"""What becomes of jobs whose model would keep them waiting: each way, in every API."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis

from fleet.names import NODES_PREFIX, PACE
from tests.fakes.handle import Fake
from tests.integration.conftest import MODEL
from tests.stack import Stack
from tests.support import Valkey, wait_until

#: What a job of either local model takes, in seconds, as Redis is told.
TAKES_S = 40.0
LONG = "Hi [[fake n=4000 tps=50]]"
EASY = "Hello, how are you?"
CONFIG = """
[overflow]
max_wait_s = 5

[overflow.routes.large]
if_busy = "reject"
max_wait_s = 30

[workers]
drain_s = 0.1
"""
CLAUDE = """
[[models]]
name = "claude"
kind = "anthropic"
url = "{url}"
calls_per_day = 1
"""


@pytest.fixture(scope="module")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("overflow")
    valkey = Valkey(folder)
    valkey.start()
    fakes = {n: Fake("llama_server", folder / f"{n}.log", "--slots=1") for n in ("fast", "large")}
    fakes["claude"] = Fake("anthropic_api", folder / "claude.log")
    for fake in fakes.values():
        fake.start()
    entries = [
        MODEL.format(name=name, url=fakes[name].url, slots=1, context=4096)
        for name in ("fast", "large")
    ]
    config = CONFIG + "".join(entries) + CLAUDE.format(url=fakes["claude"].url)
    stack = Stack(folder, valkey.url, config, FLEET_MODELS__CLAUDE__ENABLED="true")
    stack.start_api()
    stack.start_router()
    stack.start_worker("fast")
    stack.start_worker("large")
    stack.start_worker("claude", ANTHROPIC_API_KEY="sk-test")
    stack.wait_ready("fast", "large", "claude")
    yield stack
    stack.stop()
    for fake in fakes.values():
        fake.close()
    valkey.stop()


@pytest.fixture
def stack(shared_stack: Stack) -> Iterator[Stack]:
    """Two local models of one slot whose jobs take long, and in which nobody has a job."""
    with Redis.from_url(shared_stack.env["FLEET_REDIS_URL"]) as client:
        for name in ("fast", "large"):
            client.hset(PACE, name, f"{TAKES_S * 1000} 0.0 32")
    yield shared_stack
    for job in shared_stack.client.get("/v1/jobs?limit=200").json()["jobs"]:
        if job["finished_at"] is None:
            shared_stack.client.post(f"/v1/jobs/{job['id']}/cancel")


def occupy(stack: Stack, *models: str) -> None:
    for job_id in [stack.post(LONG, model=model) for model in models]:
        stack.until_status(job_id, "running")


def routed(stack: Stack, job_id: str) -> dict[str, Any]:
    """The job when the router has decided."""
    return wait_until(
        lambda: job if (job := stack.job(job_id))["status"] != "queued" else {}, "it is decided"
    )


def test_a_job_is_told_how_long_it_will_wait_and_waits(stack: Stack) -> None:
    free = stack.client.post("/v1/jobs", json={"message": EASY, "model": "fast"}).json()
    assert (free["predicted_wait_s"], free["queue_position"]) == (0.0, 0)
    stack.ended(free["id"])
    occupy(stack, "fast")
    told = []
    for _ in range(2):
        told.append(stack.client.post("/v1/jobs", json={"message": EASY, "model": "fast"}).json())
        routed(stack, told[-1]["id"])
    assert told[0]["predicted_wait_s"] == pytest.approx(TAKES_S, abs=5)
    assert told[1]["predicted_wait_s"] == pytest.approx(2 * TAKES_S, abs=7)
    assert [one["queue_position"] for one in told] == [0, 1]
    job = stack.job(told[1]["id"])
    assert (job["model"], job["status"]) == ("fast", "routed")
    assert job["predicted_wait_s"] == pytest.approx(2 * TAKES_S, abs=7)


def test_a_busy_models_job_goes_to_another_local_one_if_it_may(stack: Stack) -> None:
    occupy(stack, "fast")
    stays = routed(stack, stack.post(EASY))
    assert (stays["model"], stays["route"]) == ("fast", "fast")
    job = stack.ended(stack.post(EASY, if_busy="overflow"))
    assert (job["status"], job["model"], job["route"]) == ("completed", "large", "fast")
    assert job["plan"][:2] == ["large", "fast"]
    assert "would keep it waiting about" in job["reasons"][-1]
    assert "'large' instead" in job["reasons"][-1]
    named = stack.ended(stack.post(EASY, model="fast", if_busy="overflow"))
    assert named["model"] == "large"


def test_a_bound_is_lowered_by_the_time_within_which_a_job_must_begin(stack: Stack) -> None:
    with Redis.from_url(stack.env["FLEET_REDIS_URL"]) as client:
        client.hset(PACE, "fast", "4500.0 0.0 32")
    occupy(stack, "fast")
    time.sleep(0.3)  # as long as it is not looked again
    patient = routed(stack, stack.post(EASY, if_busy="overflow"))
    assert patient["model"] == "fast"
    hasty = routed(stack, stack.post(EASY, if_busy="overflow", start_timeout_s=2))
    assert hasty["model"] == "large"


def test_claude_is_asked_only_when_all_local_models_are_busy_and_under_its_cap(
    stack: Stack,
) -> None:
    occupy(stack, "fast", "large")
    waits = routed(stack, stack.post(EASY))
    assert waits["model"] == "fast"
    first = stack.ended(stack.post(EASY, if_busy="overflow"))
    assert (first["status"], first["model"]) == ("completed", "claude")
    second = stack.post(EASY, if_busy="overflow")
    wait_until(lambda: stack.job(second)["model"] in ("fast", "large"), "it waits for a local one")
    with Redis.from_url(stack.env["FLEET_REDIS_URL"], decode_responses=True) as client:
        [node] = client.scan_iter(f"{NODES_PREFIX}router*")
        wait_until(lambda: "claude" in json.loads(client.get(node))["spent"], "it is told", 20)
    asked = stack.client.post("/v1/jobs", json={"message": EASY, "model": "claude"}).json()
    assert asked["predicted_wait_s"] > 5


def test_who_does_not_want_to_wait_is_told_so_in_its_own_apis_words(stack: Stack) -> None:
    occupy(stack, "fast", "large")
    message = [{"role": "user", "content": EASY}]
    asks: dict[str, dict[str, Any]] = {
        "/v1/jobs": {"message": EASY},
        "/v1/chat/completions": {"messages": message},
        "/v1/responses": {"input": EASY},
        "/v1/messages": {"messages": message, "model": "auto", "max_tokens": 9},
    }
    for path, body in asks.items():
        by_body = stack.client.post(path, json={**body, "if_busy": "reject"})
        replies = [by_body]
        if path != "/v1/jobs":
            head = {"x-fleet-if-busy": "reject"}
            replies.append(stack.client.post(path, json=body, headers=head))
        for reply in replies:
            assert reply.status_code == 503, (path, reply.text)
            assert 1 <= int(reply.headers["retry-after"]) <= 60
            error = reply.json()["error"]
            assert "would keep it waiting about" in error["message"]
            assert error.get("code", "too_busy") == "too_busy"
    assert (
        stack.client.post("/v1/messages", json=asks["/v1/messages"] | {"if_busy": "reject"}).json()[
            "error"
        ]["type"]
        == "overloaded_error"
    )


def test_a_refused_post_leaves_its_idempotency_key_and_a_made_job_is_found(stack: Stack) -> None:
    key, body = {"Idempotency-Key": "once"}, {"message": EASY, "if_busy": "reject"}
    occupy(stack, "fast", "large")
    assert stack.client.post("/v1/jobs", json=body, headers=key).status_code == 503
    for job in stack.client.get("/v1/jobs").json()["jobs"]:
        stack.client.post(f"/v1/jobs/{job['id']}/cancel")
    made = stack.client.post("/v1/jobs", json=body, headers=key)
    assert made.status_code == 202
    stack.ended(made.json()["id"])
    occupy(stack, "fast", "large")
    again = stack.client.post("/v1/jobs", json=body, headers=key)
    assert (again.status_code, again.json()["id"]) == (202, made.json()["id"])


def test_a_route_has_its_own_rule(stack: Stack) -> None:
    occupy(stack, "large", "fast")
    assert routed(stack, stack.post(EASY, model="fast"))["status"] == "routed"
    reply = stack.client.post("/v1/jobs", json={"message": EASY, "model": "large"})
    assert reply.status_code == 503
    assert "longer than 30 s" in reply.json()["error"]["message"]
    by_itself = stack.client.post(
        "/v1/jobs", json={"message": EASY, "model": "large", "if_busy": "wait"}
    )
    assert by_itself.status_code == 202


def test_the_router_refuses_what_the_post_could_not_know(stack: Stack) -> None:
    occupy(stack, "fast")
    job = stack.ended(stack.post(EASY, if_busy="reject"))
    assert (job["status"], job["error"]["code"]) == ("failed", "too_busy")
    assert "'fast' would keep it waiting" in job["error"]["message"]


def test_an_unknown_way_to_wait_is_refused_by_name(stack: Stack) -> None:
    message = [{"role": "user", "content": EASY}]
    head = {"x-fleet-if-busy": "never"}
    asks: dict[str, dict[str, Any]] = {
        "/v1/chat/completions": {"messages": message},
        "/v1/responses": {"input": EASY},
        "/v1/messages": {"messages": message, "model": "auto", "max_tokens": 9},
    }
    for path, body in asks.items():
        by_body = stack.client.post(path, json={**body, "if_busy": "never"})
        by_head = stack.client.post(path, json=body, headers=head)
        assert (by_body.status_code, by_head.status_code) == (400, 400), path
        assert "if_busy" in by_body.json()["error"]["message"]
        assert "x-fleet-if-busy" in by_head.json()["error"]["message"]
