"""The queue `claude`: last in every plan, first when asked for, never beyond its cap."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.fakes.handle import Fake
from tests.integration.conftest import new_day, with_claude
from tests.stack import Stack
from tests.support import ROOT, wait_until

CLAUDE = """
[[models]]
name = "claude"
kind = "anthropic"
url = "{url}"
calls_per_day = 3
timeouts = {{ between_tokens_s = 2 }}
"""


@dataclass
class WithClaude:
    """A fleet of one local model and Claude."""

    stack: Stack
    local: Fake
    claude: Fake


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WithClaude]:
    folder = tmp_path_factory.mktemp("claude")
    with with_claude(folder, CLAUDE) as parts:
        yield WithClaude(*parts)


@pytest.fixture
def fleet(running: WithClaude) -> WithClaude:
    """The fleet on a new day: nothing spent, everybody well."""
    new_day(running.stack)
    if running.local.process is None:
        running.local.start()
    running.local.control()
    running.claude.control()
    return running


@pytest.mark.parametrize(
    ("mode", "status", "code"),
    [
        ({"fail": 401}, "failed", "not_served"),
        ({"fail": 429, "retry_after": 1}, "failed", "server_busy"),
        ({"fail": 529}, "failed", "server_busy"),
        ({"fail": 400}, "failed", "refused"),
        ({"noend": 1}, "failed", "stream_cut"),
        ({"error_event": 2}, "failed", "server_busy"),
        ({"cut": 2}, "failed", "stream_cut"),
        ({"stall": 2}, "failed", "server_stalled"),
    ],
)
def test_a_failing_claude_is_never_an_empty_success(
    fleet: WithClaude, mode: dict[str, int], status: str, code: str
) -> None:
    fleet.local.stop()
    fleet.claude.control(**mode)
    job = fleet.stack.ended(fleet.stack.post("Use Claude for this"))
    assert job["status"] == status
    assert job["tried"][0]["model"] == "claude"
    assert job["tried"][0]["code"] == code


def test_only_the_worker_of_claude_imports_the_sdk() -> None:
    code = (
        "import sys, router.celery, workers.celery, workers.llama, api.app, cli.main;"
        "assert not {'anthropic', 'httpx2'} & set(sys.modules)"
    )
    # A price of its own: no table of prices is read, which brings the SDK's HTTP client.
    env = os.environ | {"FLEET_MODELS__CLAUDE__PRICE": '{"input": 1, "output": 1}'}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, check=True, timeout=60)


def test_claude_answers_when_the_local_models_fail_and_only_up_to_its_cap(
    fleet: WithClaude,
) -> None:
    stack = fleet.stack
    before = fleet.claude.stats()["requests"]
    assert stack.ended(stack.post("Write a haiku"))["model"] == "fast"
    assert fleet.claude.stats()["requests"] == before

    asked = stack.ended(stack.post("Use Claude for this: write a haiku"))
    assert (asked["status"], asked["model"]) == ("completed", "claude")
    assert asked["answer"]["content"]
    assert asked["usage"]["completion_tokens"] > 0
    assert asked["plan"] == ["claude", "fast"]

    fleet.local.stop()
    for _ in range(2):
        job = stack.ended(stack.post("Write a haiku"))
        assert (job["status"], job["model"]) == ("completed", "claude")
        assert job["tried"][0]["code"] == "server_unreachable"

    beyond = stack.ended(stack.post("Write a haiku"))
    assert beyond["status"] == "failed"
    assert beyond["error"]["code"] == "all_models_unavailable"
    assert beyond["tried"][0]["code"] == "server_unreachable"

    def plan() -> list[str]:
        return list(stack.ended(stack.post("Use Claude for this: write a haiku"))["plan"])

    wait_until(lambda: plan() == ["fast"], "the router leaves out who may not be called")
    assert fleet.claude.stats()["requests"] == before + 3
