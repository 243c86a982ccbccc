"""The whole router on real jobs: embedding, memory, experiments, and what happens without them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis

from fleet.decision import conversation_handle
from fleet.names import DECISIONS, conversation_key
from tests.fakes.handle import Fake
from tests.integration.conftest import MODEL
from tests.stack import Stack
from tests.support import Valkey, wait_until

EXPERIMENT = """
[[router.experiments]]
name = "words"
arms = [
    { name = "today", classifier = "embedding" },
    { name = "keywords", classifier = "keywords" },
    { name = "sure", shadow = true, threshold = 0.9 },
]
"""


@contextmanager
def routed_by(folder: Path, config: str, **env: str) -> Iterator[Stack]:
    """A fleet with one fake server behind three models, which decides as `config` says."""
    valkey = Valkey(folder)
    valkey.start()
    fake = Fake("llama_server", folder / "server.log", "--slots=8")
    fake.start()
    for name in ("fast", "tool", "large"):
        config += MODEL.format(name=name, url=fake.url, slots=4, context=8192)
        config += "images = true\n" if name == "large" else ""
    stack = Stack(folder, valkey.url, config, FLEET_ROUTER__CLASSIFIER="cascade", **env)
    stack.start_all("fast", "tool", "large")
    try:
        yield stack
    finally:
        stack.stop()
        fake.close()
        valkey.stop()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("routing")
    with routed_by(folder, EXPERIMENT, FLEET_HOME=str(folder)) as running:
        yield running


def post(stack: Stack, *turns: str, **fields: Any) -> dict[str, Any]:
    """A conversation in which the user and the assistant take turns; the ended job."""
    roles = ("user", "assistant")
    messages = [{"role": roles[n % 2], "content": turn} for n, turn in enumerate(turns)]
    reply = stack.client.post("/v1/jobs", json={"messages": messages, **fields})
    assert reply.status_code == 202, reply.text
    return stack.ended(reply.json()["id"])


@pytest.mark.parametrize(
    ("query", "route"),
    [
        ("Weather in Paris", "tool"),
        ("What is the weather in Paris?", "tool"),
        ("Write a haiku about coding", "fast"),
        ("Explain Docker", "fast"),
        ("Prove that the square root of 2 is irrational", "large"),
        ("¿Qué tiempo hace en Sevilla mañana?", "tool"),
        ("写一首关于秋天的诗", "fast"),
    ],
)
def test_queries_go_where_the_strategy_says(stack: Stack, query: str, route: str) -> None:
    job = post(stack, query)
    assert job["route"] == route, job["reasons"]
    assert job["plan"][0] == route


def test_a_conversation_is_remembered_and_stays_where_it_is(stack: Stack) -> None:
    hard = "Write a Rust function that merges overlapping intervals, with unit tests"
    first = post(stack, hard, conversation_id="intervals")
    assert first["route"] == "large"
    handle = conversation_handle("local", {}, "intervals")
    with Redis.from_url(stack.env["FLEET_REDIS_URL"], decode_responses=True) as redis:
        remembered = redis.hgetall(conversation_key(handle))
        assert (remembered["route"], remembered["model"]) == ("large", "large")
    second = post(stack, hard, "fn merge() {}", "commit it", conversation_id="intervals")
    assert second["route"] == "large"


def test_health_tells_who_decides(stack: Stack) -> None:
    report = stack.client.get("/health").json()
    assert report["router"]["classifier"] == "cascade"
    assert report["router"]["version"].startswith("e5-")
    assert report["problems"] == []


def test_conversations_fall_into_arms_and_the_shadow_scores_them_all(stack: Stack) -> None:
    jobs = [post(stack, "Write a poem", conversation_id=f"c{n}") for n in range(12)]
    again = [post(stack, "Write a poem", conversation_id=f"c{n}") for n in range(12)]
    arms = [job["arm"] for job in jobs]
    assert [job["arm"] for job in again] == arms
    assert set(arms) == {"today", "keywords"}
    for job in jobs:
        assert job["experiment"] == "words"
        assert job["classifier"] == ("keywords" if job["arm"] == "keywords" else "embedding")
    ids = {job["id"] for job in jobs}

    def scored() -> set[str]:
        with Redis.from_url(stack.env["FLEET_REDIS_URL"], decode_responses=True) as redis:
            entries = [entry for _, entry in redis.xrange(DECISIONS)]
        notes = [json.loads(entry["d"]) for entry in entries if entry["k"] == "shadow"]
        return {note["job"] for note in notes if note["arm"] == "sure"}

    wait_until(lambda: ids <= scored(), "the shadow has scored every job")


def test_an_odd_conversation_gets_a_verdict(stack: Stack) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    odd: list[Any] = ["🙂🙂🙂", "\u202eمرحبا", "a\u0000b", "x" * 200_000, [picture]]
    for content in odd:
        body = {"messages": [{"role": "user", "content": content}], "deadline_s": 30}
        reply = stack.client.post("/v1/jobs", json=body)
        assert reply.status_code == 202, reply.text
        job = stack.job(reply.json()["id"], wait=10)
        assert job["route"] in ("fast", "tool", "large"), job
        assert job["model"] == "large" or content != [picture]


def test_an_unknown_model_is_refused_with_the_list_of_those_there_are(stack: Stack) -> None:
    reply = stack.client.post("/v1/jobs", json={"message": "hi", "model": "larg"})
    assert reply.status_code == 404
    assert "there are: auto, fast, tool, large" in reply.json()["error"]["message"]


def test_a_classifier_that_does_not_load_is_shown_and_costs_no_job(tmp_path: Path) -> None:
    broken = tmp_path / "head.json"
    broken.write_text("{}")
    with routed_by(tmp_path, f'[router]\nhead = "{broken}"\n', FLEET_HOME=str(tmp_path)) as stack:
        job = post(stack, "Weather in Paris")
        assert (job["status"], job["route"], job["classifier"]) == ("completed", "tool", "keywords")
        report: httpx.Response = stack.client.get("/health")
        told = " ".join(report.json()["problems"])
        assert "`embedding`" in told
        assert "fleet route fit" in told
