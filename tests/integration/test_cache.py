"""Answers that were given before, or are being given now, by every API and real SDKs."""

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from anthropic import Anthropic
from openai import OpenAI

from tests.integration.conftest import Fleet, keyed
from tests.stack import Stack, frames, text_of
from tests.support import wait_until

Tell = Callable[[str], tuple[str, str]]

numbers = count()


def words(directive: str = "n=5") -> str:
    """A question that nobody has asked yet."""
    return f"Question {next(numbers)} [[fake {directive}]]"


def requests(fleet: Fleet) -> int:
    """How often the model has been asked."""
    asked: int = fleet.fast.stats()["requests"]
    return asked


class Clients:
    """The same question in every form: each gives the text and what the head says of the cache."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.openai = OpenAI(base_url=f"{fleet.stack.url}/v1", api_key="none", max_retries=0)
        self.anthropic = Anthropic(base_url=fleet.stack.url, api_key="none", max_retries=0)

    def job(self, text: str) -> tuple[str, str]:
        body = {"message": text, "model": "fast", "temperature": 0, "max_tokens": 50}
        reply = self.fleet.stack.client.post("/v1/jobs", json=body)
        shown = self.fleet.stack.ended(reply.json()["id"])
        return shown["answer"]["content"], reply.headers["x-fleet-cache"]

    def job_stream(self, text: str) -> tuple[str, str]:
        body = {"message": text, "model": "fast", "temperature": 0, "max_tokens": 50}
        with self.fleet.stack.client.stream("POST", "/api/chat/stream", json=body) as reply:
            return text_of(list(frames(reply.iter_lines()))), reply.headers["x-fleet-cache"]

    def chat(self, text: str) -> tuple[str, str]:
        turns: Any = [{"role": "user", "content": text}]
        raw = self.openai.chat.completions.with_raw_response.create(
            model="fast", messages=turns, temperature=0, max_tokens=50
        )
        answer = raw.parse()
        assert answer.choices[0].finish_reason == "stop"
        assert answer.model == "fast"
        assert answer.usage
        assert answer.usage.completion_tokens == 5
        return answer.choices[0].message.content or "", raw.headers["x-fleet-cache"]

    def chat_stream(self, text: str) -> tuple[str, str]:
        turns: Any = [{"role": "user", "content": text}]
        with self.openai.chat.completions.with_streaming_response.create(
            model="fast", messages=turns, temperature=0, max_tokens=50, stream=True
        ) as reply:
            told = [line[6:] for line in reply.iter_lines() if line.startswith("data: {")]
            deltas = [json.loads(line)["choices"][0]["delta"] for line in told]
            said = "".join(delta.get("content") or "" for delta in deltas)
            return said, reply.headers["x-fleet-cache"]

    def response(self, text: str) -> tuple[str, str]:
        raw = self.openai.responses.with_raw_response.create(
            model="fast", input=text, temperature=0, max_output_tokens=50
        )
        answer = raw.parse()
        assert answer.status == "completed"
        return answer.output_text, raw.headers["x-fleet-cache"]

    def response_stream(self, text: str) -> tuple[str, str]:
        raw = self.openai.responses.with_raw_response.create(
            model="fast", input=text, temperature=0, max_output_tokens=50, stream=True
        )
        events = list(raw.parse())
        assert [event.type for event in events[:2]] == ["response.created", "response.in_progress"]
        assert events[-1].type == "response.completed"
        return events[-1].response.output_text, raw.headers["x-fleet-cache"]

    def message(self, text: str) -> tuple[str, str]:
        raw = self.anthropic.messages.with_raw_response.create(**self._hello(text))
        answer = raw.parse()
        assert answer.model == "fast"
        assert answer.usage.output_tokens == 5
        return answer.content[0].text, raw.headers["x-fleet-cache"]

    def message_stream(self, text: str) -> tuple[str, str]:
        with self.anthropic.messages.stream(**self._hello(text)) as stream:
            return stream.get_final_text(), stream.response.headers["x-fleet-cache"]

    def _hello(self, text: str) -> dict[str, Any]:
        turns = [{"role": "user", "content": text}]
        beside = {"temperature": 0}  # a field that this SDK has dropped
        return {"model": "fast", "max_tokens": 50, "extra_body": beside, "messages": turns}


FORMS = (
    *("job", "job_stream", "chat", "chat_stream"),
    *("response", "response_stream", "message", "message_stream"),
)


@pytest.fixture(scope="module")
def clients(shared_fleet: Fleet) -> Iterator[Clients]:
    clients = Clients(shared_fleet)
    yield clients
    clients.openai.close()
    clients.anthropic.close()


def post(fleet: Fleet, text: str, **fields: Any) -> httpx.Response:
    body = {"message": text, "model": "fast", "temperature": 0, **fields}
    reply = fleet.stack.client.post("/v1/jobs", json=body)
    assert reply.status_code == 202, reply.text
    return reply


def asked(fleet: Fleet, text: str, **fields: Any) -> str:
    """Post a job and see it end; its id."""
    job_id: str = post(fleet, text, **fields).json()["id"]
    assert fleet.stack.ended(job_id)["status"] == "completed"
    return job_id


def how(fleet: Fleet, text: str, **fields: Any) -> str:
    """Where the answer to a post comes from."""
    reply = post(fleet, text, **fields)
    shown = fleet.stack.ended(reply.json()["id"])
    said: str = reply.headers["x-fleet-cache"]
    assert shown["cache"]["status"] == said
    return said


@pytest.mark.parametrize("form", FORMS)
def test_the_same_question_is_answered_once_in_every_form(
    fleet: Fleet, clients: Clients, form: str
) -> None:
    text, before = words(), requests(fleet)
    tell: Tell = getattr(clients, form)
    assert tell(text) == (" w0 w1 w2 w3 w4", "miss")
    assert [getattr(clients, other)(text) for other in FORMS] == [(" w0 w1 w2 w3 w4", "hit")] * len(
        FORMS
    )
    assert requests(fleet) == before + 1


def test_a_hit_is_a_job_like_any_other(fleet: Fleet) -> None:
    text = words()
    source = fleet.stack.ended(asked(fleet, text))
    reply = post(fleet, text, metadata={"a": "b"})
    assert reply.json()["status"] == "completed"
    shown = fleet.stack.job(reply.json()["id"])
    assert shown["id"] != source["id"]
    same = ("status", "model", "route", "plan", "usage", "answer", "finish_reason")
    assert [shown[name] for name in same] == [source[name] for name in same]
    assert (shown["cost_usd"], shown["attempt"], shown["metadata"]) == (0, 0, {"a": "b"})
    kinds = [kind for _, kind, _ in fleet.stack.events(shown["id"])]
    assert kinds == ["queued", "routed", "started", "token", "usage", "completed"]
    head = fleet.stack.client.get(f"/v1/jobs/{shown['id']}").headers
    assert (head["x-fleet-cache"], head["x-fleet-model"]) == ("hit", "fast")
    said = fleet.stack.client.post(f"/v1/jobs/{shown['id']}/feedback", json={"rating": 5})
    assert said.status_code == 200
    assert fleet.stack.job(shown["id"])["feedback"]["rating"] == 5


def test_an_idempotency_key_finds_the_hit_again(fleet: Fleet) -> None:
    text = words()
    asked(fleet, text)
    body, key = {"message": text, "model": "fast", "temperature": 0}, {"Idempotency-Key": text}
    replies = [fleet.stack.client.post("/v1/jobs", json=body, headers=key) for _ in range(2)]
    assert replies[0].json()["id"] == replies[1].json()["id"]
    assert [reply.headers["x-fleet-cache"] for reply in replies] == ["hit", "hit"]


def test_who_wants_no_cache_neither_gets_an_answer_nor_leaves_one(
    fleet: Fleet, clients: Clients
) -> None:
    text = words()
    assert how(fleet, text, cache=False) == "miss"
    assert how(fleet, text) == "miss"
    assert how(fleet, text) == "hit"
    assert how(fleet, text, cache=False) == "miss"
    turns: Any = [{"role": "user", "content": text}]
    raw = clients.openai.chat.completions.with_raw_response.create(
        model="fast", messages=turns, temperature=0, extra_headers={"x-fleet-cache": "no"}
    )
    assert raw.headers["x-fleet-cache"] == "miss"
    raw = clients.openai.chat.completions.with_raw_response.create(
        model="fast", messages=turns, temperature=0, extra_body={"cache": False}
    )
    assert raw.headers["x-fleet-cache"] == "miss"
    bodies: dict[str, dict[str, Any]] = {
        "/v1/responses": {"model": "fast", "input": text},
        "/v1/messages": {"model": "fast", "max_tokens": 50, "messages": turns},
    }
    for path, body in bodies.items():
        reply = fleet.stack.client.post(path, json={**body, "temperature": 0, "cache": False})
        assert (reply.status_code, reply.headers["x-fleet-cache"]) == (200, "miss")


TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 0.7},
        {"temperature": None},
        {"tools": [TOOL]},
        {"model": "tool"},
    ],
)
def test_what_may_come_out_otherwise_is_asked_anew(fleet: Fleet, fields: dict[str, Any]) -> None:
    text = words()
    assert [how(fleet, text, **fields) for _ in range(2)] == ["miss", "miss"]


def test_a_response_that_is_not_stored_leaves_nothing(clients: Clients) -> None:
    text = words()
    for _ in range(2):
        raw = clients.openai.responses.with_raw_response.create(
            model="fast", input=text, temperature=0, store=False
        )
        assert raw.headers["x-fleet-cache"] == "miss"


def test_an_answer_that_was_cut_by_its_length_is_not_given_again(fleet: Fleet) -> None:
    text = words("n=9")
    ended = [fleet.stack.ended(post(fleet, text, max_tokens=3).json()["id"]) for _ in range(2)]
    assert [job["status"] for job in ended] == ["incomplete"] * 2
    assert [job["cache"]["status"] for job in ended] == ["miss"] * 2


def test_what_another_model_said_because_the_first_one_failed_is_not_given_again(
    fleet: Fleet,
) -> None:
    text = words()
    fleet.fast.control(fail=500)
    try:
        assert fleet.stack.ended(asked(fleet, text))["model"] == "tool"
    finally:
        fleet.fast.control()
    again = fleet.stack.ended(asked(fleet, text))
    assert (again["model"], again["cache"]["status"]) == ("fast", "miss")
    assert fleet.stack.ended(asked(fleet, text))["cache"]["status"] == "hit"


def test_deleting_the_source_forgets_its_words(fleet: Fleet) -> None:
    text = words()
    source = asked(fleet, text)
    assert fleet.stack.client.delete(f"/v1/jobs/{source}").status_code == 200
    assert how(fleet, text) == "miss"
    assert how(fleet, text) == "hit"


def test_hits_and_what_they_save_are_counted(fleet: Fleet) -> None:
    def counted() -> dict[str, int]:
        counts: dict[str, int] = fleet.stack.client.get("/health").json()["cache"]
        return counts

    before, text = counted(), words()
    for _ in range(3):
        asked(fleet, text)
    after = counted()
    saved = {name: after[name] - before[name] for name in after if name != "since"}
    assert (saved["hit"], saved["miss"], saved["shared"]) == (2, 1, 0)
    assert saved["completion_tokens"] == 10
    assert saved["prompt_tokens"] > 0


# In flight.


async def streamed(fleet: Fleet, text: str) -> tuple[list[tuple[int, str, dict[str, Any]]], str]:
    """A post's own stream to its end, and what its head says of the cache."""
    body = {"message": text, "model": "fast", "temperature": 0}
    async with (
        httpx.AsyncClient(base_url=fleet.stack.url, timeout=30, trust_env=False) as client,
        client.stream("POST", "/api/chat/stream", json=body) as reply,
    ):
        assert reply.status_code == 200
        lines = [line async for line in reply.aiter_lines()]
        return list(frames(iter(lines))), reply.headers["x-fleet-cache"]


