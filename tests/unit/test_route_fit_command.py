"""`fleet route fit`: a route of one's own, learned, judged, and then taken."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from cli import screen
from cli.main import app
from cli.route import fit as command
from cli.route import reading
from fleet.errors import ConfigError, FleetFault
from fleet.settings import load
from router import embedders
from router.classifiers import Classifiers
from router.conversation import Conversation
from router.examples import shipped
from router.held_out import Recall

CONFIG = """
[[models]]
name = "fast"
url = "http://127.0.0.1:1"

[[models]]
name = "chef"
url = "http://127.0.0.1:2"
roles = ["recipes"]

[[router.routes]]
name = "recipes"
description = "Recipes, and what to cook with what there is"
examples = [
  "How do I make a risotto with mushrooms?",
  "What can I cook with eggs and spinach?",
  "Give me a recipe for a quick lentil soup",
  "Which spices go with roast lamb?",
  "How long do I bake a potato gratin?",
  "A recipe for pancakes without milk",
  "How do I cook rice so that it does not stick?",
  "What do I need for a Thai curry?",
  "Wie koche ich Linsen richtig?",
  "Ein Rezept für Kartoffelsuppe",
]
"""

Fit = Callable[..., Result]


@pytest.fixture
def fitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fit:
    """Calls the command; it learns from every fifth of the shipped examples."""
    config = tmp_path / "fleet.toml"
    config.write_text(CONFIG, encoding="utf-8")
    monkeypatch.setenv("FLEET_CONFIG", str(config))
    monkeypatch.setenv("FLEET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    monkeypatch.setattr(command, "shipped", lambda: shipped()[::5])
    for module in (screen, command):
        monkeypatch.setattr(module, "out", Console(width=160, highlight=False))

    def call(*words: str) -> Result:
        return CliRunner().invoke(app, ["route", "fit", *words, "--config", str(config)])

    return call


def test_a_route_of_one_s_own_gets_its_queries(fitted: Fit, tmp_path: Path) -> None:
    done = fitted("--json")
    assert done.exit_code == 0, done.exception
    told = json.loads(done.stdout)
    assert re.fullmatch(r"route-head-[0-9a-f]{8}\.json", Path(told["path"]).name)
    assert Path(told["path"]).parent == tmp_path / "home"
    assert (told["given"], told["routes"]["recipes"]) == (11, 11)
    assert 0.6 < told["accuracy"] < 1
    assert {"clinc150", "english", "asks"} <= set(told["per_source"])
    assert told["own"]["recipes"]["n"] == 10
    assert 0 < told["own"]["recipes"]["recall"] <= 1

    classifiers = Classifiers(load(tmp_path / "fleet.toml"))
    chain = classifiers.chain("cascade")
    assert (chain.version, classifiers.failures.as_dict()) == (told["version"], {})
    ways = {
        query: chain.classify(Conversation.saying(query)).route
        for query in (
            "A recipe for tomato soup",
            "How do I cook lasagne?",
            "hi, how are you?",
            "Prove that the square root of 2 is irrational.",
        )
    }
    assert list(ways.values()) == ["recipes", "recipes", "fast", "large"]


def test_what_was_learned_is_drawn(fitted: Fit, tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    text = fitted("--out", str(file)).stdout
    assert file.is_file()
    for expected in (
        "11 of them yours",
        str(file),
        "found when left out",
        "Accuracy by leaving one source out: ",
        "of 10 of recipes found",
        "restart one that runs",
    ):
        assert expected in text


def test_feedback_is_learned_where_its_route_is_known(
    fitted: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = []

    def texts(_settings: object, window_ms: int) -> list[tuple[str, str]]:
        windows.append(window_ms)
        return [("dinner?", "fast"), ("dinner?", "recipes"), ("a poem", "poems")]

    monkeypatch.setattr(reading, "named_texts", texts)
    done = fitted("--from-feedback", "--json")
    assert json.loads(done.stdout)["routes"]["recipes"] == 12
    assert "Left out 1 texts of feedback: there is no route 'poems'" in done.stderr
    assert json.loads(fitted("--since", "7d", "--json").stdout)["given"] == 12
    assert windows[1] == 7 * 86_400_000


def test_a_file_that_cannot_be_written_is_named(fitted: Fit, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = fitted("--out", str(tmp_path / "file" / "head.json"))
    assert isinstance(refused.exception, FleetFault)
    assert "head.json cannot be written" in refused.exception.message


def test_without_an_embedding_it_says_how_to_get_one(
    fitted: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedders, "installed", lambda: ())
    refused = fitted()
    assert isinstance(refused.exception, ConfigError)
    assert "pip install 'chat-fleet[embedding]'" in refused.exception.message


def test_examples_that_are_mostly_taken_for_another_route_are_named() -> None:
    missed = (("boil an egg", "fast"), ("an oven?", "tool"), ("fry\nan egg", "fast"))
    lost = Recall("recipes", 4, 0.25, {"fast": 2, "tool": 1}, missed)
    [warning] = command.warnings([lost])
    assert warning.startswith(
        "Of the 4 examples of 'recipes', held out one by one, 2 are taken for 'fast': "
        '"boil an egg", "fry an egg"; give more examples'
    )
    assert not list(command.warnings([Recall("recipes", 4, 0.5, {"fast": 2}, missed)]))
