"""Where a job went, in the head of every answer; and what its caller says of that."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.conftest import MODEL, Fleet
from tests.stack import Stack, frames
from tests.support import wait_until

HEADERS = ("x-fleet-route", "x-fleet-model", "x-fleet-confidence")
KEYS = {"alice": "alices-key-0123456789", "bob": "bobs-key-0123456789"}


def told(reply: httpx.Response) -> tuple[str | None, ...]:
    return tuple(reply.headers.get(name) for name in HEADERS)


def give(client: httpx.Client, job_id: str, **said: Any) -> httpx.Response:
    return client.post(f"/v1/jobs/{job_id}/feedback", json=said)


# In the head.


def test_every_way_to_a_job_tells_where_it_went(fleet: Fleet) -> None:
    fleet.stack.ended(fleet.stack.post("Hi [[fake n=1]]"))  # the first one takes a router a second
    client = fleet.stack.client
    body = {"message": "What is the weather in Paris? [[fake n=2]]"}
    with client.stream("POST", "/api/chat/stream", json=body) as stream:
        events = list(frames(stream.iter_lines()))
        job_id = stream.headers["x-fleet-job-id"]
    job = fleet.stack.ended(job_id)
    expected = ("tool", "tool", f"{job['confidence']:.2f}")
    assert told(stream) == expected
    assert [number for number, _, _ in events] == list(range(len(events)))
    assert [kind for _, kind, _ in events][:3] == ["queued", "routed", "started"]
    assert told(client.get(f"/v1/jobs/{job_id}")) == expected
    assert told(client.get(f"/v1/jobs/{job_id}/events")) == expected
    last = {"Last-Event-ID": str(events[-1][0])}
    nothing_left = client.get(f"/v1/jobs/{job_id}/events", headers=last)
    assert (nothing_left.status_code, told(nothing_left)) == (204, expected)


def test_a_job_shows_who_decided_and_how_sure(fleet: Fleet) -> None:
    job = fleet.stack.ended(fleet.stack.post("Hello [[fake n=1]]", model="large"))
    assert (job["confidence"], job["classifier"]) == (1.0, "rules")
    assert {job[name] for name in ("runner_up", "domain", "experiment", "arm")} == {None}
    assert job["feedback"] is None


def test_the_name_of_a_conversation_does_not_reach_the_model(fleet: Fleet) -> None:
    mark = "marker-4712"
    job_id = fleet.stack.post(f"Hi [[fake n=1]] {mark}", model="fast", conversation_id="talk-1")
    fleet.stack.ended(job_id)
    body = next(b for b in fleet.fast.stats()["bodies"] if mark in str(b))
    assert "conversation_id" not in body


# An API alone: nobody decides.


@pytest.fixture(scope="module")
def api(valkey: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    config = MODEL.format(name="fast", url="http://127.0.0.1:1", slots=1, context=4096)
    folder: Path = tmp_path_factory.mktemp("feedback")
    url = valkey.rpartition("/")[0] + "/5"
    stack = Stack(folder, url, config, FLEET_API__KEYS=json.dumps(KEYS))
    stack.client.headers["Authorization"] = f"Bearer {KEYS['alice']}"
    stack.start_api()
    wait_until(lambda: listens(stack), "the API listens", 20)
    yield stack
    stack.stop()


@pytest.fixture
def job_id(api: Stack) -> str:
    """A job of alice's that nobody has routed."""
    return api.post()


def listens(stack: Stack) -> bool:
    try:
        return stack.client.get("/ready").status_code == 200
    except httpx.TransportError:
        return False


def test_a_stream_waits_a_second_for_a_router_and_then_begins_without_it(api: Stack) -> None:
    began = time.monotonic()
    with api.client.stream("POST", "/api/chat/stream", json={"message": "Hi"}) as reply:
        assert 0.9 < time.monotonic() - began < 2
        assert (reply.status_code, told(reply)) == (200, (None,) * 3)
        events = frames(reply.iter_lines())
        assert next(events)[1] == "queued"
        api.client.post(f"/v1/jobs/{reply.headers['x-fleet-job-id']}/cancel")
        assert [kind for _, kind, _ in events] == ["cancelled"]


def test_before_a_job_is_routed_no_head_tells_where_it_goes(api: Stack, job_id: str) -> None:
    shown = api.client.get(f"/v1/jobs/{job_id}")
    assert told(shown) == (None,) * 3
    assert (shown.json()["confidence"], shown.json()["classifier"]) == (None, None)
    with api.client.stream("GET", f"/v1/jobs/{job_id}/events") as reply:
        assert told(reply) == (None,) * 3