async def test_twenty_at_once_are_one_generation(fleet: Fleet) -> None:
    text, before = words("n=60 tps=100 ttft=300"), requests(fleet)
    all_of_them = await asyncio.gather(*(streamed(fleet, text) for _ in range(20)))
    assert requests(fleet) == before + 1
    assert sorted(how for _, how in all_of_them) == ["miss"] + ["shared"] * 19
    for events, _ in all_of_them:
        assert [seq for seq, _, _ in events] == list(range(len(events)))
        assert text_of(events) == "".join(f" w{n}" for n in range(60))
        assert [kind for _, kind, _ in events].count("completed") == 1
    ids = {events[0][2]["id"] for events, _ in all_of_them}
    assert len(ids) == 20
    costs = [fleet.stack.job(job_id) for job_id in ids]
    assert {job["usage"]["completion_tokens"] for job in costs} == {60}


def test_who_comes_late_hears_at_once_what_was_said(fleet: Fleet) -> None:
    text, before = words("n=80 tps=100"), requests(fleet)
    leader = post(fleet, text).json()["id"]
    with fleet.stack.reading(leader) as stream:
        for seq, _, _ in stream:
            if seq > 20:
                break
    reply = post(fleet, text)
    assert reply.headers["x-fleet-cache"] == "shared"
    assert reply.json()["predicted_wait_s"] is None
    assert fleet.stack.job(reply.json()["id"])["predicted_wait_s"] is None
    events = fleet.stack.events(reply.json()["id"])
    assert text_of(events) == text_of(fleet.stack.events(leader))
    first = next(data for _, kind, data in events if kind == "token")
    assert first["n"] > 10
    assert requests(fleet) == before + 1


