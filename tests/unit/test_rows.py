"""The decision log put together: each job's decision with what came of it."""

import json
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest

from fleet.rows import Entry, Feedback, Outcome, Row, Shadow, Undecided, join
from tests.support import decision


def entry(kind: str, at: int, job: str = "job_a", **data: Any) -> Entry:
    return Entry(at, kind, json.dumps({"job": job, "at": at, **data}))


def decided(at: int, job: str = "job_a", **how: Any) -> Entry:
    return entry("decision", at, job, caller="local", **decision("fast", "tool", **how).as_dict())


OUTCOME = Outcome(
    at=9, status="completed", model="fast", route="fast", wait_ms=1, first_token_ms=2, total_ms=8,
    prompt_tokens=32, completion_tokens=5, attempt=1, failed_over=0, experiment=None, arm=None,
)  # fmt: skip
ENDED = entry(
    "outcome",
    **{name: getattr(OUTCOME, name) for name in Outcome.__dataclass_fields__},
)
SHADOW = Shadow("trial", "c", "tool", 0.5, 1.5)
SHADOWED = entry(
    *("shadow", 2), experiment="trial", arm="c", route="tool", confidence=0.5, took_ms=1.5
)


def rated(at: int, **said: Any) -> Entry:
    return entry("feedback", at, **{"route": None, "rating": None, "comment": None, **said})


def test_whatever_the_order_the_entries_of_a_job_are_one_row() -> None:
    entries = [decided(1, scores={"fast": 0.5}, held=3), SHADOWED, rated(4, rating=5), ENDED]
    for order in permutations(entries):
        [row], unread, _ = join(order)
        assert unread == 0
        assert (row.job, row.at, row.caller, row.held) == ("job_a", 1, "local", 3)
        assert (row.plan, row.scores) == (("fast", "tool"), {"fast": 0.5})
        assert (row.outcome, row.shadows) == (OUTCOME, (SHADOW,))
        assert row.feedback == (Feedback(4, None, 5, None),)


def test_rows_stand_in_the_order_of_their_decisions() -> None:
    rows, _, _ = join([decided(3, "job_b"), ENDED, decided(1, "job_c"), decided(2)])
    assert [row.job for row in rows] == ["job_c", "job_a", "job_b"]
    assert [row.outcome is None for row in rows] == [True, False, True]


def test_the_last_feedback_comes_last_and_a_shadow_noted_twice_is_one() -> None:
    [row], _, _ = join([decided(1), rated(8, rating=1), rated(5, route="tool"), SHADOWED, SHADOWED])
    assert [(one.route, one.rating) for one in row.feedback] == [("tool", None), (None, 1)]
    assert row.shadows == (SHADOW,)


def test_of_a_job_without_a_decision_there_is_its_end_and_what_was_said_of_it() -> None:
    said = (Feedback(4, None, 1, None),)
    alone = [Undecided("job_a", OUTCOME, said)]
    assert join([ENDED, SHADOWED, rated(4, rating=1)]) == ([], 0, alone)
    assert join([SHADOWED, rated(4, rating=1)]) == ([], 0, [])
    assert join([decided(1), ENDED]).undecided == []


def test_what_a_job_has_cost_may_be_known_after_its_end() -> None:
    costs = [entry("cost", at, cost_usd=cost) for at, cost in ((10, 0.25), (11, 0.75))]
    for order in permutations([decided(1), ENDED, *costs]):
        [row], _, _ = join(order)
        assert row.outcome == replace(OUTCOME, cost_usd=0.75)
    assert join([ENDED, *costs]).undecided[0].outcome.cost_usd == 0.75
    assert join(costs) == ([], 0, [])


@pytest.mark.parametrize(
    "odd",
    [
        Entry(1, "decision", "{"),
        Entry(1, "decision", "[]"),
        Entry(1, "decision", "null"),
        Entry(1, "outcome", '{"at": 1}'),
        Entry(1, "outcome", '{"job": "job_a", "at": 1, "status": "completed"}'),
        Entry(1, "prophecy", '{"job": "job_a"}'),
        entry("decision", 1, route="fast"),
        entry("shadow", 1, experiment="trial", arm="c", route="tool", confidence="sure", took_ms=1),
    ],
)
def test_an_entry_of_another_version_is_counted_and_keeps_no_other_from_being_read(
    odd: Entry,
) -> None:
    [row], unread, _ = join([odd, decided(2), ENDED])
    assert (row.outcome, unread) == (OUTCOME, 1)


def test_what_a_later_version_adds_is_passed_over() -> None:
    said = json.loads(decided(1).data)
    [row], unread, _ = join([Entry(1, "decision", json.dumps(said | {"mood": "good"}))])
    assert (row.route, unread) == ("fast", 0)


def test_a_row_is_a_line_of_json() -> None:
    [row], _, _ = join([decided(1), ENDED, SHADOWED, rated(4, route="tool", comment="wrong")])
    said = json.loads(json.dumps(row.as_dict()))
    assert said.keys() == set(Row.__dataclass_fields__)
    assert (said["route"], said["plan"]) == ("fast", ["fast", "tool"])
    assert said["outcome"]["first_token_ms"] == 2
    assert said["feedback"] == [{"at": 4, "route": "tool", "rating": None, "comment": "wrong"}]
    assert said["shadows"][0]["arm"] == "c"
