"""A key's money: spent by models that have a price, and by no others."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from redis import Redis

from fleet.callers import Caller
from tests.fakes.handle import Fake
from tests.integration.conftest import client_of, with_claude
from tests.stack import Stack
from tests.support import ROOT, wait_until

#: A dollar for a word: what a test spends is seen at once.
CLAUDE = """
[[models]]
name = "claude"
kind = "anthropic"
url = "{url}"
slots = 1
price = {{ input = 1_000_000, output = 1_000_000 }}
timeouts = {{ between_tokens_s = 5 }}
"""


@dataclass
class Purse:
    """A fleet of one local model and one that costs money."""

    stack: Stack
    local: Fake
    claude: Fake

    def caller(self, name: str, budget_usd: float) -> httpx.Client:
        """A client with a fresh key that has so much a day."""
        return client_of(self.stack, Caller(name, budget_usd=budget_usd))

    def spent(self, name: str) -> float:
        with Redis.from_url(self.stack.env["FLEET_REDIS_URL"]) as client:
            return (
                sum(int(client.get(key) or 0) for key in client.keys(f"fleet:spent:{name}:*")) / 1e9
            )


@pytest.fixture(scope="module")
def purse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Purse]:
    folder = tmp_path_factory.mktemp("budgets")
    with with_claude(folder, CLAUDE) as parts:
        yield Purse(*parts)


def ask(client: httpx.Client, model: str, text: str = "Hi [[fake n=3]]") -> httpx.Response:
    return client.post("/v1/jobs", json={"message": text, "model": model})


def ended(client: httpx.Client, reply: httpx.Response) -> dict[str, Any]:
    assert reply.status_code == 202, reply.text
    shown: dict[str, Any] = client.get(f"/v1/jobs/{reply.json()['id']}?wait=30").json()
    assert shown["finished_at"], shown
    return shown


def test_what_an_answer_cost_is_shown_and_counted(purse: Purse) -> None:
    with purse.caller("payer", 100) as client:
        job = ended(client, ask(client, "claude"))
        used = job["usage"]["prompt_tokens"] + job["usage"]["completion_tokens"]
        assert (job["model"], job["cost_usd"]) == ("claude", used)
        assert purse.spent("payer") == used
        assert ended(client, ask(client, "fast"))["cost_usd"] is None
        assert purse.spent("payer") == used


def test_who_has_spent_its_budget_is_answered_by_what_costs_nothing(purse: Purse) -> None:
    with purse.caller("spender", 1) as client:
        ended(client, ask(client, "claude"))
        refused = ask(client, "claude")
        assert refused.status_code == 429
        error = refused.json()["error"]
        assert (error["code"], error["type"]) == ("budget_exceeded", "insufficient_quota")
        assert "the $1 that it has in a day" in error["message"]
        assert 0 < int(refused.headers["retry-after"]) <= 86_400
        before = purse.claude.stats()["requests"]
        local = ended(client, ask(client, "fast"))
        assert (local["status"], local["plan"]) == ("completed", ["fast"])
        wish = client.post("/v1/jobs", json={"message": "Use Claude for this: write a haiku"})
        assert ended(client, wish)["model"] == "fast"
        assert purse.claude.stats()["requests"] == before
    with purse.caller("other", 1) as client:
        assert ended(client, ask(client, "claude"))["status"] == "completed"


def test_a_job_that_runs_goes_on_and_one_that_waits_looks_again(purse: Purse) -> None:
    with purse.caller("leaker", 1) as client:
        runs = ask(client, "claude", "Hi [[fake n=60 tps=40]]")
        wait_until(
            lambda: client.get(f"/v1/jobs/{runs.json()['id']}").json()["status"] == "running",
            "the first one is under way",
        )
        waits = ask(client, "claude")  # nothing is spent yet: it gets in
        assert ended(client, runs)["status"] == "completed"
        job = ended(client, waits)
        assert (job["status"], job["model"]) == ("completed", "fast")
        assert [(t["model"], t["code"]) for t in job["tried"]] == [("claude", "cap_reached")]
        assert "the $1 that this key has for today" in job["tried"][0]["message"]


def test_the_report_holds_each_models_cost_against_claudes(purse: Purse) -> None:
    with purse.caller("reader", 1_000) as client:
        local, paid = (ended(client, ask(client, model)) for model in ("fast", "claude"))
        rated = client.post(f"/v1/jobs/{local['id']}/feedback", json={"rating": 4})
        assert rated.status_code == 200, rated.text
    used = local["usage"]["prompt_tokens"] + local["usage"]["completion_tokens"]
    assert (local["cost_usd"], local["claude_cost_usd"]) == (None, used)
    assert paid["claude_cost_usd"] == paid["cost_usd"]
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "report", "--json"],
        cwd=ROOT,
        env=purse.stack.env,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    told = json.loads(done.stdout)
    bills = told["bills"]
    assert bills["claude"]["cost_usd"] == bills["claude"]["there_usd"] >= paid["cost_usd"]
    assert bills["fast"]["cost_usd"] is None
    assert bills["fast"]["saved_usd"] == bills["fast"]["there_usd"] >= used
    assert told["compared_with"] == "claude"
    figures = {each["name"]: each for each in told["models"]}
    assert figures["fast"]["rating"] == 4
    assert figures["fast"]["completion_tokens"] >= 3
    assert told["overall"]["jobs"] == sum(each["jobs"] for each in told["models"])
    assert {"metric": "Models", "here": "fast + (claude)"}.items() <= told["comparison"][0].items()
