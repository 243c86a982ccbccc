"""A real llama-server: the answer that another worker goes on with is the undisturbed one."""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.integration.conftest import LEASE_S, MODEL
from tests.real import llama_server
from tests.stack import Stack, text_of
from tests.support import Valkey, wait_until

pytestmark = pytest.mark.e2e

QUESTION = "Tell me a long story about a lighthouse keeper and the sea."
#: Each answer comes from the server: that is what is looked at here.
GREEDY = {"temperature": 0, "seed": 1, "max_tokens": 160, "cache": False}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("real")
    valkey = Valkey(folder)
    valkey.start()
    with llama_server(folder) as url:
        config = f"[workers]\nlease_s = {LEASE_S}\ndrain_s = 0\n"
        config += MODEL.format(name="fast", url=url, slots=2, context=1024)
        stack = Stack(folder, valkey.url, config)
        stack.start_all("fast")
        yield stack
        stack.stop()
    valkey.stop()


@pytest.fixture(scope="module")
def undisturbed(stack: Stack) -> str:
    """What the model says when nobody interrupts it."""
    stack.ended(stack.post(QUESTION, **GREEDY))  # the prompt is in the server's cache from here on
    job = stack.ended(stack.post(QUESTION, **GREEDY))
    assert job["usage"]["completion_tokens"] > 100
    text: str = job["answer"]["content"]
    return text


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_resumed_answer_is_the_undisturbed_one_byte_for_byte(
    stack: Stack, undisturbed: str, how: signal.Signals
) -> None:
    job_id = stack.post(QUESTION, **GREEDY)
    with stack.reading(job_id) as following:
        started = next(data for _, kind, data in following if kind == "started")
        for _ in range(5):
            next(event for event in following if event[1] == "token")
        os.kill(int(started["worker"].rpartition(":")[2]), how)
        stack.start_worker("fast")
        assert list(following)[-1][1] in ("completed", "incomplete")
    events = stack.events(job_id)
    kinds = [kind for _, kind, _ in events]
    assert kinds.count("started") == 2
    assert "restarted" not in kinds
    assert text_of(events).encode() == undisturbed.encode()
    assert stack.job(job_id)["usage"]["completion_tokens"] > 100


def test_nothing_is_left_at_the_server(stack: Stack) -> None:
    ids = [stack.post("Say hello", max_tokens=5) for _ in range(5)]
    for job_id in ids:
        stack.ended(job_id)
    url = stack.config.read_text().split('url = "')[1].split('"')[0]
    lookup = {"conversation_ids": [f"{job_id}.1" for job_id in ids]}

    def kept() -> object:
        return stack.client.post(f"{url}/v1/streams/lookup", json=lookup).json()

    wait_until(lambda: kept() == [], "the server has forgotten the answers")
