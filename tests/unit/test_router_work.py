"""The figures of `fleet report`, on rows made up for it."""

import json
from typing import Any

import pytest

from fleet.catalogue import Price
from fleet.comparison import Reference
from fleet.rows import Undecided
from router.work import HOUR_MS, Bill, Cached, Predictions, Work, work
from tests.unit.decision_rows import outcome, row, said

#: The usual outcome has 100 and 50 tokens: 600 dollars there.
REFERENCE = Reference("claude", Price(input=1e6, output=10e6))
NOW = 1_000 * HOUR_MS


def worked(*jobs: Any, now_ms: int = NOW) -> Work:
    return work(jobs, REFERENCE, {"claude", "gpt"}, now_ms)


def undecided(job: str = "job_x", **changes: Any) -> Undecided:
    return Undecided(job, outcome(**changes))


def test_what_local_models_answer_is_saved_and_what_claude_answers_is_not() -> None:
    found = worked(
        row(),
        row(),
        row(outcome=outcome(model="claude", cost_usd=599.0)),
        row(outcome=outcome(model="gpt", cost_usd=700.0)),
    )
    assert found.bills == {
        "fast": Bill(None, 1_200, 1_200),
        "claude": Bill(599, 599, 0),
        "gpt": Bill(700, 600, -100),
    }
    assert found.bill == Bill(1_299, 2_399, 1_100)
    assert found.compared_with == "claude"


def test_of_tokens_that_nobody_counted_no_saving_is_claimed() -> None:
    found = worked(row(outcome=outcome(completion_tokens=None)))
    assert found.bill == Bill(None, None, None)


def test_jobs_that_no_router_has_seen_count_and_those_that_run_do_not() -> None:
    found = worked(row(), undecided(cache="hit", model="claude", cost_usd=0.0), row(outcome=None))
    assert (found.overall.jobs, found.overall.share) == (2, 1)
    assert [(each.name, each.share) for each in found.models] == [("(cache)", 0.5), ("fast", 0.5)]
    assert found.bills["(cache)"].saved_usd == 600
    assert (found.external_rate, found.alert) == (0, "")


def test_what_ended_before_it_came_to_a_model_has_no_name() -> None:
    assert worked(undecided(status="expired", model=None)).models[0].name == "(no model)"


def test_each_kind_of_cache_tells_what_it_has_saved() -> None:
    found = worked(
        undecided(cache="hit"),
        undecided(cache="hit", prompt_tokens=None, completion_tokens=None),
        row(outcome=outcome(cache="shared")),
        row(),
    )
    assert found.caches == (Cached("hit", 2, 100, 50), Cached("shared", 1, 100, 50))


def test_predictions_are_held_against_waits_that_were_waits() -> None:
    waits = [(1_000, 1_100), (2_000, 1_000), (4_000, 4_000), (999, 5), (5_000, None)]
    rows = [row(outcome=outcome(wait_ms=w, predicted_wait_ms=p)) for w, p in waits]
    assert worked(*rows).predictions == Predictions(3, 0.1)
    assert worked(row()).predictions == Predictions(0, None)


@pytest.mark.parametrize(
    ("seen_ms", "month"), [(10 * HOUR_MS, 72.0), (720 * HOUR_MS, 1.0), (1_000, 720.0)]
)
def test_a_month_is_reckoned_from_the_hours_that_were_seen_and_no_less_than_one(
    seen_ms: int, month: float
) -> None:
    began = outcome(at=NOW - seen_ms + 500, total_ms=500, cost_usd=1.0)
    found = worked(row(outcome=began))
    assert found.month_usd == pytest.approx(month)
    assert found.seen_h == max(seen_ms / HOUR_MS, 1)


def test_more_than_one_percent_of_external_answers_is_an_alert() -> None:
    rows = [row(outcome=outcome(model="gpt")), *(row() for _ in range(9))]
    assert worked(*rows).alert.startswith("ALERT: external models answered 10.0%")


def test_of_no_jobs_there_is_an_empty_report() -> None:
    found = worked()
    assert (found.overall.jobs, found.models, found.month_usd) == (0, (), 0)
    json.dumps(found.as_dict(), allow_nan=False)


def test_the_whole_report_is_json() -> None:
    told = json.loads(
        json.dumps(
            worked(row(feedback=(said(None, 4),)), undecided(cache="hit")).as_dict(),
            allow_nan=False,
        )
    )
    speeds = {model["name"]: model["tokens_per_s"] for model in told["models"]}
    assert speeds["(cache)"] is None
    assert speeds["fast"] > 0
    assert told["bills"]["fast"]["saved_usd"] == 600
    assert told["caches"][0]["kind"] == "hit"