def leader_and_follower(fleet: Fleet, text: str) -> tuple[str, str]:
    """Two jobs of which one is given what the other says, when both have heard some of it."""
    leader, follower = (post(fleet, text).json()["id"] for _ in range(2))
    with fleet.stack.reading(follower) as stream:
        next(seq for seq, kind, _ in stream if kind == "token")
    assert fleet.stack.job(follower)["cache"]["status"] == "shared"
    return leader, follower


@pytest.mark.parametrize("end", ["cancel", "delete"])
def test_a_leader_that_goes_leaves_its_followers_their_answer(fleet: Fleet, end: str) -> None:
    text = words("n=60 tps=60")
    leader, follower = leader_and_follower(fleet, text)
    another = post(fleet, text).json()["id"]
    if end == "cancel":
        fleet.stack.client.post(f"/v1/jobs/{leader}/cancel")
        assert fleet.stack.job(leader)["status"] == "cancelled"
    else:
        fleet.stack.client.delete(f"/v1/jobs/{leader}")
    for job_id in (follower, another):
        shown, events = fleet.stack.ended(job_id), fleet.stack.events(job_id)
        assert shown["status"] == "completed"
        kinds = [kind for _, kind, _ in events]
        assert kinds.count("completed") == 1
        assert kinds.count("restarted") == 1
        assert text_of(events) == shown["answer"]["content"]
        assert text_of(events) == "".join(f" w{n}" for n in range(60))
        assert [one["ended"] for one in shown["attempts"]] == ["handed over", "completed"]
    hows = [fleet.stack.job(job_id)["cache"]["status"] for job_id in (follower, another)]
    assert hows == ["miss", "shared"]


