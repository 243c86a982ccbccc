"""What calls cost: set aside before, settled after, whoever crashes or hangs up in between."""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from redis import Redis
from typer.testing import CliRunner

from cli.main import app
from fleet.callers import Caller
from fleet.names import BOOK_PREFIX, HOLDS
from fleet.spend.sheet import ALL, Figures, Sheet, of_caller, of_model, total
from tests.fakes.handle import Fake
from tests.integration.conftest import client_of, new_day, with_claude
from tests.stack import Stack
from tests.support import ROOT, wait_until

#: A dollar for a word: what a test spends is seen at once. Leases are short, so that what a killed
#: worker has set aside comes back soon.
CLAUDE = """
[workers]
lease_s = 1

[[models]]
name = "claude"
kind = "anthropic"
url = "{url}"
max_tokens = 500
price = {{ input = 1_000_000, output = 1_000_000 }}
timeouts = {{ between_tokens_s = 5 }}
"""
NANO = 1_000_000_000
#: An answer that takes 25 seconds.
LONG = "Hi [[fake n=500 tps=20]]"


@dataclass
class Purse:
    """A fleet of one local model and one that costs money."""

    stack: Stack
    local: Fake
    claude: Fake

    def caller(self, name: str, **limits: Any) -> httpx.Client:
        """A client with a fresh key."""
        return client_of(self.stack, Caller(name, **limits))

    def figures(self, scope: str = ALL) -> Figures:
        """What stands in the book."""
        with Redis.from_url(self.stack.env["FLEET_REDIS_URL"], decode_responses=True) as client:
            pages = [client.hgetall(page) for page in client.scan_iter(f"{BOOK_PREFIX}*")]
        return total(Sheet.read(page) for page in pages)[scope]

    def holds_until(self) -> float:
        """When the one thing that is set aside would be free again, in Redis' milliseconds."""
        with Redis.from_url(self.stack.env["FLEET_REDIS_URL"]) as client:
            [(_, until)] = client.zrange(HOLDS, 0, -1, withscores=True)
        return float(until)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Purse]:
    folder = tmp_path_factory.mktemp("budgets")
    with with_claude(folder, CLAUDE) as parts:
        yield Purse(*parts)


@pytest.fixture
def purse(running: Purse) -> Purse:
    """The fleet on a new day."""
    new_day(running.stack)
    return running


def ask(
    client: httpx.Client, model: str = "claude", text: str = "Hi [[fake n=3]]", **fields: Any
) -> httpx.Response:
    return client.post("/v1/jobs", json={"message": text, "model": model, **fields})


def ended(client: httpx.Client, reply: httpx.Response) -> dict[str, Any]:
    assert reply.status_code == 202, reply.text
    shown: dict[str, Any] = client.get(f"/v1/jobs/{reply.json()['id']}?wait=30").json()
    assert shown["finished_at"], shown
    return shown


def speaking(client: httpx.Client, reply: httpx.Response) -> str:
    """The job of a reply, once its answer has begun."""
    job_id: str = reply.json()["id"]

    def words() -> list[str]:
        answer = client.get(f"/v1/jobs/{job_id}").json()["answer"] or {}
        return str(answer.get("content") or "").split()

    wait_until(lambda: len(words()) > 4, "the answer has begun", 20)
    return job_id


def test_what_an_answer_cost_is_shown_and_counted(purse: Purse) -> None:
    with purse.caller("payer", budget_usd=10_000) as client:
        job = ended(client, ask(client))
        used = job["usage"]["prompt_tokens"] + job["usage"]["completion_tokens"]
        assert (job["model"], job["cost_usd"]) == ("claude", used)
        for scope in (ALL, of_model("claude"), of_caller("payer")):
            assert purse.figures(scope) == Figures(1, used * NANO, 0)
        assert ended(client, ask(client, "fast"))["cost_usd"] is None
        assert purse.figures(of_caller("payer")) == Figures(1, used * NANO, 0)


