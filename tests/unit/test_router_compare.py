import json
import re
from random import Random
from statistics import NormalDist

import pytest

from fleet.rows import Row
from router.clusters import Estimate
from router.compare import Comparison, Disagreement, compare, experiments_of
from router.findings import Finding, Samples, judge
from tests.unit.decision_rows import arm_rows, outcome, row, said, shadow


def finding(found: Comparison, measure: str, arm: str = "b") -> Finding:
    return next(f for f in found.findings if (f.arm, f.measure) == (arm, measure))


def test_each_arm_has_its_own_figures() -> None:
    rows = [
        row(experiment="heads", arm="a", conversation="x"),
        row(experiment="heads", arm="a", conversation="x", outcome=outcome(failed_over=2)),
        row(experiment="heads", arm="b", route="tool", feedback=(said("fast", 2),)),
        row(experiment="heads", arm="b", outcome=outcome(status="failed", first_token_ms=None)),
        row(experiment="another", arm="a"),
        row(),
    ]
    first, second = compare(rows, "heads").arms
    assert (first.name, first.jobs, first.groups, second.jobs, second.groups) == ("a", 2, 1, 2, 2)
    assert second.routes == {"tool": 0.5, "fast": 0.5}
    assert first.fall_overs is not None
    assert first.fall_overs.value == 0.5
    assert second.failures is not None
    assert second.failures.value == 0.5
    assert second.misroutes is not None
    assert (second.misroutes.value, second.misroutes.n) == (1.0, 1)
    assert second.first_token_ms == Estimate(200, None, None, 1, 1)
    assert first.misroutes is None
    assert first.agreement is None


def test_conversations_of_two_callers_are_not_one() -> None:
    rows = [row(experiment="heads", arm="a", conversation="x", caller=c) for c in ("al", "bo")]
    assert compare(rows, "heads").arms[0].groups == 2


def test_where_callers_stay_in_one_arm_callers_are_counted() -> None:
    rows = [row(experiment="heads", arm="a", conversation=c) for c in ("x", "y", "z")]
    assert compare(rows, "heads", by="caller").arms[0].groups == 1


def test_arms_stand_in_the_order_of_the_configuration() -> None:
    rows = [row(experiment="heads", arm=arm) for arm in "abcd"]
    found = compare(rows, "heads", ["c", "a"])
    assert [arm.name for arm in found.arms] == ["c", "a", "b", "d"]
    assert {each.base for each in found.findings} == {"c"}


def test_a_shadow_arm_is_measured_by_what_it_would_have_said() -> None:
    rows = [
        row(experiment="heads", arm="a", shadows=(shadow("fast"),)),
        row(experiment="heads", arm="a", shadows=(shadow("tool"),), feedback=(said("tool"),)),
        row(experiment="heads", arm="a", shadows=(shadow("tool"),), feedback=(said(rating=5),)),
        row(experiment="heads", arm="a", shadows=(shadow("tool", experiment="another"),)),
    ]
    deciding, shadowing = compare(rows, "heads").arms
    assert (shadowing.shadow, shadowing.jobs) == (True, 3)
    assert shadowing.agreement is not None
    assert shadowing.agreement.value == pytest.approx(1 / 3)
    assert shadowing.disagreements == (Disagreement("fast", "tool", 2),)
    assert deciding.misroutes is not None
    assert shadowing.misroutes is not None
    assert (deciding.misroutes.value, shadowing.misroutes.value) == (0.5, 0.5)
    assert shadowing.first_token_ms is None
    assert experiments_of(rows) == ("another", "heads")


def test_an_experiment_without_jobs_has_no_arms() -> None:
    assert compare([row()], "heads") == Comparison("heads", "conversation", (), ())


def test_a_real_difference_is_found_and_told() -> None:
    draw = Random(1)
    rows = arm_rows(draw, "a", 150, fall_overs=0.02)
    rows += arm_rows(draw, "b", 150, first_token_ms=200, fall_overs=0.15)
    found = compare(rows, "heads")
    faster, more = finding(found, "first_token"), finding(found, "fall_overs")
    assert faster.differs
    assert re.fullmatch(
        r"arm b: first token \d+ ms faster than arm a \(95 % CI \d+\.\.\d+ ms\)", faster.sentence
    )
    assert more.differs
    assert " points more than arm a (95 % CI " in more.sentence
    assert not finding(found, "misroutes").differs
    assert faster.level == pytest.approx(1 - 0.05 / 3)


