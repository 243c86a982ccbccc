"""The whole way of a webhook: posted with a job, told at its end, told again until it is heard."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from redis import Redis

from fleet.names import DUE_WEBHOOKS
from tests.fakes.handle import Fake
from tests.integration.conftest import CONFIG, MODEL
from tests.stack import Stack
from tests.support import Valkey, wait_until

#: A next try that is nearer than this is the end of a lease.
LEASE_MOST_MS = 60_000
#: Pauses so long that no next try comes by itself: tests move the times in Redis.
RULES = """
[webhooks]
allow_http = true
allow_private = true
attempts = 3
first_pause_s = 600
timeout_s = 2
per_host = 2
pending = 5
"""
KEYS = {"alice": "alices-key-0123456789", "bob": "bobs-key-0123456789"}
SECRET = "token=hidden"


class House:
    """A fleet whose jobs are told to a receiver."""

    def __init__(self, folder: Path) -> None:
        self.valkey = Valkey(folder)
        self.valkey.start()
        self.model = Fake("llama_server", folder / "fast.log", "--slots=8", "--name=fast")
        self.model.start()
        self.receiver = Fake("receiver", folder / "receiver.log")
        self.receiver.start()
        config = (
            CONFIG + RULES + MODEL.format(name="fast", url=self.model.url, slots=8, context=4096)
        )
        self.stack = Stack(folder, self.valkey.url, config, FLEET_API__KEYS=json.dumps(KEYS))
        self.stack.client.headers["Authorization"] = f"Bearer {KEYS['alice']}"
        self.redis: Any = Redis.from_url(self.valkey.url, decode_responses=True)
        self.stack.start_all("fast")

    def close(self) -> None:
        self.stack.stop()
        self.redis.close()
        self.receiver.close()
        self.model.close()
        self.valkey.stop()

    @property
    def hook(self) -> str:
        return f"{self.receiver.url}/hook?{SECRET}"

    def post(self, text: str = "Hi [[fake n=1]]", **fields: Any) -> str:
        return self.stack.post(text, **{"webhook": self.hook, **fields})

    def answers(self, *answers: dict[str, Any], then: dict[str, Any] | None = None) -> None:
        self.receiver.post("/control", {"answers": list(answers), "then": then or {}})

    def got(self, job_id: str) -> list[dict[str, Any]]:
        """The posts about a job."""
        name = "evt_" + job_id.removeprefix("job_")
        seen = self.receiver.stats()["got"]
        return [post for post in seen if post["headers"].get("webhook-id") == name]

    def told(self, job_id: str, times: int = 1) -> list[dict[str, Any]]:
        """The posts about a job when there are so many."""
        wait_until(lambda: len(self.got(job_id)) >= times, f"{times} posts about {job_id}", 30)
        return self.got(job_id)

    def state(self, job_id: str) -> dict[str, Any]:
        shown: dict[str, Any] = self.stack.job(job_id)["webhook"]
        return shown

    def settled(self, job_id: str, attempts: int, state: str) -> dict[str, Any]:
        """What the job shows of its webhook when that many tries are over."""

        def look() -> bool:
            shown = self.state(job_id)
            under_way = 0 < (shown["next_at"] or 0) < time.time() * 1000 + LEASE_MOST_MS
            return not under_way and (shown["attempts"], shown["state"]) == (attempts, state)

        wait_until(look, f"{job_id}: {state} after {attempts}", 30)
        return self.state(job_id)

    def make_due(self, job_id: str) -> None:
        """Its next try is now."""
        assert self.redis.zadd(DUE_WEBHOOKS, {job_id: 1}, xx=True, ch=True) == 1

    def sdk(self, caller: str = "alice") -> openai.OpenAI:
        """The receiver's side: the SDK with the caller's own secret."""
        headers = {"Authorization": f"Bearer {KEYS[caller]}"}
        told = self.stack.client.get("/v1/webhooks/secret", headers=headers).json()
        assert told["object"] == "webhook_secret"
        return openai.OpenAI(api_key="none", webhook_secret=told["secret"])

    def logs(self) -> str:
        return "".join(path.read_text() for path in self.stack.folder.glob("*.log"))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("webhooks"))
    yield house
    house.close()


@pytest.fixture
def house(shared: House) -> Iterator[House]:
    shared.answers()
    yield shared
    shared.redis.delete(DUE_WEBHOOKS, f"{DUE_WEBHOOKS}:load")


def verified(sdk: openai.OpenAI, post: dict[str, Any]) -> Any:
    return sdk.webhooks.unwrap(post["body"], post["headers"])


def test_the_end_of_a_job_is_told_in_a_form_that_openais_sdk_verifies(house: House) -> None:
    job_id = house.post()
    [post] = house.told(job_id)
    event = verified(house.sdk(), post)
    assert (event.type, event.object) == ("job.completed", "event")
    assert (event.data.id, event.data.status) == (job_id, "completed")
    shown = house.settled(job_id, 1, "delivered")
    assert shown == {
        "url": house.hook,
        "state": "delivered",
        "attempts": 1,
        "last_status": 200,
        "last_error": None,
        "next_at": None,
    }
    assert event.created_at == house.stack.job(job_id)["finished_at"] // 1000
    with pytest.raises(openai.InvalidWebhookSignatureError):
        verified(house.sdk("bob"), post)


@pytest.mark.parametrize("text", ["Hi [[fake status=500]]", "Hi [[fake n=400 tps=5]]"])
def test_a_failure_and_a_cancel_are_told_too(house: House, text: str) -> None:
    job_id = house.post(text, webhook={"url": house.hook})
    if "n=400" in text:
        house.stack.until_status(job_id, "running")
        house.stack.client.post(f"/v1/jobs/{job_id}/cancel")
    status = house.stack.ended(job_id)["status"]
    assert status in ("failed", "cancelled")
    [post] = house.told(job_id)
    assert verified(house.sdk(), post).type == f"job.{status}"


def test_a_stream_may_bring_one_too(house: House) -> None:
    body = {"message": "Hi [[fake n=1]]", "model": "fast", "webhook": house.hook}
    reply = house.stack.client.post("/api/chat/stream", json=body)
    assert reply.status_code == 200
    house.told(reply.headers["x-fleet-job-id"])


def test_before_the_end_it_is_pending_and_without_one_there_is_nothing(house: House) -> None:
    job_id = house.post("Hi [[fake n=400 tps=5]]")
    shown = house.state(job_id)
    assert (shown["state"], shown["attempts"], shown["next_at"]) == ("pending", 0, None)
    house.stack.client.post(f"/v1/jobs/{job_id}/cancel")
    house.settled(job_id, 1, "delivered")
    assert house.stack.job(house.stack.post("Hi [[fake n=1]]"))["webhook"] is None


def test_what_failed_is_tried_again_with_the_same_id_and_body_until_it_is_taken(
    house: House,
) -> None:
    house.answers({"status": 500}, {"status": 302, "headers": {"location": house.receiver.url}})
    job_id = house.post()
    first = house.settled(job_id, 1, "pending")
    assert (first["last_status"], first["last_error"]) == (500, None)
    finished = house.stack.job(job_id)["finished_at"]
    assert 480_000 <= first["next_at"] - finished <= 750_000
    house.make_due(job_id)
    assert house.settled(job_id, 2, "pending")["last_status"] == 302
    house.make_due(job_id)
    house.settled(job_id, 3, "delivered")
    posts = house.told(job_id, 3)
    assert len({(p["headers"]["webhook-id"], p["body"]) for p in posts}) == 1
    assert len(posts) == 3
    assert all(verified(house.sdk(), post).data.id == job_id for post in posts)


def test_each_try_is_signed_with_its_own_time(house: House) -> None:
    house.answers({"status": 500})
    job_id = house.post()
    house.settled(job_id, 1, "pending")
    [first] = house.got(job_id)
    began = int(first["headers"]["webhook-timestamp"])
    wait_until(lambda: int(house.redis.time()[0]) > began, "the clock has gone on")
    house.make_due(job_id)
    _, second = house.told(job_id, 2)
    assert int(second["headers"]["webhook-timestamp"]) > began
    verified(house.sdk(), second)


def test_after_the_last_try_it_is_given_up(house: House) -> None:
    house.answers(then={"status": 500})
    job_id = house.post()
    for attempt in (1, 2):
        house.settled(job_id, attempt, "pending")
        house.make_due(job_id)
    shown = house.settled(job_id, 3, "failed")
    assert (shown["last_status"], shown["next_at"]) == (500, None)
    assert house.redis.zscore(DUE_WEBHOOKS, job_id) is None


def test_a_receiver_that_is_gone_is_not_asked_again(house: House) -> None:
    house.answers({"status": 410})
    job_id = house.post()
    assert house.settled(job_id, 1, "failed")["last_status"] == 410


def test_a_busy_receiver_is_asked_when_it_said(house: House) -> None:
    house.answers({"status": 503, "headers": {"retry-after": "5000"}})
    job_id = house.post()
    shown = house.settled(job_id, 1, "pending")
    assert shown["next_at"] - house.stack.job(job_id)["finished_at"] > 4_900_000


def test_a_huge_answer_and_a_slow_one(house: House) -> None:
    house.answers({"bytes": 200_000_000})
    house.settled(house.post(), 1, "delivered")
    house.answers({"after_s": 30})
    slow = house.settled(house.post(), 1, "pending")
    assert slow["last_error"] == "no answer within 2 s"


def test_slow_receivers_hold_no_decision_up(house: House) -> None:
    house.answers(then={"after_s": 1.5})
    slow = [house.post() for _ in range(4)]
    for job_id in slow:
        house.stack.ended(job_id)
    house.told(slow[0])
    job = house.stack.ended(house.stack.post("Hi [[fake n=1]]"))
    assert job["routed_at"] - job["created_at"] < 1_000
    for job_id in slow:
        house.settled(job_id, 1, "delivered")
    assert house.receiver.stats()["most_at_once"] <= 2


@pytest.mark.parametrize(
    ("webhook", "param", "why"),
    [
        ("https://user@receiver.example/", "webhook", "password"),
        ("https://169.254.169.254/", "webhook", "public internet"),
        ("receiver.example", "webhook", "must begin with"),
        ("", "webhook", "must begin with"),
        (7, "webhook", "string"),
        ({}, "webhook.url", "required"),
        ({"url": "https://a.example", "secret": "x"}, "webhook.secret", "no such field"),
    ],
)
def test_a_webhook_that_may_not_be_is_refused_at_the_door(
    house: House, webhook: Any, param: str, why: str
) -> None:
    for path in ("/v1/jobs", "/api/chat/stream"):
        reply = house.stack.client.post(path, json={"message": "Hi", "webhook": webhook})
        error = reply.json()["error"]
        assert (reply.status_code, error["param"]) == (400, param), error
        assert why in error["message"]


def test_who_has_too_many_undelivered_ones_is_told_so(house: House) -> None:
    house.answers(then={"status": 500})
    body = {"message": "Hi", "webhook": house.hook}
    once = {"Idempotency-Key": "before"}
    first = house.stack.client.post("/v1/jobs", json=body, headers=once).json()["id"]
    jobs = [first, *(house.post() for _ in range(4))]
    for job_id in jobs:
        house.settled(job_id, 1, "pending")
    reply = house.stack.client.post("/v1/jobs", json={"message": "Hi", "webhook": house.hook})
    assert (reply.status_code, reply.json()["error"]["code"]) == (429, "too_many_webhooks")
    assert reply.headers["retry-after"]
    again = house.stack.client.post("/v1/jobs", json=body, headers=once)
    assert (again.status_code, again.json()["id"]) == (202, first)
    house.stack.post("Hi [[fake n=1]]")
    bob = {"Authorization": f"Bearer {KEYS['bob']}"}
    body = {"message": "Hi [[fake n=1]]", "model": "fast", "webhook": house.hook}
    bobs = house.stack.client.post("/v1/jobs", json=body, headers=bob)
    assert bobs.status_code == 202
    house.told(bobs.json()["id"])


def test_the_webhook_is_part_of_what_an_idempotency_key_stands_for(house: House) -> None:
    def post(webhook: str) -> httpx.Response:
        body = {"message": "Hi [[fake n=1]]", "model": "fast", "webhook": webhook}
        head = {"Idempotency-Key": "webhook"}
        return house.stack.client.post("/v1/jobs", json=body, headers=head)

    replies = [post(house.hook), post(house.hook), post(f"{house.hook}2")]
    assert [reply.status_code for reply in replies] == [202, 202, 409]
    assert replies[0].json()["id"] == replies[1].json()["id"]
    house.settled(replies[0].json()["id"], 1, "delivered")


def test_neither_the_url_nor_the_secret_is_logged_or_listed(house: House) -> None:
    house.answers(then={"status": 500})
    job_id = house.post()
    house.settled(job_id, 1, "pending")
    listed = house.stack.client.get("/v1/jobs").text
    assert job_id in listed
    secret = house.stack.client.get("/v1/webhooks/secret").json()["secret"]
    assert house.stack.client.get("/v1/webhooks/secret").json()["secret"] == secret
    for text in (listed, house.logs()):
        assert SECRET not in text
        assert secret not in text
    assert f"job {job_id}: webhook, try 1: status 500; again in" in house.logs()
    with httpx.Client(base_url=house.stack.url, trust_env=False) as stranger:
        assert stranger.get("/v1/webhooks/secret").status_code == 401


# What dies.


@pytest.fixture
def own(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.close()


def test_a_router_killed_in_mid_delivery_is_followed_by_one_that_delivers(own: House) -> None:
    own.answers({"after_s": 60})
    job_id = own.post()
    own.told(job_id)
    own.stack.processes["router"].kill()
    own.stack.start_router()
    own.make_due(job_id)  # the lease of 14 s is over
    own.settled(job_id, 2, "delivered")
    first, second = own.got(job_id)
    assert first["headers"]["webhook-id"] == second["headers"]["webhook-id"]
    assert first["body"] == second["body"]


def test_a_job_that_ends_without_a_router_is_told_when_there_is_one(own: House) -> None:
    job_id = own.post("Hi [[fake n=400 tps=5]]")
    own.stack.until_status(job_id, "running")
    own.stack.processes["router"].kill()
    own.stack.client.post(f"/v1/jobs/{job_id}/cancel")
    own.stack.start_router("webhooks")
    own.settled(job_id, 1, "delivered")


def test_who_only_decides_tells_nobody(own: House) -> None:
    own.stack.processes["router"].terminate()
    own.stack.processes["router"].wait(10)
    own.stack.start_router("router")
    job_id = own.post()
    own.stack.ended(job_id)
    assert own.got(job_id) == []
    own.stack.start("deliverer", "celery", "-A", "router", "worker", "-Q", "webhooks", "-n", "w@%h")
    own.settled(job_id, 1, "delivered")
    assert own.stack.client.get("/health").json()["router"]["workers"] == 1


def test_redis_killed_and_restarted_forgets_no_delivery(own: House) -> None:
    own.answers(then={"status": 500})
    job_id = own.post()
    own.settled(job_id, 1, "pending")
    own.valkey.kill()
    own.answers()
    own.valkey.start()
    own.make_due(job_id)
    own.settled(job_id, 2, "delivered")


def test_a_sigterm_lets_a_delivery_end(own: House) -> None:
    own.answers({"after_s": 1})
    job_id = own.post()
    own.told(job_id)
    own.stack.processes["router"].terminate()
    own.settled(job_id, 1, "delivered")
    assert own.stack.processes["router"].wait(10) == 0


def test_a_receiver_that_comes_back_is_found(own: House) -> None:
    own.receiver.stop()
    job_id = own.post()
    assert own.settled(job_id, 1, "pending")["last_error"] == "nobody listens at its address"
    own.receiver.start()
    own.make_due(job_id)
    own.settled(job_id, 2, "delivered")


def test_a_rule_that_was_closed_meanwhile_holds(own: House) -> None:
    own.answers({"status": 500})
    job_id = own.post()
    own.settled(job_id, 1, "pending")
    own.stack.processes["router"].terminate()
    own.stack.processes["router"].wait(10)
    own.stack.env["FLEET_WEBHOOKS__ALLOW_PRIVATE"] = "false"
    own.stack.start_router()
    own.make_due(job_id)
    shown = own.settled(job_id, 2, "pending")
    assert "public internet" in shown["last_error"]
    assert len(own.got(job_id)) == 1
