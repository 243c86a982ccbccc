"""Keys that are made while the fleet runs: who may ask, for which models, and until when."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis

from fleet.names import KEY_DIGESTS, KEYS
from tests.integration.conftest import MODEL
from tests.stack import Stack
from tests.support import ROOT, Valkey, free_port, start_process, wait_for_line, wait_until

ORIGIN = "https://chat.example.org"
WATCHER = "who-only-watches"
CONFIG = f"""
[api]
cors_origins = ["{ORIGIN}"]
health_key = "{WATCHER}"

[limits]
id_chars = 40
metadata_pairs = 2
metadata_chars = 10
"""


class House:
    """An API without keys in its settings, and the command that makes some."""

    def __init__(self, folder: Path, valkey: Valkey) -> None:
        models = "".join(
            MODEL.format(name=name, url="http://127.0.0.1:1", slots=1, context=4096)
            for name in ("mini", "large")
        )
        self.valkey = valkey
        self.stack = Stack(folder, valkey.url, CONFIG + models)
        self.stack.start_api()
        wait_until(self.listens, "the API listens", 30)

    def listens(self) -> bool:
        try:
            return self.stack.client.get("/ready").status_code == 200
        except httpx.TransportError:
            return False

    def keys(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cli.main", "keys", *words],
            cwd=ROOT,
            env={**os.environ, **self.stack.env},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def told(self, *words: str) -> dict[str, Any]:
        done = self.keys(*words, "--json")
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def create(self, name: str, *limits: str) -> str:
        key: str = self.told("create", name, *limits)["key"]
        return key

    def ask(
        self, key: str, method: str = "POST", path: str = "/v1/jobs", **how: Any
    ) -> httpx.Response:
        body: dict[str, Any] = (
            {} if method == "GET" else {"json": {"message": "Hi", **how.pop("body", {})}}
        )
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        headers |= how.pop("headers", {})
        return self.stack.client.request(method, path, headers=headers, **body, **how)

    def post(self, key: str, **body: Any) -> httpx.Response:
        return self.ask(key, body=body)

    def job(self, key: str, job_id: str) -> httpx.Response:
        return self.ask(key, "GET", f"/v1/jobs/{job_id}")

    def restart(self) -> None:
        """An API that has never seen a key."""
        process = self.stack.processes["api"]
        process.terminate()
        process.wait(20)
        self.stack.start_api()
        wait_until(self.listens, "the API listens", 30)


@pytest.fixture(scope="module")
def shared_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("keys")
    valkey = Valkey(folder)
    valkey.start()
    house = House(folder, valkey)
    yield house
    house.stack.stop()
    valkey.stop()


@pytest.fixture
def house(shared_house: House) -> House:
    """The house without any key, as its API may have seen one before."""
    with Redis.from_url(shared_house.valkey.url) as client:
        client.flushdb()
    return shared_house


@pytest.fixture
def open_house(house: House) -> House:
    """The house whose API has never seen a key."""
    house.restart()
    return house


def test_a_key_opens_the_door_from_its_making_to_its_revocation(house: House) -> None:
    key, other = house.create("alice"), house.create("bob")
    assert house.post(key).status_code == 202
    began = time.monotonic()
    assert house.told("revoke", "alice") == {"name": "alice", "revoked": True}
    wait_until(lambda: house.post(key).status_code == 401, "it is shut", 5)
    refused = house.post(key)
    assert refused.json()["error"]["code"] == "unauthorized"
    assert refused.headers["www-authenticate"] == "Bearer"
    assert house.post(other).status_code == 202
    assert time.monotonic() - began < 5


def test_a_revoked_key_is_believed_no_longer_than_a_second(house: House) -> None:
    key = house.create("alice")
    assert house.post(key).status_code == 202
    with Redis.from_url(house.valkey.url) as client:
        client.delete(KEYS, KEY_DIGESTS)
    began = time.monotonic()
    wait_until(lambda: house.post(key).status_code == 401, "it is shut", 5)
    assert time.monotonic() - began < 1.5


def test_to_revoke_the_last_key_lets_nobody_in(house: House) -> None:
    key = house.create("alice")
    assert house.post(key).status_code == 202
    wait_until(lambda: house.post("").status_code == 401, "a key is needed", 5)
    assert "That was the last key" in house.keys("revoke", "alice").stderr
    wait_until(lambda: house.post(key).status_code == 401, "it is shut", 5)
    assert house.post("").status_code == 401


def test_a_new_key_under_the_old_name_keeps_the_jobs(house: House) -> None:
    old, other = house.create("alice"), house.create("bob")
    job_id = house.post(old).json()["id"]
    house.told("revoke", "alice")
    new = house.create("alice")
    assert new != old
    assert house.job(new, job_id).status_code == 200
    assert house.job(other, job_id).status_code == 404


def test_as_soon_as_one_key_exists_a_key_is_needed(open_house: House) -> None:
    house = open_house
    assert house.post("").status_code == 202
    access = house.stack.client.get("/health").json()["access"]
    assert access == "this machine only: there is no key"
    key = house.create("alice")
    wait_until(lambda: house.post("").status_code == 401, "a key is needed", 3)
    assert list(house.stack.client.get("/health").json()) == ["status"]
    assert house.ask(key, "GET", "/health").json()["access"] == "with a key"
    said = (house.stack.folder / "api.log").read_text()
    assert "no key exists: only this machine is served" in said
    assert key not in said


def test_the_key_of_those_who_watch_opens_health_and_nothing_else(house: House) -> None:
    house.create("alice")
    wait_until(lambda: house.post("").status_code == 401, "a key is needed", 5)
    assert house.ask(WATCHER, "GET", "/health").json()["access"] == "with a key"
    assert house.ask(WATCHER, "GET", "/v1/jobs").status_code == 401
    assert house.post(WATCHER).status_code == 401


def test_a_key_may_come_in_anthropics_way_too(house: House) -> None:
    key = house.create("alice")
    wait_until(lambda: house.post("").status_code == 401, "a key is needed", 3)
    assert house.ask("", headers={"x-api-key": key}).status_code == 202
    assert house.ask("", headers={"x-api-key": key + "x"}).status_code == 401
    assert house.ask("", headers={"Authorization": f"Basic {key}"}).status_code == 401
    both = {"Authorization": "Bearer", "x-api-key": key}
    assert house.ask("", headers=both).status_code == 202
    assert house.ask("", headers={**both, "Authorization": "Bearer x"}).status_code == 401


def test_nothing_of_a_key_that_could_open_the_door_is_kept(house: House) -> None:
    made = house.told("create", "alice", "--rpm", "5")
    key = made.pop("key")
    assert len(key) >= len("fleet-") + 22
    with Redis.from_url(house.valkey.url, decode_responses=True) as client:
        kept = str(client.hgetall(KEYS)) + str(client.hgetall(KEY_DIGESTS))
        assert client.hlen(KEY_DIGESTS) == 1
    assert key not in kept
    assert made["begins"] == key[:10]
    assert house.told("list")["keys"] == [made]
    house.told("revoke", "alice")
    with Redis.from_url(house.valkey.url) as client:
        assert (client.hlen(KEYS), client.hlen(KEY_DIGESTS)) == (0, 0)


def test_a_name_is_given_once_however_many_ask_at_once(house: House, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cli.main", "keys", "create", "alice", "--json"]
    logs = [tmp_path / f"{number}.log" for number in range(4)]
    codes = [
        process.wait(60)
        for process in [start_process(command, log, env=house.stack.env) for log in logs]
    ]
    assert sorted(codes) == [0, 2, 2, 2]
    key = json.loads(logs[codes.index(0)].read_text())["key"]
    assert house.post(key).status_code == 202


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("create", "local"), "'local' is taken by the settings"),
        (("create", "default"), "'default' is taken by the settings"),
        (("create", "No Name"), "use 1 to 63 of a-z 0-9"),
        (("create", "eve", "--models", "mini,lrage"), "no model 'lrage' in the catalogue"),
        (("create", "eve", "--budget", "nan"), "'--budget'"),
        (("create", "eve", "--budget", "inf"), "--budget: 0, or from 0.000001 to 1000000000"),
        (("create", "eve", "--budget", "1e-12"), "--budget: 0, or from 0.000001 to 1000000000"),
        (("create", "eve", "--tpm", "1" + "0" * 30), "'--tpm'"),
        (("revoke", "nobody"), "no key is named 'nobody'"),
        (("show", "nobody"), "no key is named 'nobody'"),
    ],
)
def test_what_cannot_be_is_refused_with_the_cure(
    house: House, words: tuple[str, ...], said: str
) -> None:
    done = house.keys(*words)
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_key_with_models_gets_no_others(house: House) -> None:
    key = house.create("alice", "--models", "large")
    assert house.post(key, model="large").status_code == 202
    for model in ("mini", "gpt-9"):
        refused = house.post(key, model=model)
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_not_found")
    for model in ("auto", "tool"):  # a role that another model would serve first
        job_id = house.post(key, model=model).json()["id"]
        with Redis.from_url(house.valkey.url, decode_responses=True) as client:
            assert json.loads(client.hget(f"fleet:job:{job_id}", "allowed") or "") == ["large"]


def test_keys_that_only_redis_knows_are_503_while_it_is_away(house: House) -> None:
    key = house.create("alice")
    assert house.post(key).status_code == 202
    house.valkey.stop()
    try:
        wait_until(lambda: house.post(key).status_code == 503, "Redis is missed", 5)
        refused = house.post("fleet-unknown")
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "store_unavailable"
        assert "retry-after" in refused.headers
    finally:
        house.valkey.start()
    wait_until(lambda: house.post(key).status_code == 202, "it is back", 10)


def test_the_commands_of_a_fleet_that_needs_a_key_say_how_to_get_in(house: House) -> None:
    key = house.create("alice")
    wait_until(lambda: house.post("").status_code == 401, "a key is needed", 3)
    for sent, problem in (
        ("", "needs a key"),
        ("fleet-wrong-wrong-wrong", "does not take the key"),
    ):
        env = {**house.stack.env, **({"FLEET_KEY": sent} if sent else {})}
        log = house.stack.folder / f"ask{len(sent)}.log"
        command = [sys.executable, "-m", "cli.main", "jobs", "--url", house.stack.url]
        assert start_process(command, log, env=env).wait(30) == 1
        assert problem in log.read_text()
        assert "set FLEET_KEY to one that `fleet keys create NAME`" in log.read_text()
    log = house.stack.folder / "well.log"
    env = {**house.stack.env, "FLEET_KEY": key}
    assert start_process(command, log, env=env).wait(30) == 0


def test_an_api_for_others_does_not_start_without_any_key(house: House, tmp_path: Path) -> None:
    env = {**house.stack.env, "FLEET_API__HOST": "0.0.0.0", "FLEET_API__PORT": "0"}
    command = [sys.executable, "-m", "cli.main", "api"]
    assert start_process(command, tmp_path / "no.log", env=env).wait(30) == 2
    assert "there is no key in Redis" in (tmp_path / "no.log").read_text()
    house.create("alice")
    process = start_process(command, tmp_path / "yes.log", env=env)
    wait_until(
        lambda: "Uvicorn running on http://0.0.0.0" in (tmp_path / "yes.log").read_text(),
        "it listens to others",
        30,
    )
    process.terminate()
    process.wait(20)


def test_fleet_up_counts_the_keys_in_a_redis_of_its_own(tmp_path: Path) -> None:
    config = tmp_path / "fleet.toml"
    config.write_text(MODEL.format(name="fast", url="http://127.0.0.1:1", slots=1, context=4096))
    env = {
        "FLEET_HOME": str(tmp_path / "home"),
        "FLEET_CONFIG": str(config),
        "FLEET_API__PORT": str(free_port()),
        "FLEET_ROUTER__CLASSIFIER": "keywords",
    }
    wide = {**env, "FLEET_API__HOST": "0.0.0.0"}
    command = [sys.executable, "-m", "cli.main"]
    up = [*command, "up", "--no-flower"]
    assert start_process(up, tmp_path / "refused.log", env=wide).wait(60) == 2
    assert "there is no key in Redis" in (tmp_path / "refused.log").read_text()
    here = {key: value for key, value in env.items() if key != "FLEET_CONFIG"}
    with is_up(up, tmp_path / "first.log", env):
        made = start_process([*command, "keys", "create", "alice"], tmp_path / "key", env=here)
        assert made.wait(60) == 0
        assert "fleet-" in (tmp_path / "key").read_text()
    with is_up(up, tmp_path / "second.log", wide):  # which asks for health with a key of its own
        refused = start_process([*command, "jobs"], tmp_path / "jobs.log", env=here)
        assert refused.wait(60) == 1
    assert "This fleet needs a key" in (tmp_path / "jobs.log").read_text()


@contextmanager
def is_up(command: list[str], log: Path, env: dict[str, str]) -> Iterator[None]:
    process = start_process(command, log, env=env)
    wait_for_line(log, "The fleet is up", process, 60)
    yield
    process.terminate()
    assert process.wait(60) == 0


def test_a_page_of_an_allowed_origin_may_ask_and_read_the_head(house: House) -> None:
    key = house.create("alice", "--rpm", "5")
    wait_until(lambda: house.post("").status_code == 401, "a key is needed", 3)
    asks = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type, x-stainless-lang",
    }
    preflight = house.stack.client.options("/v1/jobs", headers=asks)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == ORIGIN
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    reply = house.ask(key, headers={"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"})
    assert reply.status_code == 202
    exposed = reply.headers["access-control-expose-headers"].lower().split(", ")
    assert {"x-ratelimit-remaining-requests", "x-fleet-job-id", "retry-after"} <= set(exposed)
    refused = house.ask("", headers={"Origin": ORIGIN})
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == ORIGIN


def test_a_page_of_another_origin_is_told_nothing(open_house: House) -> None:
    house = open_house
    asks = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    preflight = house.stack.client.options("/v1/jobs", headers=asks)
    assert preflight.status_code == 400
    assert "access-control-allow-origin" not in preflight.headers
    mislabelled = house.stack.client.post(
        "/v1/jobs",
        content=b'{"message": "Hi"}',
        headers={"Origin": ORIGIN, "Content-Type": "text/plain", "Sec-Fetch-Site": "cross-site"},
    )
    assert mislabelled.status_code == 400  # without a preflight nobody has asked who it is


@pytest.mark.parametrize(
    ("how", "param", "said"),
    [
        ({"headers": {"Idempotency-Key": "k" * 41}}, "Idempotency-Key", "[limits] id_chars"),
        ({"body": {"conversation_id": "c" * 41}}, "conversation_id", "[limits] id_chars"),
        ({"body": {"metadata": {"a": "1", "b": "2", "c": "3"}}}, "metadata", "metadata_pairs"),
        ({"body": {"metadata": {"a": "x" * 11}}}, "metadata.a", "[limits] metadata_chars"),
    ],
)
def test_what_a_caller_names_has_bounds_that_can_be_set(
    house: House, how: dict[str, Any], param: str, said: str
) -> None:
    key = house.create("alice")
    refused = house.ask(key, **how)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)
    assert said in refused.json()["error"]["message"]
    assert house.ask(key, headers={"Idempotency-Key": "k" * 40}).status_code == 202
