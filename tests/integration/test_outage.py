"""Redis goes away in the middle of everything and comes back."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.handle import Fake
from tests.integration.conftest import MODEL
from tests.stack import Stack, text_of
from tests.support import Valkey


@pytest.fixture
def stack(tmp_path: Path, own_valkey: Valkey) -> Iterator[Stack]:
    fast = Fake("llama_server", tmp_path / "fast.log", "--slots=4")
    fast.start()
    config = MODEL.format(name="fast", url=fast.url, slots=4, context=4096)
    stack = Stack(tmp_path, own_valkey.url, config)
    stack.start_api()
    stack.start_router()
    stack.start_worker("fast")
    stack.wait_ready("fast")
    yield stack
    stack.stop()
    fast.close()


def test_a_stream_and_everybody_in_it_outlive_a_restart_of_redis(
    stack: Stack, own_valkey: Valkey
) -> None:
    job_id = stack.post("Hi [[fake n=150 tps=40]]")
    with stack.reading(job_id) as stream:
        next(event for event in stream if event[2].get("content") == " w20")
        own_valkey.kill()
        began = time.monotonic()
        refused = stack.client.post("/v1/jobs", json={"message": "anybody?"})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.json()["error"]["code"] == "store_unavailable"
        assert stack.client.get("/health").status_code == 503
        assert time.monotonic() - began < 1
        own_valkey.start()
        rest = list(stream)
    assert rest[-1][1] == "completed"
    events = stack.events(job_id)
    assert text_of(events) == "".join(f" w{n}" for n in range(150))
    assert [number for number, _, _ in events] == list(range(len(events)))
    assert "restarted" not in [kind for _, kind, _ in events]
    assert stack.ended(stack.post("Hi [[fake n=5]]"))["status"] == "completed"
    assert all(process.poll() is None for process in stack.processes.values())