def test_who_has_spent_its_budget_is_answered_by_what_costs_nothing(purse: Purse) -> None:
    many_words = "a " * 60 + "[[fake n=3]]"  # more than their bytes let expect
    with purse.caller("spender", budget_usd=50) as client:
        assert ended(client, ask(client, text=many_words, max_tokens=3))["cost_usd"] > 50
        refused = ask(client)
        assert refused.status_code == 429
        error = refused.json()["error"]
        assert (error["code"], error["type"]) == ("budget_exceeded", "insufficient_quota")
        assert "the $50 that it has in a day" in error["message"]
        assert 0 < int(refused.headers["retry-after"]) <= 86_400
        before = purse.claude.stats()["requests"]
        local = ended(client, ask(client, "fast"))
        assert (local["status"], local["plan"]) == ("completed", ["fast"])
        wish = client.post("/v1/jobs", json={"message": "Use Claude for this: write a haiku"})
        assert ended(client, wish)["model"] == "fast"
        assert purse.claude.stats()["requests"] == before
    with purse.caller("other", budget_usd=10_000) as client:
        assert ended(client, ask(client))["model"] == "claude"


def test_what_is_under_way_is_spent_for_the_next_call(purse: Purse) -> None:
    with purse.caller("leaker", budget_usd=600) as client:
        first = speaking(client, ask(client, text=LONG))
        assert 500 <= purse.figures(of_caller("leaker")).held_usd <= 600
        job = ended(client, ask(client, max_tokens=200))
        assert (job["status"], job["model"]) == ("completed", "fast")
        assert [(t["model"], t["code"]) for t in job["tried"]] == [("claude", "cap_reached")]
        assert "of the $600 of today (this key's budget)" in job["tried"][0]["message"]
        client.post(f"/v1/jobs/{first}/cancel")
        wait_until(lambda: purse.figures().held == 0, "nothing is set aside any more")
        assert ended(client, ask(client, max_tokens=200))["model"] == "claude"


def test_an_answer_that_is_cancelled_is_paid_as_far_as_it_came(purse: Purse) -> None:
    with purse.caller("quitter") as client:
        job_id = speaking(client, ask(client, text=LONG))
        client.post(f"/v1/jobs/{job_id}/cancel")
        wait_until(lambda: purse.figures().nano, "what has come is paid")
        figures = purse.figures()
        assert (figures.calls, figures.held) == (1, 0)
        assert 4 < figures.usd < 500
        job = client.get(f"/v1/jobs/{job_id}").json()
        assert (job["status"], job["cost_usd"]) == ("cancelled", figures.usd)


@pytest.mark.parametrize("mode", [{"cut": 5}, {"error_event": 5}])
def test_an_answer_that_breaks_off_is_paid_as_well(purse: Purse, mode: dict[str, int]) -> None:
    told = " ".join(f"{name}={value}" for name, value in mode.items())
    with purse.caller(f"unlucky-{'-'.join(mode)}") as client:
        job = ended(client, ask(client, text=f"Hi [[fake n=20 {told}]]", max_tokens=20))
        assert job["tried"][0]["model"] == "claude"
        assert 5 <= job["cost_usd"] < 15
        assert purse.figures() == Figures(1, round(job["cost_usd"] * NANO), 0)


@pytest.mark.parametrize("status", [401, 529])
def test_a_call_that_is_refused_counts_and_costs_nothing(purse: Purse, status: int) -> None:
    with purse.caller(f"refused-{status}") as client:
        assert ended(client, ask(client, text=f"Hi [[fake fail={status}]]"))["cost_usd"] is None
        assert purse.figures() == Figures(1, 0, 0)


def test_who_cannot_be_reached_was_not_called(purse: Purse) -> None:
    purse.claude.stop()
    with purse.caller("patient") as client:
        job = ended(client, ask(client))
        assert [t["code"] for t in job["tried"]] == ["server_unreachable"]
        assert purse.figures() == Figures()
    purse.claude.start()


def test_a_key_has_its_own_number_of_calls(purse: Purse) -> None:
    with purse.caller("counted", paid_calls=2) as client:
        for _ in range(2):
            assert ended(client, ask(client))["model"] == "claude"
        refused = ask(client)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "budget_exceeded")
        assert "the 2 calls that it has in a day" in refused.json()["error"]["message"]
        assert ended(client, ask(client, "fast"))["status"] == "completed"
        assert ended(client, ask(client, "auto", "Write a haiku"))["plan"] == ["fast"]


