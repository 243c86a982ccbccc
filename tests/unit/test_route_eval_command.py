"""`fleet route eval` as it is called."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from cli import screen
from cli.main import app
from cli.route import evaluate
from fleet.errors import ConfigError, FleetError

CONFIG = """
[[models]]
name = "fast"
url = "http://127.0.0.1:1"
"""
LINES: list[dict[str, Any]] = [
    {"query": "hello there", "route": "fast", "source": "ours", "lang": "en"},
    {"query": "Ask Claude what time means to a stone.", "route": "claude"},
    {"query": "Prove that there are infinitely many primes.", "route": "large", "kind": "hard"},
    {
        "messages": [
            {"role": "user", "content": "What is the weather in Paris today?"},
            {"role": "assistant", "content": "Rain."},
            {"role": "user", "content": "What about London?"},
        ],
        "route": "tool",
    },
]

Evaluate = Callable[..., Result]


@pytest.fixture
def evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Evaluate:
    """Calls the command with lines: objects, or texts as they are."""
    config = tmp_path / "fleet.toml"
    config.write_text(CONFIG, encoding="utf-8")
    monkeypatch.setenv("FLEET_CONFIG", str(config))
    for module in (screen, evaluate):
        monkeypatch.setattr(module, "out", Console(width=160, highlight=False))

    def call(lines: list[Any], *arguments: str) -> Result:
        file = tmp_path / "lines.jsonl"
        texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
        file.write_text("\n".join(texts), encoding="utf-8")
        words = ["--classifier=keywords", *arguments, "--config", str(config)]
        return CliRunner().invoke(app, ["route", "eval", str(file), *words])

    return call


def test_queries_are_judged_although_no_model_serves_their_route(evaluated: Evaluate) -> None:
    done = evaluated(LINES, "--json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["n"], told["accuracy"], told["macro_f1"]) == (0, 4, 1.0, 1.0)
    assert told["per_source"] == {"ours": {"n": 1, "accuracy": 1.0}}
    assert told["per_lang"] == {"en": {"n": 1, "accuracy": 1.0}}
    assert told["per_kind"] == {"hard": {"n": 1, "accuracy": 1.0}}
    assert told["verdicts"] == {"keywords": 4}
    assert 0 < told["p50_ms"] <= told["p99_ms"]
    assert done.stdout.count("\n") == 1


def test_the_figures_are_drawn(evaluated: Evaluate) -> None:
    text = evaluated([*LINES, {"query": "hi", "route": "large"}]).stdout
    for expected in (
        "5 lines: accuracy 80.0%, macro-F1 0.833",
        "verdicts by: keywords 5",
        "right ↓ given →",
        "By source",
        "By language",
        "By kind",
        "Unsure: none went to another route for it",
        "(one turn up to 200 characters)",
    ):
        assert expected in text


def test_an_accuracy_that_is_missed_is_an_exit_code(evaluated: Evaluate) -> None:
    wrong = [*LINES, {"query": "hi", "route": "large"}]
    assert evaluated(wrong, "--min-accuracy", "0.8").exit_code == 0
    missed = evaluated(wrong, "--min-accuracy", "0.81")
    assert missed.exit_code == 1
    assert "below --min-accuracy 0.81" in missed.stderr


def test_a_route_that_no_classifier_knows_is_warned_of(evaluated: Evaluate) -> None:
    done = evaluated([*LINES, {"query": "hi", "any": ["recipes"]}])
    assert done.exit_code == 0
    assert "No classifier knows the route 'recipes' of 1 lines" in done.stderr


ODD: list[Any] = [
    {"query": "", "route": "fast"},
    {"query": "x " * 500_000, "route": "large"},
    '{"query": "half \\ud800 a pair", "route": "fast", "source": "\\ud800\\u001b", "lang": "[b]"}',
    '{"query": "a line\u2028of two", "route": "fast"}\r',
    {"messages": [], "route": "fast"},
    {"messages": [{"role": "system", "content": "Be brief."}], "route": "fast"},
    {"messages": [{"role": "user", "content": [{"type": "image_url"}]}], "any": ["fast", "tool"]},
    {"messages": [{"role": "tool", "content": "7 degrees"}], "route": "tool"},
]


@pytest.mark.parametrize("classifier", ["keywords", "cascade"])
def test_odd_lines_are_judged(evaluated: Evaluate, classifier: str) -> None:
    lines = ["\ufeff", *ODD]
    drawn = evaluated(lines, f"--classifier={classifier}")
    assert drawn.exit_code == 0, drawn.exception
    told = json.loads(evaluated(lines, f"--classifier={classifier}", "--json").stdout)
    assert (told["n"], told["failed"]) == (8, {})


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("nope", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[1]", "it must be an object"),
        ('{"query": "hi"}', "give `route`"),
        ('{"query": "hi", "any": "fast"}', "give `route`"),
        ('{"query": 5, "route": "fast"}', "give `query`"),
        ('{"messages": {}, "route": "fast"}', "give `query`"),
        ('{"messages": [{"role": "user", "content": 5}], "route": "fast"}', "a turn has"),
        ('{"messages": [{"content": "hi"}], "route": "fast"}', "a turn has"),
    ],
)
def test_a_bad_line_is_named(evaluated: Evaluate, line: str, why: str) -> None:
    refused = evaluated([LINES[0], "", line])
    assert isinstance(refused.exception, ConfigError)
    assert f"lines.jsonl, line 3: {why}" in refused.exception.message


def test_an_empty_file_is_refused_with_what_a_line_looks_like(evaluated: Evaluate) -> None:
    refused = evaluated([])
    assert isinstance(refused.exception, FleetError)
    assert '{"query": "…", "route": "fast"}' in refused.exception.message


def test_a_classifier_that_is_none_is_refused_with_those_that_are(evaluated: Evaluate) -> None:
    refused = evaluated(LINES, "--classifier=oracle")
    assert refused.exit_code == 2
    assert "there are: cascade" in refused.stderr
    unnamed = evaluated(LINES, "--classifier=llm")
    assert isinstance(unnamed.exception, ConfigError)
    assert "[router] llm" in unnamed.exception.message
