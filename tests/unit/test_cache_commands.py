"""`fleet cache` as it is called."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from router import embedders
from router.pairs import Judged, Pair, tally

CONFIG = '[[models]]\nname = "fast"\nurl = "http://127.0.0.1:1"\n'

Call = Callable[..., Result]


@pytest.fixture
def call(tmp_path: Path) -> Call:
    if not embedders.installed():
        pytest.skip("no embedding is installed")
    config = tmp_path / "fleet.toml"
    config.write_text(CONFIG, encoding="utf-8")
    return lambda *words: CliRunner().invoke(
        app, ("cache", *words), env={"FLEET_CONFIG": str(config)}
    )


def test_a_paraphrase_matches(call: Call) -> None:
    asked = ("What is the capital of France?", "Tell me the capital of France, please.")
    told = json.loads(call("try", *asked, "--json").stdout)
    assert told["match"] is True
    assert told["why_not"] == ""
    assert told["similarity"] >= told["threshold"] == 0.92
    assert "They share an answer." in call("try", *asked).stdout


def test_a_near_miss_is_told_with_its_reason(call: Call) -> None:
    asked = ("What is 17 % of 80?", "What is 17 % of 90?")
    told = json.loads(call("try", *asked, "--json").stdout)
    assert (told["match"], told["why_not"]) == (False, "only one of them says '80', '90'")
    assert "Each gets its own answer." in call("try", *asked).stdout


def test_a_threshold_may_be_tried(call: Call) -> None:
    asked = ("What is the capital of France?", "Tell me the capital of France, please.")
    assert json.loads(call("try", *asked, "--threshold=1", "--json").stdout)["match"] is False


def test_pairs_of_ones_own_are_judged(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    lines = [
        {"a": "How do I boil an egg?", "b": "how to boil an egg", "same": True},
        {"a": "How do I boil an egg?", "b": "How do I fry an egg?", "same": False},
        {"a": "What is a mole?", "b": "What is a mole, please?", "same": False},
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    told = json.loads(call("eval", str(file), "--json").stdout)
    assert told["wrong"] == [{"a": "What is a mole?", "b": "What is a mole, please?"}]
    at = {row["threshold"]: row for row in told["figures"]}
    assert (at[0.92]["right"], at[0.92]["wrong"], at[0.92]["same"]) == (1, 1, 1)
    assert at[0.92]["precision"] == 0.5
    assert "wrong: What is a mole?" in call("eval", str(file)).stdout


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it has no lines"),
        ("{", "line 1: not valid JSON"),
        ('{"a": "x", "b": "y"}', "line 1: give `a` and `b`"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    call: Call, tmp_path: Path, text: str, why: str
) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_text(text)
    assert why in str(call("eval", str(file)).exception)


def test_without_a_match_there_is_no_precision() -> None:
    apart = Judged(Pair("a", "b", same=True), 0.5, "")
    assert tally([apart], 0.9).precision is None
    assert tally([apart], 0.4).precision == 1
