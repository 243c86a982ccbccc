"""The API is restarted: every open line ends well, at once, and its reader goes on elsewhere."""

import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openai import OpenAI
from redis import Redis

from cli.client import FleetClient
from fleet.names import live_channel
from tests.fakes.handle import Fake
from tests.integration.conftest import CONFIG, MODEL
from tests.stack import TERMINAL, Stack, frames, text_of
from tests.support import wait_until

FAREWELL = ": the server restarts; come back to /v1/jobs/{}/events with Last-Event-ID"


@pytest.fixture(scope="module")
def stack(valkey: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A fleet whose API each test may end."""
    folder = tmp_path_factory.mktemp("restart")
    fast = Fake("llama_server", folder / "fast.log", "--slots=8")
    fast.start()
    config = CONFIG + MODEL.format(name="fast", url=fast.url, slots=8, context=4096)
    stack = Stack(folder, valkey.rpartition("/")[0] + "/3", config)
    stack.start_all("fast")
    yield stack
    stack.stop()
    fast.close()


@pytest.fixture
def running(stack: Stack) -> Iterator[Stack]:
    """The fleet with its API up, before and after."""
    yield stack
    restart(stack)


def restart(stack: Stack) -> None:
    if stack.processes["api"].poll() is not None:
        stack.start_api()
        stack.wait_ready("fast")


class Reading(threading.Thread):
    """Reads a response to its end, line by line, in a thread of its own."""

    def __init__(self, stack: Stack, method: str, path: str, **request: Any) -> None:
        super().__init__(daemon=True)
        self.lines: list[str] = []
        self.headers = httpx.Headers()
        self.error: Exception | None = None
        self.ended_at = 0.0
        self._url = f"{stack.url}{path}"
        self._how = (method, request)
        self.start()

    def run(self) -> None:
        method, request = self._how
        try:
            with httpx.stream(method, self._url, timeout=30, trust_env=False, **request) as reply:
                self.headers = reply.headers
                for line in reply.iter_lines():
                    self.lines.append(line)
        except httpx.HTTPError as error:
            self.error = error
        self.ended_at = time.monotonic()

    def until_tokens(self) -> None:
        wait_until(lambda: "event: token" in self.lines, "the answer has begun")

    def end(self) -> None:
        self.join(10)
        assert not self.is_alive(), self.lines[-3:]
        assert self.error is None, self.error


def stop(process: "subprocess.Popen[bytes]", how: signal.Signals = signal.SIGTERM) -> float:
    """Tell it to end. Gives the time of the telling."""
    told = time.monotonic()
    process.send_signal(how)
    process.wait(10)
    assert time.monotonic() - told < 1.5
    return told


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_every_open_stream_ends_at_once_and_says_where_to_go_on(
    running: Stack, how: signal.Signals
) -> None:
    ids = [running.post("Hi [[fake n=60 tps=20]]") for _ in range(3)]
    readers = [Reading(running, "GET", f"/v1/jobs/{job_id}/events") for job_id in ids]
    for reader in readers:
        reader.until_tokens()
    told = stop(running.processes["api"], how)
    for job_id, reader in zip(ids, readers, strict=True):
        reader.end()
        assert reader.ended_at - told < 0.3
        assert reader.lines[-3:] == ["retry: 500", FAREWELL.format(job_id), ""]
    restart(running)
    for job_id, reader in zip(ids, readers, strict=True):
        seen = list(frames(iter(reader.lines)))
        seen += running.events(job_id, after=seen[-1][0])
        assert [number for number, _, _ in seen] == list(range(len(seen)))
        assert text_of(seen) == "".join(f" w{n}" for n in range(60))


def test_a_responses_stream_goes_on_in_the_sdk_where_it_was(running: Stack) -> None:
    asked: dict[str, Any] = {"model": "fast", "input": "Hi [[fake n=60 tps=20]]", "stream": True}
    reader = Reading(running, "POST", "/v1/responses", json=asked)
    wait_until(lambda: "event: response.output_text.delta" in reader.lines, "the answer has begun")
    told = stop(running.processes["api"])
    reader.end()
    assert reader.ended_at - told < 0.3
    seen = list(frames(iter(reader.lines)))
    response_id = seen[0][2]["response"]["id"]
    place = f"/v1/responses/{response_id}?stream=true&starting_after={seen[-1][0]}"
    assert reader.lines[-2] == f": the server restarts; come back to {place}"
    restart(running)
    with OpenAI(base_url=f"{running.url}/v1", api_key="any") as client:
        stream: Any = client.responses.retrieve(
            response_id, stream=True, starting_after=seen[-1][0]
        )
        rest = list(stream)
    numbers = [number for number, _, _ in seen] + [event.sequence_number for event in rest]
    assert numbers == list(range(len(numbers)))
    words = [data["delta"] for _, kind, data in seen if kind.endswith("output_text.delta")]
    words += [event.delta for event in rest if event.type == "response.output_text.delta"]
    assert "".join(words) == rest[-1].response.output_text == "".join(f" w{n}" for n in range(60))


def test_the_end_of_the_api_is_no_disconnect_of_its_reader(running: Stack) -> None:
    body = {"message": "Hi [[fake n=40 tps=20]]", "on_disconnect": "cancel"}
    reader = Reading(running, "POST", "/api/chat/stream", json=body)
    reader.until_tokens()
    stop(running.processes["api"])
    reader.end()
    restart(running)
    job_id = reader.headers["x-fleet-job-id"]
    seen = list(frames(iter(reader.lines)))
    seen += running.events(job_id, after=seen[-1][0])
    assert seen[-1][1] == "completed"
    assert [number for number, _, _ in seen] == list(range(len(seen)))


def test_who_waits_for_the_end_of_a_job_hears_at_once_how_it_stands(running: Stack) -> None:
    job_id = running.post("Hi [[fake n=60 tps=20]]")
    running.until_status(job_id, "running")
    reader = Reading(running, "GET", f"/v1/jobs/{job_id}?wait=20")
    wait_until(lambda: listeners(running, job_id), "the API listens for its end")
    told = stop(running.processes["api"])
    reader.end()
    assert reader.ended_at - told < 0.3
    assert '"status":"running"' in "".join(reader.lines)
    restart(running)
    assert running.ended(job_id)["status"] == "completed"


def listeners(stack: Stack, job_id: str) -> int:
    """Processes that hear of the job's events as they are written."""
    with Redis.from_url(stack.env["FLEET_REDIS_URL"]) as client:
        [(_, count)] = client.pubsub_numsub(live_channel(job_id))
    return int(count)


async def test_our_own_client_comes_back_by_itself_at_the_right_number(running: Stack) -> None:
    async with FleetClient(running.url) as client:
        job_id = str((await client.submit({"message": "Hi [[fake n=100 tps=25]]"}))["id"])
        numbers: list[int] = []
        text = ""
        async for frame in client.events(job_id):
            numbers.append(int(frame.id))
            text += str(frame.payload().get("content") or "")
            if text.endswith(" w10"):
                stop(running.processes["api"])
                running.start_api()
    assert numbers == list(range(len(numbers)))
    assert text == "".join(f" w{n}" for n in range(100))


def test_with_several_processes_every_one_ends_its_streams(running: Stack) -> None:
    stop(running.processes["api"])
    running.start_api("--workers", "2")
    running.wait_ready("fast")
    ids = [running.post("Hi [[fake n=60 tps=20]]") for _ in range(6)]
    readers = [Reading(running, "GET", f"/v1/jobs/{job_id}/events") for job_id in ids]
    for reader in readers:
        reader.until_tokens()
    stop(running.processes["api"])
    for job_id, reader in zip(ids, readers, strict=True):
        reader.end()
        assert FAREWELL.format(job_id) in reader.lines
    restart(running)
    for job_id in ids:
        assert running.ended(job_id)["status"] in TERMINAL


def test_fleet_api_ends_as_quickly(running: Stack) -> None:
    stop(running.processes["api"])
    running.start("api", "cli.main", "api")
    running.wait_ready("fast")
    job_id = running.post("Hi [[fake n=60 tps=20]]")
    reader = Reading(running, "GET", f"/v1/jobs/{job_id}/events")
    reader.until_tokens()
    stop(running.processes["api"])
    reader.end()
    assert FAREWELL.format(job_id) in reader.lines


def test_a_chat_completion_is_told_where_its_job_goes_on(running: Stack) -> None:
    body = {
        "model": "fast",
        "messages": [{"role": "user", "content": "Hi [[fake n=40 tps=20]]"}],
        "stream": True,
    }
    reader = Reading(running, "POST", "/v1/chat/completions", json=body)
    wait_until(lambda: any('" w0"' in line for line in reader.lines), "the answer has begun")
    stop(running.processes["api"])
    reader.end()
    error = json.loads(reader.lines[-2].removeprefix("data: "))["error"]
    job_id = reader.headers["x-fleet-job-id"]
    assert error["code"] == "server_restarting"
    assert f"/v1/jobs/{job_id}" in error["message"]
    restart(running)
    assert running.ended(job_id)["status"] == "completed"


@pytest.mark.parametrize(
    ("header", "told", "end"),
    [({}, "ask again", "cancelled"), ({"Idempotency-Key": "k"}, "goes on", "completed")],
)
def test_who_waits_for_a_whole_completion_is_told_to_ask_again_or_to_come_back(
    running: Stack, header: dict[str, str], told: str, end: str
) -> None:
    body = {"model": "fast", "messages": [{"role": "user", "content": "Hi [[fake n=40 tps=20]]"}]}
    reader = Reading(running, "POST", "/v1/chat/completions", json=body, headers=header)
    wait_until(lambda: running.client.get("/v1/jobs?status=running").json()["jobs"], "it runs")
    stop(running.processes["api"])
    reader.end()
    error = json.loads("".join(reader.lines))["error"]
    assert error["code"] == "server_restarting"
    assert told in error["message"]
    restart(running)
    assert running.ended(reader.headers["x-fleet-job-id"])["status"] == end
