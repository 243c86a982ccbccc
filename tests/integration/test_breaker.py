"""Breakers in a running fleet: who opens them, who is spared, and how a server comes back.

`twin` is another model of `fast`'s server, with a worker of its own.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from redis import Redis

from tests.fakes.handle import Fake
from tests.integration.conftest import MODEL
from tests.stack import Stack
from tests.support import Valkey, wait_until

CONFIG = """
[fallback]
rounds = 2

[breaker]
first_pause_s = 0.3
longest_pause_s = 2
longest_wish_s = 3
patience_s = 1
"""
PROVIDER = """
[[models]]
name = "gpt"
kind = "openai"
url = "{url}/v1"
model = "gpt-4o"
roles = ["expert"]
calls_per_day = 0
price = {{ input = 0, output = 0 }}
timeouts = {{ between_tokens_s = 2 }}
"""


@dataclass
class House:
    """The fleet and its servers."""

    stack: Stack
    redis: Redis
    fast: Fake
    tool: Fake
    gpt: Fake

    def model(self, name: str = "fast") -> dict[str, Any]:
        """What `/health` says of a model."""
        shown: dict[str, Any] = self.stack.client.get("/health").json()["models"][name]
        return shown

    def until_breaker(self, phase: str, name: str = "fast") -> None:
        wait_until(lambda: self.model(name)["breaker"] == phase, f"{name} is {phase}", 20)

    def until_left_out(self, name: str = "fast") -> None:
        """Until routers have heard that the breaker is open."""
        self.until_breaker("open", name)
        wait_until(lambda: name not in self.ended(model=name)["plan"], "plans leave it out", 10)

    def ended(self, text: str = "Write a haiku [[fake n=2]]", **fields: Any) -> dict[str, Any]:
        return self.stack.ended(self.stack.post(text, **fields))

    def probes(self) -> int:
        """Probes that have reached the server of `fast`, of its last requests."""
        return sum(body["max_tokens"] == 1 for body in self.fast.stats()["bodies"])

    def behave(self) -> None:
        """All servers answer well again, and all are asked."""
        for fake in (self.fast, self.tool, self.gpt):
            if fake.process is None:
                fake.start()
            fake.control()
        for name in ("fast", "tool", "twin"):
            self.until_breaker("closed", name)
        keys = list(self.redis.scan_iter("fleet:breaker:*"))
        if keys:
            self.redis.delete(*keys)
        self.until_breaker("closed", "gpt")
        wait_until(self._all_are_asked, "routers have heard of it", 10)

    def _all_are_asked(self) -> bool:
        return all(self.ended(model=name)["model"] == name for name in ("fast", "tool", "gpt"))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("breaker")
    valkey = Valkey(folder)
    valkey.start()
    fast, tool, gpt = (
        Fake("llama_server", folder / f"{name}.log", "--slots=8") for name in ("f", "t", "g")
    )
    for fake in (fast, tool, gpt):
        fake.start()
    entries = [
        MODEL.format(name=name, url=url, slots=2, context=4096)
        for name, url in (("fast", fast.url), ("tool", tool.url), ("twin", fast.url))
    ]
    entries[2] += 'roles = ["twin"]\n'
    config = CONFIG + "".join(entries) + PROVIDER.format(url=gpt.url)
    stack = Stack(folder, valkey.url, config, FLEET_MODELS__GPT__ENABLED="true")
    stack.start_all("fast", "tool")
    stack.start_worker("twin")
    stack.start_worker("gpt", OPENAI_API_KEY="sk-gpt")
    stack.wait_ready("twin", "gpt")
    redis = Redis.from_url(valkey.url, decode_responses=True)
    house = House(stack, redis, fast, tool, gpt)
    yield house
    redis.close()
    stack.stop()
    for fake in (fast, tool, gpt):
        fake.close()
    valkey.stop()


@pytest.fixture
def house(running: House) -> House:
    """The fleet with all its breakers closed."""
    running.behave()
    return running


def test_an_idle_server_that_dies_is_found_and_left_out_and_comes_back_by_itself(
    house: House,
) -> None:
    house.fast.stop()
    house.until_breaker("open")
    health = house.stack.client.get("/health").json()
    assert health["status"] == "degraded"
    assert health["models"]["fast"]["shut"] == "The model's server does not answer."
    assert any("`fast` is not asked for now" in said for said in health["problems"])
    assert house.model("twin")["breaker"] != "closed"
    assert house.model("tool")["breaker"] == "closed"

    house.until_left_out()
    job = house.ended(model="fast")
    assert (job["status"], job["model"], job["tried"]) == ("completed", "tool", [])
    assert any("'fast' is left out" in reason for reason in job["reasons"])

    house.fast.start()
    house.until_breaker("closed")
    assert house.probes() == house.fast.stats()["requests"] > 0
    wait_until(lambda: house.ended(model="fast")["model"] == "fast", "fast is asked again", 10)


def test_jobs_in_the_line_of_a_server_that_dies_go_to_the_next_of_their_plans(
    house: House,
) -> None:
    jobs = [house.stack.post("Write [[fake n=9 tps=3]]", model="fast") for _ in range(2)]
    for job in jobs:
        house.stack.until_status(job, "running")
    jobs += [house.stack.post("Write [[fake n=2]]", model="fast") for _ in range(8)]
    house.fast.stop()
    ended = [house.stack.ended(job) for job in jobs]
    assert {(job["status"], job["model"]) for job in ended} == {("completed", "tool")}
    codes = {failure["code"] for job in ended for failure in job["tried"]}
    assert {"stream_cut", "breaker_open"} <= codes
    moved = next(job for job in ended if job["tried"][0]["code"] == "breaker_open")
    kinds = [kind for _, kind, _ in house.stack.events(moved["id"]) if kind != "token"]
    assert kinds == ["queued", "routed", "routed", "started", "usage", "completed"]


def test_a_job_for_a_server_that_is_left_alone_is_told_how_long_the_next_one_takes(
    house: House,
) -> None:
    house.fast.stop()
    house.until_left_out()
    busy = [house.stack.post("Write [[fake n=600 tps=20]]", model="tool") for _ in range(2)]
    for job in busy:
        house.stack.until_status(job, "running")
    made = house.stack.client.post("/v1/jobs", json={"message": "Hello", "model": "fast"}).json()
    assert made["predicted_wait_s"] > 0
    for job in (*busy, made["id"]):
        house.stack.client.post(f"/v1/jobs/{job}/cancel")


def test_when_nobody_is_asked_the_last_word_says_so(house: House) -> None:
    for fake in (house.fast, house.tool, house.gpt):
        fake.control(fail=500)
    for name in ("fast", "tool", "gpt"):
        wait_until(
            lambda name=name: (  # type: ignore[misc]
                house.ended("Hello", model=name)["status"] == "failed"
                and house.model(name)["breaker"] != "closed"
            ),
            f"{name} is left alone",
            20,
        )
    job: dict[str, Any] = {}

    def all_are_named() -> bool:
        """Not before routers have heard that the last one is left alone, too."""
        job.update(house.ended("Hello", model="tool"))
        return {failure["model"] for failure in job["tried"]} >= {"fast", "tool", "twin"}

    wait_until(all_are_named, "a job that found everyone left alone", 20)
    assert job["status"] == "failed"
    assert job["error"]["code"] == "all_models_unavailable"
    assert house.stack.events(job["id"])[-1][2]["tried"] == job["tried"]


def test_no_job_asks_a_server_that_fails_and_its_workers_send_one_probe_between_them(
    house: House,
) -> None:
    house.fast.control(fail=500)
    for _ in range(3):
        house.ended(model="fast")
    house.until_left_out()
    since, asked, probes = time.monotonic(), house.fast.stats()["requests"], house.probes()
    for _ in range(5):
        assert house.ended(model="fast")["model"] == "tool"
    wait_until(lambda: house.probes() - probes >= 2, "two more probes")
    passed = time.monotonic() - since
    # Two processes that probed each for itself would have sent twice as many.
    assert house.fast.stats()["requests"] - asked == house.probes() - probes
    assert house.probes() - probes <= 2 + passed / (0.75 * 1.2)


def test_a_server_that_fails_every_second_time_is_left_alone_for_a_while(house: House) -> None:
    seen = 0
    while house.model()["breaker"] == "closed":
        seen += 1
        assert seen <= 20, "it never opened"
        assert house.ended("Well [[fake n=1]]", model="fast")["tried"] == []
        house.fast.control(fail=500, times=1)
        house.ended("Not so well [[fake n=1]]", model="fast")
    assert seen >= 4
    house.until_breaker("closed")  # its probe goes well


@pytest.mark.parametrize(
    ("mode", "code"),
    [({"fail": 400}, "refused"), ({"context": 1}, "context_exceeded"), ({"loading": 1}, None)],
)
def test_neither_what_callers_do_wrong_nor_a_server_that_loads_opens_it(
    house: House, mode: dict[str, int], code: str | None
) -> None:
    house.fast.control(**mode)
    jobs = [house.stack.post("Write a haiku", model="fast") for _ in range(10)]
    tried = [house.stack.ended(job)["tried"][0] for job in jobs]
    assert {failure["code"] for failure in tried} == {code or "server_loading"}
    assert house.model()["breaker"] == "closed"
    assert not list(house.redis.scan_iter("fleet:breaker:*"))


def test_a_server_that_is_well_costs_redis_nothing(house: House) -> None:
    for _ in range(5):
        assert house.ended(model="fast")["model"] == "fast"
    assert not list(house.redis.scan_iter("fleet:breaker:*"))


def test_a_provider_that_wants_time_gets_it_and_the_next_job_is_its_probe(house: House) -> None:
    house.gpt.control(fail=429, retry_after=2)
    first = house.ended(model="gpt")
    assert (first["model"], first["tried"][0]["code"]) == ("tool", "server_busy")
    asked = house.gpt.stats()["requests"]
    house.until_breaker("open", "gpt")
    while house.model("gpt")["breaker"] == "open":
        assert house.ended(model="gpt")["status"] == "completed"
        assert house.gpt.stats()["requests"] == asked
    assert house.model("gpt")["breaker"] == "half-open"

    house.gpt.control(ttft=1_000)
    wait_until(lambda: "gpt" in house.ended(model="auto")["plan"], "plans name it again")
    jobs = [house.stack.post("Write [[fake n=2]]", model="gpt") for _ in range(4)]
    wait_until(lambda: house.gpt.stats()["active"], "one of them is the probe")
    assert house.gpt.stats()["requests"] == asked + 1
    assert {house.stack.ended(job)["model"] for job in jobs} == {"gpt"}
    assert house.gpt.stats()["peak_active"] > 1
    house.until_breaker("closed", "gpt")


def test_a_provider_that_refuses_the_key_is_not_asked_by_every_job(house: House) -> None:
    house.gpt.control(fail=401)
    asked = house.gpt.stats()["requests"]
    first = house.ended(model="gpt")
    assert (first["model"], first["tried"][0]["code"]) == ("tool", "not_served")
    house.until_left_out("gpt")
    assert "the key is in OPENAI_API_KEY" in house.model("gpt")["shut"]
    assert house.gpt.stats()["requests"] == asked + 1