@pytest.mark.parametrize("form", FORMS)
def test_in_every_form_a_follower_gets_its_answer_once_when_its_leader_goes(
    fleet: Fleet, clients: Clients, form: str
) -> None:
    text = words("n=5 tps=4")
    leader = post(fleet, text, max_tokens=50).json()["id"]

    def newest() -> dict[str, Any]:
        shown: dict[str, Any] = fleet.stack.client.get("/v1/jobs?limit=1").json()["jobs"][0]
        return shown

    tell: Tell = getattr(clients, form)
    with ThreadPoolExecutor(1) as thread:
        told = thread.submit(tell, text)
        wait_until(
            lambda: newest()["id"] != leader and newest()["first_token_at"], "it has heard some"
        )
        fleet.stack.client.post(f"/v1/jobs/{leader}/cancel")
        assert told.result(30)[0] == " w0 w1 w2 w3 w4"
    kinds = [kind for _, kind, _ in fleet.stack.events(newest()["id"])]
    assert kinds.count("completed") == 1


def test_a_follower_that_goes_stops_nobody(fleet: Fleet) -> None:
    text, before = words("n=40 tps=80"), requests(fleet)
    leader, follower = leader_and_follower(fleet, text)
    assert fleet.stack.client.post(f"/v1/jobs/{follower}/cancel").json()["status"] == "cancelled"
    assert fleet.stack.ended(leader)["status"] == "completed"
    assert fleet.stack.events(follower)[-1][1] == "cancelled"
    assert requests(fleet) == before + 1


