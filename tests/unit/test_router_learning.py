"""What is learned from examples, and how it is kept."""

import json
from pathlib import Path

import numpy as np
import pytest

from fleet.errors import ConfigError
from router import weights
from router.examples import DATA, shipped
from router.fit import Lesson, Material, fit, softmax_regression, store_vectors, stored_vectors
from router.head import Head
from router.learn import learn_words
from router.weights import Weights, shares, terms


def test_softmax_regression_finds_the_point_where_the_slope_is_nothing() -> None:
    draw = np.random.default_rng(1)
    given, labels = draw.normal(size=(300, 7)), draw.integers(0, 3, 300)
    counts = draw.uniform(0.2, 2, 300)
    found = softmax_regression(given, labels, 3, counts, 0.5, tolerance=1e-9)
    logits = given @ found[:-1] + found[-1]
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    odds /= odds.sum(axis=1, keepdims=True)
    error = (odds - np.eye(3)[labels]) * counts[:, None]
    assert np.abs(given.T @ error + 0.5 * found[:-1]).max() < 1e-4
    assert np.abs(error.sum(axis=0)).max() < 1e-3


def test_the_head_that_ships_is_the_one_that_the_examples_give() -> None:
    stored = stored_vectors("e5")
    assert len(stored) >= len({example.query for example in shipped()})
    head = Head.read(DATA / "head-e5.json")
    assert head.notes["examples"] == len(shipped())
    assert set(head.routes.labels) == {"fast", "tool", "large"}
    assert set(head.domains.labels) == {"code", "creative", "general"}


def test_the_words_that_ship_are_those_of_the_examples() -> None:
    table = learn_words(shipped())
    raw = json.loads(weights.PATH.read_text(encoding="utf-8"))
    assert set(table.of) == set(raw["words"])
    off = max(
        abs(a - b)
        for term, row in table.of.items()
        for a, b in zip(row, raw["words"][term], strict=True)
    )
    assert off <= 0.05


def test_a_head_is_the_same_after_a_file(tmp_path: Path) -> None:
    examples = shipped()[::40]
    rows = np.random.default_rng(2).normal(size=(len(examples), 8)).astype(np.float32)
    head = fit(Lesson(Material(examples, rows)), "e5")
    head.save(tmp_path / "head.json")
    again = Head.read(tmp_path / "head.json")
    given = np.full(head.routes.weights.shape[0], 0.05, np.float32)
    before, after = head.routes.scores(given), again.routes.scores(given)
    assert after == pytest.approx(before, abs=0.01)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 1}', '{"format": 99}', "\x00"])
def test_a_file_that_is_no_head_is_refused_with_the_cure(tmp_path: Path, text: str) -> None:
    path = tmp_path / "head.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match="fleet route fit"):
        Head.read(path)


def test_vectors_are_kept_within_a_hundredth(tmp_path: Path) -> None:
    examples = shipped()[:5]
    rows = np.random.default_rng(3).normal(size=(5, 384)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    path = tmp_path / "vectors.npz"
    store_vectors(Material(examples, rows), "e5", path)
    with np.load(path) as raw:
        again = raw["rows"] * raw["scales"][:, None]
    assert (again * rows).sum(axis=1) == pytest.approx(np.ones(5), abs=0.01)


def test_terms_are_words_and_pairs_and_lone_letters_in_pairs() -> None:
    assert terms("set a timer") == {"set", "a", "timer", "set a", "a timer"}
    assert terms("15 times 7") == {"#", "times", "# times", "times #"}
    assert terms("天気は") == {"天気", "気は"}
    assert terms("") == set()


def test_logits_are_the_mean_of_the_words_and_the_loudest_are_named() -> None:
    table = Weights(("fast", "tool"), (0.1, 0.0), {"timer": (-1.0, 2.0), "poem": (2.0, -1.0)})
    logits, known = table.logits("a timer")
    assert known == ["timer"]
    assert logits == pytest.approx({"fast": -0.9, "tool": 2.0})
    assert table.loudest(known, "tool") == ["timer"]
    assert sum(shares(logits).values()) == pytest.approx(1)


def test_every_example_has_a_known_route_and_a_public_one_its_licence() -> None:
    for file in (DATA / "examples").glob("*.jsonl"):
        for line in file.read_text(encoding="utf-8").splitlines():
            raw = json.loads(line)
            assert raw["route"] in ("fast", "tool", "large", "claude")
            if raw.get("source", "ours") != "ours":
                assert raw["licence"] in ("MIT", "Apache-2.0", "CC-BY-3.0", "CC-BY-4.0")
                assert raw["licence"] in (DATA / "SOURCES.md").read_text(encoding="utf-8")
