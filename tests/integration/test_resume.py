"""A worker is lost or shuts down, a connection breaks: the answer goes on where it was."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from tests.fakes.handle import Fake
from tests.integration.conftest import LEASE_S, MODEL
from tests.stack import Stack, text_of
from tests.support import Valkey, wait_until

LONG = "Hi [[fake n=80 tps=40]]"
#: What Celery says when it has begun to consume.
READY = "INFO    celery.apps.worker: fast@"
WHOLE = "".join(f" w{n}" for n in range(80))


class Pair:
    """Two workers of one model."""

    def __init__(self, folder: Path, redis_url: str, policy: str = "restart") -> None:
        self.server = Fake("llama_server", folder / "server.log", "--slots=4")
        self.server.start()
        config = f"[workers]\nlease_s = {LEASE_S}\ndrain_s = 0.5\n"
        config += f'[fallback]\nafter_first_token = "{policy}"\n'
        config += MODEL.format(name="fast", url=self.server.url, slots=4, context=4096)
        self.stack = Stack(folder, redis_url, config)
        self.redis_url = redis_url
        self.stack.start_api()
        self.stack.start_router()
        self._workers = 0
        self.add_worker()
        self.add_worker()
        self.stack.wait_ready("fast")

    def add_worker(self) -> None:
        """Start a worker, and wait until it consumes."""
        self.stack.start_worker("fast")
        self._workers += 1
        log = self.stack.folder / "worker-fast.log"
        wait_until(
            lambda: log.read_text().count(READY) == self._workers,
            f"worker {self._workers} consumes",
            25,
        )

    def pid_of(self, job_id: str) -> int:
        """The process that runs the job."""
        starts = [data for _, kind, data in self.so_far(job_id) if kind == "started"]
        return int(starts[-1]["worker"].rpartition(":")[2])

    def so_far(self, job_id: str) -> list[tuple[int, str, dict[str, Any]]]:
        """Events up to the first token of what is running now."""
        events = []
        with self.stack.reading(job_id) as stream:
            for event in stream:
                events.append(event)
                if event[1] == "token":
                    return events
        return events

    def seen(self, job_id: str) -> list[tuple[str, str, dict[str, Any]]]:
        """The log as it stands in Redis: place, kind, data."""
        with Redis.from_url(self.redis_url, decode_responses=True) as client:
            entries = client.xrange(f"fleet:job:{job_id}:log")
        return [(place, entry["k"], json.loads(entry["d"])) for place, entry in entries]

    def busy(self) -> int:
        """Slots of the server that generate."""
        return sum(slot["is_processing"] for slot in self.server.get("/slots").json())

    def kept(self) -> list[str]:
        """What Redis says that the server keeps."""
        with Redis.from_url(self.redis_url, decode_responses=True) as client:
            return [
                g for key in client.scan_iter("fleet:generations:*") for g in client.smembers(key)
            ]

    def close(self) -> None:
        self.stack.stop()
        self.server.close()


@pytest.fixture(scope="module")
def shared_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    valkey = Valkey(folder)
    valkey.start()
    pair = Pair(folder, valkey.url)
    yield pair
    pair.close()
    valkey.stop()


@pytest.fixture
def pair(shared_pair: Pair) -> Iterator[Pair]:
    """Two workers, a server that behaves well."""
    shared_pair.server.control()
    yield shared_pair
    shared_pair.server.control()


def ends(pair: Pair, job_id: str) -> list[str]:
    """How each attempt ended, as the job tells."""
    return [attempt["ended"] for attempt in pair.stack.job(job_id)["attempts"]]


def test_a_killed_workers_answer_goes_on_unbroken_and_is_not_generated_again(pair: Pair) -> None:
    asked = len(pair.server.stats()["bodies"])
    job_id = pair.stack.post(LONG)
    victim = pair.pid_of(job_id)
    with pair.stack.reading(job_id) as stream:
        next(event for event in stream if " w10" in event[2].get("content", ""))
        os.kill(victim, signal.SIGKILL)
        killed = time.monotonic()
        for _, kind, _ in stream:
            if kind == "started":
                break
        next(event for event in stream if event[1] == "token")
        waited_s = time.monotonic() - killed
        assert list(stream)[-1][1] == "completed"
    assert waited_s < LEASE_S + 1
    events = pair.stack.events(job_id)
    assert text_of(events) == WHOLE
    kinds = [kind for _, kind, _ in events]
    assert "restarted" not in kinds
    assert kinds.count("started") == 2
    assert len(pair.server.stats()["bodies"]) == asked + 1
    assert ends(pair, job_id) == ["lost", "completed"]
    pair.add_worker()


def test_a_worker_that_shuts_down_hands_its_stream_to_another_within_a_tenth_of_a_second(
    pair: Pair,
) -> None:
    asked = len(pair.server.stats()["bodies"])
    job_id = pair.stack.post(LONG)
    os.kill(pair.pid_of(job_id), signal.SIGTERM)
    job = pair.stack.ended(job_id)
    assert (job["status"], job["answer"]["content"]) == ("completed", WHOLE)
    events = pair.stack.events(job_id)
    kinds = [kind for _, kind, _ in events if kind != "token"]
    assert kinds == ["queued", "routed", "started", "routed", "started", "usage", "completed"]
    [handed, taken] = [data["at"] for _, kind, data in events if kind in ("routed", "started")][2:]
    assert taken - handed < 100
    assert len(pair.server.stats()["bodies"]) == asked + 1
    with Redis.from_url(pair.redis_url, decode_responses=True) as client:
        assert client.hmget(f"fleet:job:{job_id}", "attempt", "released") == ["2", "1"]
    assert ends(pair, job_id) == ["handed over", "completed"]
    pair.add_worker()


def test_a_connection_that_breaks_is_taken_up_again(pair: Pair) -> None:
    asked = len(pair.server.stats()["bodies"])
    pair.server.control(cut=20)
    events = pair.stack.events(pair.stack.post("Hi [[fake n=40 tps=200]]"))
    assert text_of(events) == "".join(f" w{n}" for n in range(40))
    assert [kind for _, kind, _ in events].count("started") == 1
    assert len(pair.server.stats()["bodies"]) == asked + 1


@pytest.mark.parametrize("mode", [{"old": 1}, {"behind": 1}])
def test_where_the_server_kept_nothing_the_answer_begins_again_and_says_so(
    pair: Pair, mode: dict[str, int]
) -> None:
    pair.server.control(**mode)
    job_id = pair.stack.post(LONG)
    victim = pair.pid_of(job_id)
    os.kill(victim, signal.SIGKILL)
    events = pair.stack.events(job_id)
    assert text_of(events) == WHOLE
    kinds = [kind for _, kind, _ in events]
    assert kinds.count("restarted") == 1
    assert kinds[-1] == "completed"
    pair.server.control()
    pair.add_worker()


def test_what_a_server_keeps_is_forgotten_when_the_job_has_ended(pair: Pair) -> None:
    ids = [pair.stack.post("Hi [[fake n=3]]") for _ in range(12)]
    for job_id in ids:
        assert pair.stack.ended(job_id)["status"] == "completed"
    wait_until(lambda: not pair.kept(), "Redis notes nothing that is kept")
    lookup = {"conversation_ids": [f"{job_id}.1" for job_id in ids]}
    assert pair.server.post("/v1/streams/lookup", lookup).json() == []


def test_a_cancel_whose_worker_is_dead_stops_the_model_all_the_same(pair: Pair) -> None:
    job_id = pair.stack.post("Hi [[fake n=4000 tps=50]]")
    os.kill(pair.pid_of(job_id), signal.SIGKILL)
    assert pair.busy() == 1
    pair.stack.client.post(f"/v1/jobs/{job_id}/cancel")
    wait_until(lambda: pair.busy() == 0, "the other worker has stopped it", 2)
    wait_until(lambda: not pair.kept(), "and has forgotten it")
    pair.add_worker()


def test_a_worker_that_was_only_stopped_for_a_while_is_fenced_and_harms_nothing(
    pair: Pair,
) -> None:
    job_id = pair.stack.post(LONG)
    stopped = pair.pid_of(job_id)
    os.kill(stopped, signal.SIGSTOP)
    try:
        wait_until(lambda: pair.stack.job(job_id)["attempt"] == 2, "somebody else goes on", 10)
    finally:
        os.kill(stopped, signal.SIGCONT)
    events = pair.stack.events(job_id)
    assert text_of(events) == WHOLE
    assert "restarted" not in [kind for _, kind, _ in events]
    assert [kind for _, kind, _ in events].count("completed") == 1


@pytest.mark.parametrize("policy", ["continue", "fail"])
def test_what_follows_when_the_server_died_too_is_a_setting(
    tmp_path: Path, own_valkey: Valkey, policy: str
) -> None:
    pair = Pair(tmp_path, own_valkey.url, policy)
    job_id = pair.stack.post(LONG)
    victim = pair.pid_of(job_id)
    pair.server.stop()
    os.kill(victim, signal.SIGKILL)
    pair.server.start()
    events = pair.stack.events(job_id)
    kinds = [kind for _, kind, _ in events]
    assert "restarted" not in kinds
    if policy == "continue":
        assert (kinds[-1], text_of(events)) == ("completed", WHOLE)
        assert pair.server.stats()["continued"] == 1
    else:
        assert kinds[-1] == "failed"
        assert 0 < len(text_of(events)) < len(WHOLE)
        assert pair.stack.job(job_id)["answer"]["content"] == text_of(events)
    pair.close()


def test_the_words_of_two_answers_are_never_joined(pair: Pair) -> None:
    slowly = "Hi [[fake marked=1 n=80 tps=40 ttft=1500]]"
    job_id = pair.stack.post(slowly)
    first = pair.pid_of(job_id)
    os.kill(first, signal.SIGSTOP)  # it dies with its server, and must not see it die
    pair.server.stop()
    pair.server.start()
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: pair.busy() == 1, "the second worker has asked anew", 10)
    second = [data for _, kind, data in pair.seen(job_id) if kind == "started"][1]
    os.kill(int(second["worker"].rpartition(":")[2]), signal.SIGKILL)
    pair.add_worker()
    events = pair.stack.events(job_id)
    kinds = [kind for _, kind, _ in events]
    assert (kinds.count("started"), kinds.count("restarted"), kinds[-1]) == (3, 1, "completed")
    words = [word.partition("#") for word in text_of(events).split()]
    assert [word for word, _, _ in words] == [f"w{n}" for n in range(80)]
    assert len({mark for _, _, mark in words}) == 1
    pair.add_worker()
