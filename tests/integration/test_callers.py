"""Several callers at one API: each has a key, and sees what is its own."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.ready import Probes
from tests.integration.conftest import MODEL
from tests.stack import Stack
from tests.support import wait_until

KEYS = {"alice": "alices-key-0123456789", "bob": "bobs-key-0123456789"}
SINGLE = "short"


class Door:
    """An API with three keys, and a client for each."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.stranger = stack.client
        self.alice, self.bob = (self.client(key) for key in KEYS.values())
        self.default = self.client(SINGLE)

    def client(self, key: str) -> httpx.Client:
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.Client(base_url=self.stack.url, headers=headers, timeout=30, trust_env=False)


@pytest.fixture(scope="module")
def door(valkey: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    config = MODEL.format(name="fast", url="http://127.0.0.1:1", slots=1, context=4096)
    stack = Stack(
        tmp_path_factory.mktemp("callers"),
        valkey.rpartition("/")[0] + "/4",
        config,
        FLEET_API__KEY=SINGLE,
        FLEET_API__KEYS=json.dumps(KEYS),
    )
    stack.start_api()
    door = Door(stack)
    wait_until(lambda: listens(door), "the API listens", 20)
    yield door
    for client in (door.alice, door.bob, door.default):
        client.close()
    stack.stop()


def listens(door: Door) -> bool:
    try:
        return door.stranger.get("/ready").status_code == 200
    except httpx.TransportError:
        return False


def post(client: httpx.Client, text: str = "Hi", key: str | None = None) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.post("/v1/jobs", json={"message": text}, headers=headers)


def test_without_a_key_of_somebody_there_is_nothing(door: Door) -> None:
    marks = ["", "Bearer", "Bearer x", f"Basic {KEYS['bob']}", f"Bearer {KEYS['bob']}x", "Bearer é"]
    for mark in marks:
        reply = door.stranger.get("/v1/jobs", headers={b"Authorization": mark.encode()})
        assert (reply.status_code, reply.headers["www-authenticate"]) == (401, "Bearer")
        assert reply.json()["error"]["code"] == "unauthorized"


def test_each_key_opens_the_door(door: Door) -> None:
    for client in (door.alice, door.bob, door.default):
        assert post(client).status_code == 202


def test_another_callers_job_is_as_unknown_as_none(door: Door) -> None:
    job_id = post(door.alice).json()["id"]
    nobodys = "job_" + "0" * 32
    for method, path in (("GET", ""), ("GET", "?wait=5"), ("GET", "/events"), ("POST", "/cancel")):
        foreign = door.bob.request(method, f"/v1/jobs/{job_id}{path}")
        unknown = door.bob.request(method, f"/v1/jobs/{nobodys}{path}")
        assert (foreign.status_code, unknown.status_code) == (404, 404)
        assert foreign.text.replace(job_id, nobodys) == unknown.text
    assert door.alice.get(f"/v1/jobs/{job_id}").json()["status"] == "queued"
    with door.alice.stream("GET", f"/v1/jobs/{job_id}/events") as reply:
        assert reply.status_code == 200
    assert door.alice.post(f"/v1/jobs/{job_id}/cancel").json()["status"] == "cancelled"


def test_another_callers_response_is_as_unknown_as_none(door: Door) -> None:
    body: dict[str, Any] = {"input": "Hi", "background": True}
    mine = door.alice.post("/v1/responses", json=body).json()["id"]
    nobodys = "resp_" + "0" * 32
    paths = ("GET", ""), ("GET", "?stream=true"), ("GET", "/input_items"), ("POST", "/cancel")
    for method, path in (*paths, ("DELETE", "")):
        foreign = door.bob.request(method, f"/v1/responses/{mine}{path}")
        unknown = door.bob.request(method, f"/v1/responses/{nobodys}{path}")
        assert (foreign.status_code, unknown.status_code) == (404, 404)
        assert foreign.text.replace(mine, nobodys) == unknown.text
    chained = door.bob.post("/v1/responses", json=body | {"previous_response_id": mine})
    assert chained.json()["error"]["code"] == "previous_response_not_found"
    item = {"type": "item_reference", "id": f"msg_{mine.removeprefix('resp_')}_i0"}
    referring = {"input": [item]}
    assert door.bob.post("/v1/responses", json=referring).status_code == 400
    assert door.alice.post("/v1/responses", json=referring | {"background": True}).is_success
    assert door.bob.delete(f"/v1/jobs/{mine}").status_code == 404
    assert door.alice.get(f"/v1/responses/{mine}").json()["status"] == "queued"
    assert door.alice.post(f"/v1/responses/{mine}/cancel").json()["status"] == "cancelled"
    assert door.alice.delete(f"/v1/jobs/{mine}").json()["deleted"]
    assert door.alice.get(f"/v1/responses/{mine}").status_code == 404


def test_a_list_holds_ones_own_jobs_only(door: Door) -> None:
    for _ in range(3):
        post(door.alice)
        post(door.bob)
    seen: dict[str, set[str]] = {}
    for name, client in (("alice", door.alice), ("bob", door.bob)):
        ids = [job["id"] for job in pages(client)]
        assert len(ids) == len(set(ids)) >= 3
        seen[name] = set(ids)
    assert not seen["alice"] & seen["bob"]


def pages(client: httpx.Client) -> Iterator[dict[str, Any]]:
    after: dict[str, str] = {}
    while True:
        page = client.get("/v1/jobs", params={"limit": "2", **after}).json()
        yield from page["jobs"]
        if page["next"] is None:
            return
        after = {"after": page["next"]}


def test_an_idempotency_key_belongs_to_its_caller(door: Door) -> None:
    first = post(door.alice, "Hi", "once")
    assert post(door.alice, "Hi", "once").json()["id"] == first.json()["id"]
    other = post(door.bob, "Something else", "once")
    assert other.status_code == 202
    assert other.json()["id"] != first.json()["id"]


@pytest.mark.parametrize(
    ("path", "words"), [("/health", {"ok", "degraded", "down"}), ("/ready", {"ready"})]
)
def test_a_stranger_is_told_one_word(door: Door, path: str, words: set[str]) -> None:
    told = door.stranger.get(path).json()
    assert list(told) == ["status"]
    assert told["status"] in words


def test_who_has_a_key_is_told_what_is_wrong_and_what_helps(door: Door) -> None:
    assert door.alice.get("/health").json()["problems"] == [
        "No router lives: start one with `fleet router`.",
        "No worker serves `fast`: start one with `fleet worker fast`.",
    ]


async def test_who_starts_the_fleet_asks_for_its_health_with_a_key(door: Door) -> None:
    probes = Probes("", door.stack.url, KEYS["alice"])
    try:
        assert "router" in (await probes.health() or {})
    finally:
        await probes.close()


def test_no_key_is_in_the_log(door: Door) -> None:
    said = (door.stack.folder / "api.log").read_text()
    assert not [key for key in KEYS.values() if key in said]


def test_a_key_that_is_too_short_stops_the_start_without_being_shown(tmp_path: Path) -> None:
    stack = Stack(tmp_path, "redis://127.0.0.1:1/0", "", FLEET_API__KEYS='{"eve": "tooshort"}')
    process = stack.start("api", "cli.main", "api")
    assert process.wait(20) == 2
    said = (tmp_path / "api.log").read_text()
    assert "api.keys: the key of 'eve' must have at least 16 characters" in said
    assert "tooshort" not in said
    stack.stop()
