"""How long a job will wait: what holds whatever the numbers are."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.waits import Expected, Look, Pace, Place, View, wait_s

AGES = st.lists(st.floats(0, 1_000), max_size=40)
PACES = st.builds(Pace, st.floats(0, 500), st.floats(0, 5))
SLOTS = st.integers(1, 40)


def place(ahead: int, ages: list[float]) -> Place:
    return Place(ahead, len(ages), ages)


@given(st.integers(0, 500), AGES, SLOTS, PACES)
def test_nobody_waits_less_than_no_time_and_who_finds_a_free_slot_none(
    ahead: int, ages: list[float], slots: int, pace: Pace
) -> None:
    wait = wait_s(place(ahead, ages), slots, pace)
    assert wait is not None
    assert wait >= 0
    assert wait == 0 or ahead + len(ages) >= slots or pace.mean_s == 0


@given(st.integers(0, 500), AGES, SLOTS, PACES)
def test_one_more_job_ahead_makes_no_wait_shorter(
    ahead: int, ages: list[float], slots: int, pace: Pace
) -> None:
    less, more = (wait_s(place(n, ages), slots, pace) for n in (ahead, ahead + 1))
    assert less is not None
    assert more is not None
    assert less <= more + 1e-6


@given(st.integers(0, 50), st.floats(0.01, 50), st.floats(0, 1), st.integers(1, 8))
def test_twice_the_slots_serve_twice_the_line_in_the_same_time(
    rounds: int, mean_s: float, spread: float, slots: int
) -> None:
    pace = Pace(mean_s, spread)
    one = wait_s(place(rounds * slots + slots - 1, [0.0] * slots), slots, pace)
    both = wait_s(place(2 * rounds * slots + 2 * slots - 1, [0.0] * 2 * slots), 2 * slots, pace)
    assert one == pytest.approx(both)
    assert one == pytest.approx((rounds + 1) * mean_s)


def test_jobs_that_all_take_the_same_come_like_clockwork() -> None:
    two = Place(0, 2, [3.0, 1.0])
    assert wait_s(two, 2, Pace(4.0)) == 1.0
    assert wait_s(two, 2, Pace(4.0), more=1) == 3.0
    assert wait_s(two, 2, Pace(4.0), more=2) == 5.0
    late = Place(0, 1, [9.0])
    assert wait_s(late, 1, Pace(4.0)) == 0.0


def test_of_jobs_whose_length_says_nothing_one_leaves_every_so_often() -> None:
    assert wait_s(Place(0, 2, [3.0, 1.0]), 2, Pace(4.0, 1.0)) == 2.0
    assert wait_s(Place(3, 2, [3.0, 1.0]), 2, Pace(4.0, 9.0)) == 8.0


def test_what_cannot_be_known_is_not_said() -> None:
    assert wait_s(Place(), 0, Pace(1.0)) is None
    assert wait_s(Place(0, 1, [0.0]), 1, None) is None
    assert wait_s(Place(), 1, None) == 0.0
    assert View().wait_s("fast") is None
    assert View().expected("auto", []) == Expected()


def test_streams_of_workers_that_are_gone_are_in_nobodys_way() -> None:
    assert wait_s(Place(0, 3, [100.0, 1.0, 90.0]), 1, Pace(4.0)) == 3.0


def view(undecided: int = 0, **mix: int) -> View:
    slots = {"fast": 1, "large": 1}
    paces = {"fast": Pace(1.0), "large": Pace(10.0)}
    busy: Any = {name: Place(4, 1, [0.0]) for name in slots}
    asked = {what.replace("_", ":"): count for what, count in mix.items()}
    return View(Look(slots, paces, asked), busy, undecided)


def test_a_job_without_a_model_goes_where_half_of_its_like_wait_no_longer() -> None:
    both = ["fast", "large"]
    assert view(auto_fast=8, auto_large=2).expected("auto", both) == Expected(5.0, 4)
    assert view(auto_fast=2, auto_large=8).expected("auto", both) == Expected(50.0, 4)
    assert view(auto_fast=2, auto_large=8).expected("auto", ["fast"]) == Expected(5.0, 4)
    assert view().expected("large", ["large", "fast"]) == Expected(50.0, 4)


def test_what_the_router_has_not_decided_yet_comes_before_it_by_its_usual_spread() -> None:
    expected = view(10, auto_fast=3, fast_fast=3, auto_large=4).expected("fast", ["fast"])
    assert expected == Expected(11.0, 10)
    assert view(10, auto_large=4).expected("fast", ["fast"]) == Expected(5.0, 4)


def test_a_pace_is_read_as_the_script_writes_it() -> None:
    assert Pace.read("2000.0 1000000.0 7") == Pace(2.0, 0.25)
    assert Pace.read("0.0 0.0 1") == Pace(0.0, 0.0)