def test_arms_that_are_the_same_are_rarely_told_apart() -> None:
    draw = Random(2)
    told_apart = 0
    for _ in range(60):
        rows = arm_rows(draw, "a", 40) + arm_rows(draw, "b", 40)
        told_apart += any(each.differs for each in compare(rows, "heads").findings)
    assert told_apart <= 6  # 3 are to be expected of 60


def test_too_few_conversations_are_not_judged() -> None:
    draw = Random(3)
    found = compare(arm_rows(draw, "a", 5) + arm_rows(draw, "b", 50), "heads")
    assert all(each.difference is None for each in found.findings)
    assert finding(found, "first_token").sentence == (
        "arm b: first token: not enough data yet: at least 10 conversations are needed in each arm"
    )
    assert "rated conversations" in finding(found, "misroutes").sentence


def test_what_is_lacking_is_told() -> None:
    draw = Random(4)
    found = finding(
        compare(arm_rows(draw, "a", 40) + arm_rows(draw, "b", 40), "heads"), "misroutes"
    )
    assert found.lacking is not None
    assert found.lacking > 0
    assert (
        f"about {found.lacking} more rated jobs per arm to tell a difference of 5 points at 80 %"
        in (found.sentence)
    )


def test_the_size_that_is_asked_for_is_the_textbooks() -> None:
    """Fleiss, Levin and Paik 2003, (4.14), for two arms that are alike."""
    n, part = 400, 0.2
    ones = [[float(number < part * n)] for number in range(n)]
    (found,) = judge([Samples("b", "a", "misroutes", ones, ones)])
    z = NormalDist().inv_cdf
    textbook = 2 * part * (1 - part) * ((z(0.975) + z(0.8)) / 0.05) ** 2
    assert found.lacking == pytest.approx(textbook - n, rel=0.05)


def test_with_much_data_it_is_said_that_there_is_no_difference() -> None:
    ones = [[float(number % 10 == 0)] for number in range(4_000)]
    (found,) = judge([Samples("b", "a", "fall_overs", ones, ones)])
    assert found.lacking == 0
    assert found.sentence.startswith(
        "arm b: fall-overs: no difference; one of 5 points would have shown (95 % CI -1."
    )


def shadowed(right: str, says: str, count: int) -> list[Row]:
    return [
        row(experiment="heads", arm="a", shadows=(shadow(says),), feedback=(said(right),))
        for _ in range(count)
    ]


def test_a_shadow_arm_that_is_right_more_often_is_found_on_the_same_jobs() -> None:
    rows = shadowed("tool", "tool", 15) + shadowed("tool", "fast", 5) + shadowed("fast", "fast", 80)
    found = finding(compare(rows, "heads"), "misroutes", "c")
    assert found.difference is not None
    assert found.difference.value == pytest.approx(-0.15)
    assert found.differs
    assert found.sentence.startswith("arm c: misroutes 15.0 points fewer than arm a")


def test_a_shadow_arm_that_is_always_right_where_the_other_never_is_differs() -> None:
    found = finding(compare(shadowed("tool", "tool", 20), "heads"), "misroutes", "c")
    assert found.differs


def test_a_shadow_arm_that_always_says_the_same_does_not_differ() -> None:
    found = finding(compare(shadowed("tool", "fast", 20), "heads"), "misroutes", "c")
    assert not found.differs
    assert "not enough data yet" in found.sentence


def test_the_same_log_gives_the_same_comparison_and_it_is_json() -> None:
    def told() -> str:
        draw = Random(5)
        rows = arm_rows(draw, "a", 20) + arm_rows(draw, "b", 20)
        return json.dumps(compare(rows, "heads").as_dict(), allow_nan=False)

    assert told() == told()
    assert json.loads(told())["findings"][0]["sentence"]