# Feedback.


def test_a_caller_says_what_a_job_needed_and_the_latest_word_counts(
    api: Stack, job_id: str
) -> None:
    reply = give(api.client, job_id, route="claude", rating=2, comment="too short")
    said = {"route": "claude", "rating": 2, "comment": "too short"}
    assert reply.status_code == 200
    assert reply.json() == {"id": job_id, "object": "job.feedback", **said}
    assert api.job(job_id)["feedback"] == said
    assert give(api.client, job_id, rating=5).json()["route"] is None
    assert api.job(job_id)["feedback"] == {"route": None, "rating": 5, "comment": None}
    listed = api.client.get("/v1/jobs").json()["jobs"]
    assert all("feedback" not in job for job in listed)


def test_a_job_that_has_ended_may_be_rated_too(api: Stack, job_id: str) -> None:
    api.client.post(f"/v1/jobs/{job_id}/cancel")
    assert give(api.client, job_id, route="fast").status_code == 200
    shown = api.job(job_id)
    assert (shown["status"], shown["feedback"]["route"]) == ("cancelled", "fast")


@pytest.mark.parametrize(
    ("body", "param", "message"),
    [
        ({}, None, "give `route`"),
        ({"comment": "good"}, None, "give `route`"),
        ({"route": None}, None, "give `route`"),
        ({"route": "slow"}, "route", "there is no 'slow'; there are: fast, tool, large, claude"),
        ({"route": "auto"}, "route", "there are: fast"),
        ({"route": 3}, "route", "string"),
        ({"rating": 0}, "rating", "1"),
        ({"rating": 6}, "rating", "5"),
        ({"rating": "5"}, "rating", "integer"),
        ({"rating": True}, "rating", "integer"),
        ({"rating": 5, "comment": "x" * 2_001}, "comment", "2000"),
        ({"rating": 5, "mood": "good"}, "mood", "no such field"),
        ([], None, "JSON object"),
    ],
)
def test_feedback_that_is_wrong_is_told_where_and_why(
    api: Stack, job_id: str, body: Any, param: str | None, message: str
) -> None:
    reply = api.client.post(f"/v1/jobs/{job_id}/feedback", json=body)
    assert reply.status_code == 400, reply.text
    error = reply.json()["error"]
    assert (error["code"], error["param"]) == ("invalid_request", param)
    assert message in error["message"]
    assert api.job(job_id)["feedback"] is None


def test_another_callers_job_and_none_at_all_are_not_there(api: Stack, job_id: str) -> None:
    bob = {"Authorization": f"Bearer {KEYS['bob']}"}
    path = f"/v1/jobs/{job_id}/feedback"
    assert api.client.post(path, json={"rating": 1}, headers=bob).status_code == 404
    assert give(api.client, "job_x", rating=1).status_code == 404
    assert give(api.client, f"job_{32 * '0'}", rating=1).status_code == 404
    assert api.job(job_id)["feedback"] is None


def test_the_document_describes_the_body(api: Stack) -> None:
    paths = api.client.get("/openapi.json").json()["paths"]
    body = paths["/v1/jobs/{job_id}/feedback"]["post"]["requestBody"]
    schema = body["content"]["application/json"]["schema"]
    assert schema["properties"].keys() == {"route", "rating", "comment"}


def test_the_name_of_a_conversation_is_part_of_what_an_idempotency_key_stands_for(
    api: Stack,
) -> None:
    def post(name: str | None) -> int:
        body = {"message": "Hi", "conversation_id": name}
        return api.client.post("/v1/jobs", json=body, headers={"Idempotency-Key": "k"}).status_code

    assert [post("talk-1"), post("talk-1"), post("talk-2"), post(None)] == [202, 202, 409, 409]


def test_who_changes_its_mind_again_and_again_is_stopped(fleet: Fleet) -> None:
    job_id = fleet.stack.post("Hi [[fake n=1]]")
    fleet.stack.ended(job_id)
    replies = [give(fleet.stack.client, job_id, rating=1 + n % 5) for n in range(22)]
    assert [reply.status_code for reply in replies] == [200] * 20 + [409] * 2
    assert "may change 20 times" in replies[-1].json()["error"]["message"]