def test_followers_end_as_a_leader_that_breaks_off(fleet: Fleet) -> None:
    text = words("n=90 tps=100")
    leader, follower = (post(fleet, text, max_tokens=50).json()["id"] for _ in range(2))
    shown = [fleet.stack.ended(job_id) for job_id in (leader, follower)]
    assert [job["status"] for job in shown] == ["incomplete"] * 2
    assert shown[0]["answer"] == shown[1]["answer"]
    text = words("ttft=300 fail=400")
    leader, follower = (post(fleet, text).json()["id"] for _ in range(2))
    shown = [fleet.stack.ended(job_id) for job_id in (leader, follower)]
    assert [job["status"] for job in shown] == ["failed"] * 2
    assert shown[0]["error"] == shown[1]["error"]


def test_who_is_in_a_hurry_follows_nobody_in_line(fleet: Fleet) -> None:
    fleet.fast.control(ttft=500)
    text = words("n=3")
    busy = [post(fleet, words("n=3")).json()["id"] for _ in range(4)]
    wait_until(
        lambda: all(fleet.stack.job(job)["status"] == "running" for job in busy), "slots are taken"
    )
    slow = post(fleet, text, priority=9)
    assert post(fleet, text, priority=0).headers["x-fleet-cache"] == "miss"
    assert post(fleet, text, priority=3).headers["x-fleet-cache"] == "shared"
    assert fleet.stack.ended(slow.json()["id"])["status"] == "completed"


# Several keys, other rules: doors of their own to the same fleet.

KEYS = {"ann": "anns-key-0123456789", "bob": "bobs-key-0123456789"}


@contextmanager
def door(fleet: Fleet, folder: Path, rules: str) -> Iterator[dict[str, httpx.Client]]:
    """An API for two callers, with these rules of the cache: a client for each."""
    names = "".join(f'{name} = "{key}"\n' for name, key in KEYS.items())
    config = f"{fleet.stack.config.read_text()}\n[api.keys]\n{names}\n[cache]\n{rules}\n"
    stack = Stack(folder, fleet.stack.env["FLEET_REDIS_URL"], config)
    stack.start_api()
    clients = {name: keyed(stack, key) for name, key in KEYS.items()}
    try:
        wait_until(lambda: is_ready(clients["ann"]), "the API takes jobs", 30)
        yield clients
    finally:
        for client in clients.values():
            client.close()
        stack.stop()


def is_ready(client: httpx.Client) -> bool:
    with suppress(httpx.TransportError):
        return client.get("/ready").status_code == 200
    return False


def told(client: httpx.Client, text: str) -> str:
    """Ask, wait for the end; where the answer comes from."""
    body = {"model": "fast", "temperature": 0, "messages": [{"role": "user", "content": text}]}
    reply = client.post("/v1/chat/completions", json=body)
    assert reply.status_code == 200, reply.text
    how: str = reply.headers["x-fleet-cache"]
    return how


def test_no_key_gets_anothers_answer_and_none_grows_old(fleet: Fleet, tmp_path: Path) -> None:
    with door(fleet, tmp_path, "ttl_s = 1") as clients:
        text = words()
        assert told(clients["ann"], text) == "miss"
        assert told(clients["ann"], text) == "hit"
        assert told(clients["bob"], text) == "miss"
        assert told(clients["bob"], text) == "hit"
        wait_until(lambda: told(clients["ann"], text) == "miss", "the answer is too old", 5)


def test_keys_share_answers_where_the_rules_say_so(fleet: Fleet, tmp_path: Path) -> None:
    with door(fleet, tmp_path, "shared = true") as clients:
        text = words()
        assert told(clients["ann"], text) == "miss"
        assert told(clients["bob"], text) == "hit"
        body = {"message": words("n=40 tps=80"), "model": "fast", "temperature": 0}
        posts = [clients[name].post("/v1/jobs", json=body) for name in KEYS]
        assert [post.headers["x-fleet-cache"] for post in posts] == ["miss", "shared"]
        paths = [f"/v1/jobs/{post.json()['id']}" for post in posts]
        assert clients["bob"].get(paths[0]).status_code == 404
        mine, theirs = (
            clients[name].get(path, params={"wait": 20}).json()
            for name, path in zip(KEYS, paths, strict=True)
        )
        assert mine["answer"] == theirs["answer"]
        assert theirs["cost_usd"] == 0
