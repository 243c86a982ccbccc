"""Queries that show how the router behaves, by kind. Nothing is learned from them."""

import json
from collections.abc import Sequence
from functools import cache

import pytest

from cli.route.evaluate import judge
from fleet.routing import Classifier
from fleet.settings import Settings
from router import embedders
from router.evaluation import Judged, score
from router.examples import labelled
from tests.support import ROOT

#: By kind: the least part that must be right, about three points under what was measured.
#: `groups` is the part of the groups of paraphrases whose members go the same way.
GATES: dict[str, dict[Classifier, float]] = {
    "baseline": {"cascade": 0.93, "keywords": 0.77},
    "paraphrase": {"cascade": 0.88, "keywords": 0.76},
    "negative": {"cascade": 0.87, "keywords": 0.72},
    "collision": {"cascade": 0.82, "keywords": 0.65},
    "multi-turn": {"cascade": 0.91, "keywords": 0.74},
    "odd": {"cascade": 0.72, "keywords": 0.57},
    "ask": {"cascade": 0.84, "keywords": 0.62},
    "ask-trap": {"cascade": 0.79, "keywords": 0.68},
    "groups": {"cascade": 0.90, "keywords": 0.51},
}
PROBES = ROOT / "tests" / "probes"
FILES = ("probes.jsonl", "asks.jsonl")


@cache
def judged(classifier: Classifier) -> Sequence[Judged]:
    if classifier == "cascade" and "e5" not in embedders.installed():
        pytest.skip("the gates are for the embedder e5, which is not installed")
    settings = Settings.model_validate({"router": {"classifier": classifier}})
    lines = [line for name in FILES for line in labelled(PROBES / name)]
    found, ran = judge(lines, settings)
    assert not ran.failed
    return found


def groups() -> dict[str, str]:
    """The group of each probe that is in one, by its id."""
    lines = (PROBES / "probes.jsonl").read_text(encoding="utf-8").strip().split("\n")
    rows = [json.loads(line) for line in lines]
    return {row["id"]: row["group"] for row in rows if "group" in row}


@pytest.mark.parametrize("classifier", ["cascade", "keywords"])
@pytest.mark.parametrize("kind", sorted(set(GATES) - {"groups"}))
def test_enough_probes_of_a_kind_go_the_right_way(kind: str, classifier: Classifier) -> None:
    found = score(judged(classifier)).per_kind[kind].accuracy
    assert found >= GATES[kind][classifier]


@pytest.mark.parametrize("classifier", ["cascade", "keywords"])
def test_what_says_the_same_goes_the_same_way(classifier: Classifier) -> None:
    of_probe = groups()
    ways: dict[str, set[str]] = {}
    for each in judged(classifier):
        if group := of_probe.get(each.line.name):
            ways.setdefault(group, set()).add(each.route)
    agreeing = sum(len(routes) == 1 for routes in ways.values()) / len(ways)
    assert agreeing >= GATES["groups"][classifier]


def test_every_kind_has_a_gate() -> None:
    lines = [line for name in FILES for line in labelled(PROBES / name)]
    assert {line.kind for line in lines} | {"groups"} == set(GATES)
    assert len({line.name for line in lines}) == len(lines)