def test_fleet_budget_tells_the_day_and_the_month(
    purse: Purse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with purse.caller("thrifty", budget_usd=5_000, paid_calls=7) as client:
        cost = ended(client, ask(client))["cost_usd"]

    for name, value in {**purse.stack.env, "COLUMNS": "120"}.items():
        monkeypatch.setenv(name, value)

    def fleet(*words: str) -> str:
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
        return done.stdout

    told = json.loads(fleet("budget", "--json"))
    spent = {"calls": 1, "usd": cost, "held_usd": 0, "month_calls": 1, "month_usd": cost}
    assert told["today"] == {**spent, "calls_per_day": None, "usd_per_day": None}
    assert told["models"] == [
        {"name": "claude", **spent, "calls_per_day": 100, "usd_per_day": None}
    ]
    [thrifty] = [key for key in told["keys"] if key["name"] == "thrifty"]
    assert thrifty == {"name": "thrifty", **spent, "calls_per_day": 7, "usd_per_day": 5_000}
    assert told["time_zone"] == "UTC"
    assert 0 < told["turns_in_s"] <= 86_400
    table = fleet("budget")
    assert "claude" in table
    assert f"This month so far: ${cost:.2f}" in table
    key = json.loads(fleet("keys", "show", "thrifty", "--json"))
    assert (key["spent_usd_today"], key["paid_calls_today"], key["paid_calls"]) == (cost, 1, 7)


def test_the_report_holds_each_models_cost_against_claudes(purse: Purse) -> None:
    with purse.caller("reader", budget_usd=1_000) as client:
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
    fast = bills["fast"]  # what its jobs cost is what Claude had begun of their answers
    assert fast["saved_usd"] == fast["there_usd"] - fast["cost_usd"]
    assert fast["there_usd"] >= used
    assert told["compared_with"] == "claude"
    figures = {each["name"]: each for each in told["models"]}
    assert figures["fast"]["rating"] == 4
    assert figures["fast"]["completion_tokens"] >= 3
    assert told["overall"]["jobs"] == sum(each["jobs"] for each in told["models"])
    assert {"metric": "Models", "here": "fast + (claude)"}.items() <= told["comparison"][0].items()


def test_what_a_killed_worker_has_set_aside_comes_back(purse: Purse) -> None:
    with purse.caller("widow") as client:
        job_id = speaking(client, ask(client, text=LONG))
        first = purse.holds_until()
        wait_until(lambda: purse.holds_until() > first, "it is renewed with the lease")
        held = purse.figures().held
        worker = purse.stack.processes["worker-claude"]
        worker.kill()
        worker.wait(10)
        assert held == purse.figures().held > 500 * NANO
        client.post(f"/v1/jobs/{job_id}/cancel")
        wait_until(lambda: purse.figures().held == 0, "its dollars are free again", 20)
        assert purse.figures() == Figures(1, 0, 0)
        purse.stack.start_worker("claude", ANTHROPIC_API_KEY="sk-test")
        assert ended(client, ask(client))["model"] == "claude"


def test_five_hundred_jobs_at_once_make_as_many_calls_as_the_cap_has(purse: Purse) -> None:
    before = purse.claude.stats()["requests"]
    with purse.caller("crowd") as client, ThreadPoolExecutor(16) as threads:
        ids = list(
            threads.map(lambda _: ask(client, text="Hi [[fake n=1]]").json()["id"], range(500))
        )
        jobs = [client.get(f"/v1/jobs/{job_id}?wait=60").json() for job_id in ids]
        shown = client.get("/health").json()["models"]
    assert {job["status"] for job in jobs} == {"completed"}
    assert purse.claude.stats()["requests"] == before + 100
    by_claude = [job for job in jobs if job["model"] == "claude"]
    others = [job for job in jobs if job["model"] == "fast"]
    assert (len(by_claude), len(others)) == (100, 400)
    for job in others:
        assert job["plan"] == ["fast"] or [t["code"] for t in job["tried"]] == ["cap_reached"]
    left_out = next(job for job in others if job["plan"] == ["fast"])
    assert any("the 100 calls of today" in reason for reason in left_out["reasons"])
    assert purse.figures().calls == 100
    assert "the 100 calls of today" in shown["claude"]["spent"]
    assert "spent" not in shown["fast"]
