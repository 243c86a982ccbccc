"""Where a job goes after a failure: a table of rules, and what holds for every plan and failure."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.catalogue import Catalogue, Model
from fleet.errors import (
    AllModelsUnavailable,
    BreakerOpen,
    Broken,
    CapReached,
    ContextExceeded,
    FleetError,
    NotServed,
    ServerBusy,
    ServerFailed,
    ServerLoading,
    ServerStalled,
    ServerUnreachable,
    StreamCut,
    TryNext,
)
from fleet.job import HandOver, Job, Status
from workers.next_try import FOR_GOOD, NOBODY, NextTry, failure, remembered

CONTEXTS = {"fast": 4096, "tool": 4096, "large": 32768, "huge": 65536, "claude": 100_000}
CATALOGUE = Catalogue(
    tuple(
        Model.model_validate({"name": name, "url": "http://127.0.0.1:1", "context": context})
        for name, context in CONTEXTS.items()
    )
)
ROUNDS, ATTEMPTS = 3, 5
#: More failures than any job may have that no model keeps waiting.
ENDLESS = 200


class Sent:
    """A job that is sent where its failures send it."""

    def __init__(self, *plan: str) -> None:
        self.job = Job("job_1", Status.RUNNING, {}, plan=plan, model=plan[0], attempt=1)
        #: The rounds and models in which it was asked, in order.
        self.asked = [(0, plan[0])]
        self.end: FleetError | None = None

    def fail(
        self, error: TryNext, *, rounds: int = ROUNDS, begun: bool = False, shut: Any = NOBODY
    ) -> "Sent":
        """Its present model fails."""
        job = self.job
        model = job.plan[job.step]
        failed = failure(model, job.attempt, error, at=1, took_ms=1)
        tried = remembered([*job.tried, failed])
        next_try = NextTry(model, CATALOGUE, rounds, ATTEMPTS)
        how = next_try.after(job, error, tried, begun=begun, shut=shut)
        if isinstance(how, FleetError):
            self.end = how
            return self
        assert isinstance(how, HandOver)
        self.job = replace(
            job,
            step=how.step,
            rounds=how.rounds,
            tried=tuple(how.tried),
            attempt=job.attempt + 1,
            released=job.released + how.free,
        )
        self.asked.append((how.rounds, job.plan[how.step]))
        return self

    @property
    def model(self) -> str:
        """Where it is now."""
        return self.job.plan[self.job.step]


def test_the_next_model_is_asked_at_once() -> None:
    assert Sent("fast", "tool").fail(ServerFailed()).model == "tool"


def test_who_is_left_alone_is_passed_over_where_another_one_is_asked() -> None:
    down = {"tool": "it is down", "large": "it hangs"}
    job = Sent("fast", "tool", "large", "claude").fail(ServerFailed(), shut=down)
    assert job.model == "claude"
    assert [(t["model"], t["code"], t["message"]) for t in job.job.tried[1:]] == [
        ("tool", "breaker_open", "it is down"),
        ("large", "breaker_open", "it hangs"),
    ]
    job.fail(ServerUnreachable(), shut={"fast": "it broke", "tool": "it is down"})
    assert (job.model, job.job.rounds) == ("large", 1)
    nobody = Sent("fast", "tool").fail(ServerFailed(), shut=down)
    assert (nobody.model, len(nobody.job.tried)) == ("tool", 1)


@pytest.mark.parametrize(
    ("error", "goes_to"),
    [
        (ContextExceeded(), "large"),
        (ContextExceeded(needs=5_000), "large"),
        (ContextExceeded(needs=32_768), "huge"),
        (ContextExceeded(needs=3_000), "tool"),  # the server has less than its entry says
    ],
)
def test_what_is_too_long_goes_only_where_it_fits(error: TryNext, goes_to: str) -> None:
    assert Sent("fast", "tool", "large", "huge").fail(error).model == goes_to


def test_what_no_model_of_the_plan_holds_is_the_callers() -> None:
    end = Sent("fast", "tool").fail(ContextExceeded("The prompt has 9000 tokens.")).end
    assert isinstance(end, ContextExceeded)
    assert "shorten the conversation" in end.message
    small_is_away = Sent("fast", "large").fail(ServerUnreachable())
    end = small_is_away.fail(ContextExceeded(needs=40_000)).end
    assert isinstance(end, ContextExceeded)


def test_a_model_that_could_hold_it_and_is_away_is_waited_for() -> None:
    job = Sent("fast", "large").fail(ContextExceeded(needs=9_000)).fail(ServerUnreachable())
    assert (job.model, job.job.rounds) == ("large", 1)
    job = job.fail(ServerUnreachable()).fail(ServerUnreachable())
    assert isinstance(job.end, AllModelsUnavailable)


def test_a_provider_that_does_not_serve_us_is_asked_once() -> None:
    job = Sent("claude", "fast")
    job.fail(NotServed()).fail(ServerUnreachable())
    assert job.asked == [(0, "claude"), (0, "fast"), (1, "fast")]
    assert isinstance(Sent("claude").fail(NotServed()).end, AllModelsUnavailable)


def test_that_it_was_asked_is_not_forgotten_while_another_loads() -> None:
    job = Sent("claude", "fast").fail(NotServed())
    for _ in range(ENDLESS):
        job.fail(ServerLoading())
    assert [model for _, model in job.asked].count("claude") == 1
    assert len(job.job.tried) == 50


def test_a_model_that_loads_is_waited_for_beyond_the_rounds() -> None:
    job = Sent("fast")
    for _ in range(ROUNDS + 5):
        job.fail(ServerLoading())
    assert job.end is None


def test_the_jobs_own_doing_is_tried_so_often_and_no_more() -> None:
    job = Sent("fast", "tool")
    while job.end is None:
        job.fail(StreamCut(), rounds=ENDLESS)
    assert len(job.asked) == ATTEMPTS
    free = Sent("fast", "tool")
    for _ in range(ATTEMPTS + 5):
        free.fail(ServerUnreachable(), rounds=ENDLESS)
    assert free.end is None


def test_a_model_that_this_process_does_not_know_is_passed_by() -> None:
    assert Sent("fast", "new", "large").fail(ServerFailed()).model == "large"


ERRORS: list[TryNext] = [
    ServerUnreachable(),
    ServerBusy(),
    BreakerOpen(),
    ServerFailed(),
    ServerStalled(),
    StreamCut(),
    CapReached(),
    NotServed(),
    ContextExceeded(),
    ContextExceeded(needs=20_000),
]


@given(
    plan=st.lists(st.sampled_from(["new", *CONTEXTS]), min_size=1, max_size=6, unique=True),
    loads=st.integers(0, 20),
    data=st.data(),
)
def test_a_job_moves_or_ends_whatever_fails(
    plan: list[str], loads: int, data: st.DataObject
) -> None:
    job, counted = Sent(*plan), 0
    for turn in range(ENDLESS):
        loading = [ServerLoading()] if turn < loads else []
        error = data.draw(st.sampled_from([*ERRORS, *loading]))
        counted += isinstance(error, Broken)
        if job.fail(error, rounds=ROUNDS + loads).end:
            break
    assert job.end is not None
    assert counted <= ATTEMPTS
    assert len(set(job.asked)) == len(job.asked)  # no model twice within a round
    assert job.asked == sorted(job.asked, key=lambda asked: (asked[0], plan.index(asked[1])))
    assert max(number for number, _ in job.asked) < ROUNDS + 2 * loads
    _never_again(job)


def _never_again(job: Sent) -> None:
    """After a no for good a model is not asked, nor one that is no larger than was too small."""
    names = [model for _, model in job.asked]
    for place, told in enumerate(job.job.tried):
        after = names[place + 1 :]
        assert told["code"] not in FOR_GOOD or told["model"] not in after
        if told["code"] == ContextExceeded.code:
            small = told.get("needs") or CONTEXTS.get(told["model"], 0)
            assert all(CONTEXTS[name] > small for name in after)


def test_what_a_failure_leaves_in_the_record() -> None:
    said = ServerBusy("x" * 5_000, retry_after_s=7.0)
    entry: dict[str, Any] = failure("claude", 3, said, at=1_000, took_ms=20)
    assert len(entry.pop("message")) == 600
    assert entry == {
        **{"model": "claude", "attempt": 3, "code": "server_busy", "at": 1_000, "took_ms": 20},
        "retry_after_s": 7.0,
    }
