"""Which arm a conversation falls into."""

from collections import Counter

import pytest

from fleet.routing import Arm, Experiment
from router.experiments import draw, shadows


def experiment(name: str = "e", by: str = "conversation", **weights: float) -> Experiment:
    arms = [{"name": arm, "weight": weight} for arm, weight in weights.items()]
    return Experiment.model_validate({"name": name, "by": by, "arms": arms})


def test_without_an_experiment_there_is_no_arm() -> None:
    assert draw((), "c", "caller", "job") is None


def test_a_conversation_stays_in_its_arm_whatever_the_job_and_the_caller() -> None:
    tests = (experiment(a=1, b=1),)
    first = draw(tests, "conversation", "alice", "job_1")
    assert first == draw(tests, "conversation", "bob", "job_2")


def test_by_caller_every_conversation_of_one_caller_has_one_arm() -> None:
    tests = (experiment(by="caller", a=1, b=1),)
    drawn = [draw(tests, f"c{n}", "alice", f"j{n}") for n in range(50)]
    assert len({each.arm.name for each in drawn if each}) == 1


def test_a_job_without_a_conversation_is_drawn_alone() -> None:
    names = Counter(
        d.arm.name for n in range(400) if (d := draw((experiment(a=1, b=1),), "", "x", f"j{n}"))
    )
    assert set(names) == {"a", "b"}


def test_arms_get_what_they_weigh() -> None:
    tests = (experiment(a=3, b=1, c=0),)
    names = Counter(d.arm.name for n in range(4_000) if (d := draw(tests, f"c{n}", "", "")))
    assert names["a"] / 4_000 == pytest.approx(0.75, abs=0.03)
    assert names["b"] / 4_000 == pytest.approx(0.25, abs=0.03)
    assert "c" not in names


def test_several_experiments_share_the_conversations() -> None:
    tests = (experiment("one", a=1, b=1), experiment("two", a=1, b=1))
    drawn = Counter(
        (d.experiment, d.arm.name) for n in range(2_000) if (d := draw(tests, f"c{n}", "", ""))
    )
    assert len(drawn) == 4
    assert min(drawn.values()) > 400


def test_shadow_arms_decide_nothing_and_score_everything() -> None:
    arms = (Arm(name="a"), Arm(name="b", shadow=True, weight=100))
    tests = (Experiment(name="e", arms=arms),)
    assert {d.arm.name for n in range(100) if (d := draw(tests, f"c{n}", "", ""))} == {"a"}
    assert [drawn.arm.name for drawn in shadows(tests)] == ["b"]
