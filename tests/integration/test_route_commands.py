"""`fleet route` and `fleet report` on a real decision log."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from fleet.names import DECISIONS, FEEDBACK
from tests.support import ROOT, decision

CONFIG = """
redis_url = "{url}"

[[models]]
name = "fast"
url = "http://127.0.0.1:1"

[[models]]
name = "tool"
url = "http://127.0.0.1:2"
"""


class Log:
    """A decision log, and the command that reads it."""

    def __init__(self, url: str, folder: Path) -> None:
        self._redis = Redis.from_url(url, decode_responses=True)
        self._config = folder / "fleet.toml"
        self._config.write_text(CONFIG.format(url=url), encoding="utf-8")

    def note(self, kind: str, number: int, when: str = "*", **data: Any) -> None:
        entry = {"job": f"job_{number:032x}", "at": number, **data}
        self._redis.xadd(DECISIONS, {"k": kind, "d": json.dumps(entry)}, id=when)

    def example(self, text: str, route: str) -> None:
        self._redis.xadd(FEEDBACK, {"text": text, "route": route})

    def ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.call("route", *words)

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cli.main", *words, "-c", str(self._config)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def close(self) -> None:
        self._redis.close()


@pytest.fixture
def log(redis_url: str, tmp_path: Path) -> Any:
    log = Log(redis_url, tmp_path)
    old = decision("fast", "tool").as_dict()
    log.note("decision", 1, when="1000-0", caller="local", **old)
    for number, arm in enumerate("aabb", 2):
        made = decision("fast", "tool", experiment="heads", arm=arm).as_dict()
        log.note("decision", number, caller="local", **made)
    log.note("feedback", 2, route="tool", rating=2, comment="no news")
    log.note("of another version", 3)
    log.example("the news of today", "tool")
    yield log
    log.close()


def test_the_report_is_of_the_time_that_was_asked_for(log: Log) -> None:
    done = log.ask("report", "--since", "1h", "--json")
    told = json.loads(done.stdout)
    assert (told["jobs"], told["rated"], told["misrouted"]) == (4, 1, 1)
    assert told["suggestions"][0]["examples"] == ["the news of today"]
    assert "in the decision log: 1 of its entries" in done.stderr


def test_the_arms_of_an_experiment_are_found(log: Log) -> None:
    told = json.loads(log.ask("compare", "heads", "--json").stdout)
    assert [(arm["name"], arm["jobs"]) for arm in told["arms"]] == [("a", 2), ("b", 2)]


def test_an_unknown_experiment_is_an_error_that_names_the_known_ones(log: Log) -> None:
    refused = log.ask("compare", "hats")
    assert refused.returncode == 1
    assert "in this part of the decision log: heads" in refused.stderr


def test_the_rows_are_lines_of_json(log: Log) -> None:
    lines = log.ask("export").stdout.splitlines()
    assert [json.loads(line)["arm"] for line in lines] == ["a", "a", "b", "b"]


def test_the_work_report_counts_ends_that_no_decision_stands_beside(log: Log) -> None:
    ended: dict[str, Any] = {
        "status": "completed",
        "route": None,
        "wait_ms": 0,
        "first_token_ms": 1,
        "attempt": 0,
    }
    ended |= {"total_ms": 2, "prompt_tokens": 1_000_000, "completion_tokens": 0, "failed_over": 0}
    ended |= {"experiment": None, "arm": None}
    log.note("outcome", 7, model="fast", cache="hit", **ended)
    log.note("outcome", 2, model="tool", **ended)
    told = json.loads(log.call("report", "--since", "1h", "--json").stdout)
    assert {each["name"]: each["jobs"] for each in told["models"]} == {"(cache)": 1, "tool": 1}
    assert told["compared_with"] == "claude-haiku-5-5"
    assert told["bill"]["saved_usd"] == 2 * 0.5
    [cached] = told["caches"]
    assert (cached["kind"], cached["prompt_tokens"]) == ("hit", 1_000_000)
