"""`fleet route explain` as it is called."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from cli import screen
from cli.main import app
from cli.route import explain
from fleet.errors import InvalidRequest
from router import embedders

CONFIG = """
[[models]]
name = "fast"
url = "http://127.0.0.1:1"

[[models]]
name = "tool"
url = "http://127.0.0.1:2"
"""
TALK = [
    {"role": "user", "content": "Prove that there are infinitely many primes."},
    {"role": "assistant", "content": "Suppose there are finitely many."},
]

Explain = Callable[..., Result]


@pytest.fixture
def explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Explain:
    config = tmp_path / "fleet.toml"
    config.write_text(CONFIG, encoding="utf-8")
    monkeypatch.setenv("FLEET_CONFIG", str(config))
    for module in (screen, explain):
        monkeypatch.setattr(module, "out", Console(width=200, highlight=False))

    def call(*words: str, stdin: str = "") -> Result:
        words = ("route", "explain", *words, "--config", str(config))
        return CliRunner().invoke(app, words, input=stdin)

    return call


def test_a_decision_is_told_with_all_that_led_to_it(explained: Explain) -> None:
    told = json.loads(explained("What is the weather in Paris today?", "--json").stdout)
    assert told["signals"] == {
        "model": "auto",
        "tokens": 14,
        "tools": False,
        "user_turns": 1,
        "ends_with_tool_result": False,
    }
    assert told["rules"]["topic"] == "weather"
    assert (told["ask"], told["memory"], told["earlier"]) == ("", None, [])
    assert told["verdicts"][0]["classifier"] == "keywords"
    assert told["decision"]["plan"] == ["tool", "fast"]
    assert told["failed"] == {}


def test_the_nearest_examples_are_shown_where_an_embedding_is(explained: Explain) -> None:
    told = json.loads(explained("set an alarm for 7 am", "--json").stdout)
    cosines = [near["cosine"] for near in told["nearest"]]
    assert len(cosines) == (3 if embedders.installed() else 0)
    assert cosines == sorted(cosines, reverse=True)
    assert {near["route"] for near in told["nearest"]} <= {"tool"}


def test_without_an_embedding_the_keywords_decide(
    explained: Explain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedders, "installed", lambda: ())
    told = json.loads(explained("What is the weather in Paris?", "--json").stdout)
    assert [verdict["classifier"] for verdict in told["verdicts"]] == ["keywords"]
    assert (told["nearest"], told["decision"]["classifier"]) == ([], "keywords")


def test_an_ask_for_claude_and_the_lack_of_one_are_told(explained: Explain) -> None:
    text = explained("Ask Claude what love is").stdout
    assert "Ask Claude" in text
    assert "no model that may be asked serves the route 'claude'" in text


def test_the_turns_before_it_are_replayed(explained: Explain, tmp_path: Path) -> None:
    file = tmp_path / "talk.json"
    file.write_text(json.dumps(TALK), encoding="utf-8")
    done = explained("-", "--conversation", str(file), "--json", stdin="ok, go on\n")
    told = json.loads(done.stdout)
    assert told["signals"]["user_turns"] == 2
    assert [turn["text"] for turn in told["earlier"]] == [TALK[0]["content"]]
    assert told["memory"]["route"] == told["earlier"][0]["route"]
    drawn = explained("ok, go on", "--conversation", str(file)).stdout
    assert "remembered" in drawn
    alone = json.loads(explained("--conversation", str(file), "--json").stdout)
    assert alone["signals"]["user_turns"] == 1


def test_tools_and_a_named_model_decide_by_themselves(explained: Explain) -> None:
    told = json.loads(explained("hi", "--tools", "--json").stdout)
    assert (told["decision"]["route"], told["decision"]["classifier"]) == ("tool", "rules")
    told = json.loads(explained("hi", "--model", "tool", "--json").stdout)
    assert told["decision"]["reasons"] == ["the caller named the model 'tool'"]
    refused = explained("hi", "--model", "gone")
    assert isinstance(refused.exception, InvalidRequest)


@pytest.mark.parametrize("text", ["", "\ud800 \x1b[31m[red]", "x " * 500_000])
def test_odd_texts_are_explained(explained: Explain, text: str, tmp_path: Path) -> None:
    file = tmp_path / "talk.json"
    file.write_text(json.dumps([{"role": "user", "content": text}]), encoding="utf-8")
    for words in ([], ["--json"]):
        done = explained("--conversation", str(file), *words)
        assert done.exit_code == 0, done.exception
        assert "\x1b" not in done.stdout


@pytest.mark.parametrize("content", ["{}", "[1]", "nope", '[{"role": "user", "content": 5}]'])
def test_a_conversation_that_is_none_is_refused(
    explained: Explain, content: str, tmp_path: Path
) -> None:
    file = tmp_path / "talk.json"
    file.write_text(content, encoding="utf-8")
    refused = explained("hi", "--conversation", str(file))
    assert isinstance(refused.exception, InvalidRequest)
    assert refused.exception.message.startswith(f"--conversation: {file}")


def test_nothing_to_explain_is_refused(explained: Explain) -> None:
    refused = explained()
    assert isinstance(refused.exception, InvalidRequest)
    assert "--conversation FILE" in refused.exception.message
