"""The verifier finds each kind of wrong, and calls nothing wrong that is right."""

from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.history import Entry, Fault, History, Job, Order, Reading, Seen, Shown, Stored
from tests.chaos.verifier import folded, judge

T0 = 1_000.0
TEXT = " w0 w1 w2"
ORDER = Order(0, "key-0", {}, TEXT, deadline_s=45)


def entry(seq: int, kind: str, at: float = 0.0, **data: Any) -> Entry:
    """An event; those that carry a time get it in seconds after the beginning."""
    stamp = {} if kind == "token" else {"at": int((T0 + at) * 1000)}
    return Entry(seq, kind, {"type": kind, **stamp, **data})


def token(seq: int, content: str) -> Entry:
    return entry(seq, "token", content=content)


LOG = (
    entry(0, "queued"),
    entry(1, "routed", 0.1),
    entry(2, "started", 0.2, attempt=1, worker="fast@host:11"),
    token(3, " w0"),
    token(4, " w1 w2"),
    entry(5, "usage", 1),
    entry(6, "completed", 1),
)
#: The worker was killed after the first token.
TWICE = (
    *LOG[:4],
    entry(4, "restarted", 4),
    entry(5, "started", 4, attempt=2, worker="fast@host:12"),
    token(6, TEXT),
    entry(7, "completed", 5),
)
KILLED = Fault("kill_worker", "worker-fast-1", T0 + 1, T0 + 4, pid=11)


def a_job(
    log: tuple[Entry, ...] = LOG,
    status: str = "completed",
    attempt: int = 1,
    *,
    content: str | None = None,
    seen: tuple[Entry, ...] | None = None,
    order: Order = ORDER,
    **more: Any,
) -> Job:
    """A job that its API, its Redis and its one reader agree about, unless told otherwise."""
    text = folded(log) if content is None else content
    shown = Shown(status, attempt, text, int(T0 * 1000), int((T0 + 5) * 1000))
    reading = Reading(steady=True, seen=[Seen(T0, e) for e in (log if seen is None else seen)])
    return replace(Job("job_1", order, T0, shown, Stored(status, attempt, log), (reading,)), **more)


def kinds(*jobs: Job, faults: tuple[Fault, ...] = (), **more: Any) -> list[str]:
    """The kinds of wrong that are found."""
    return [wrong.kind for wrong in judge(History(jobs, faults, **more))]


def failed(tried: tuple[str, ...], code: str = "all_models_unavailable") -> Job:
    """A job that failed after 5 s, with these models tried."""
    log = (*LOG[:3], entry(3, "failed", 5))
    job = a_job(log, "failed")
    assert job.shown
    failures = tuple({"model": model} for model in tried)
    return replace(job, shown=job.shown._replace(error={"code": code}, tried=failures))


def ended(status: str, order: Order = ORDER, **more: Any) -> Job:
    """A job that was broken off after its first token."""
    return a_job((*LOG[:4], entry(4, status, 5)), status, order=order, **more)


def test_a_job_that_went_well_is_right() -> None:
    assert kinds(a_job()) == []


def test_a_job_that_a_fault_has_made_begin_anew_is_right() -> None:
    assert kinds(a_job(TWICE, attempt=2), faults=(KILLED,)) == []


def test_a_job_that_goes_on_unbroken_in_the_next_attempt_is_right() -> None:
    log = (
        *LOG[:4],
        entry(4, "started", 4, attempt=2, worker="fast@host:12"),
        token(5, " w1 w2"),
        entry(6, "completed", 5),
    )
    assert kinds(a_job(log, attempt=2), faults=(KILLED,)) == []


@pytest.mark.parametrize(
    "lost",
    [
        a_job(shown=None, stored=None),
        a_job(stored=None),
        a_job(LOG[:2], "routed", 0),
        a_job(LOG[:5], "running"),
    ],
)
def test_a_job_that_is_gone_or_has_not_ended_is_lost(lost: Job) -> None:
    assert kinds(lost) == ["lost"]


@pytest.mark.parametrize("more", [entry(7, "completed", 2), entry(7, "failed", 2), token(7, "x")])
def test_whatever_follows_the_end_is_doubled(more: Entry) -> None:
    assert "doubled" in kinds(a_job((*LOG, more), content=TEXT))


def test_a_log_that_ends_with_no_terminal_event_is_found() -> None:
    assert "doubled" in kinds(a_job(LOG[:-1]))


def test_an_end_other_than_the_status_is_found() -> None:
    assert "doubled" in kinds(a_job((*LOG[:-1], entry(6, "failed", 1))))


@pytest.mark.parametrize(
    "log",
    [
        LOG[:3] + LOG[4:],
        (*LOG[:4], LOG[3], *LOG[4:]),
        LOG[1:],
        (LOG[1], LOG[0], *LOG[2:]),
        (*LOG[:-1], LOG[-1]._replace(seq=-1)),
    ],
)
def test_numbers_that_do_not_count_by_one_are_a_gap(log: tuple[Entry, ...]) -> None:
    assert "gap" in kinds(a_job(log, content=TEXT))


@pytest.mark.parametrize("text", [" w0 w1", " w0 w1 w1 w2", " w0 w2 w1", TEXT + " w3", ""])
def test_a_text_that_is_not_the_known_one_is_found(text: str) -> None:
    log = (*LOG[:3], token(3, text), *(e._replace(seq=e.seq - 1) for e in LOG[5:]))
    assert kinds(a_job(log)) == ["text", "text", "reader"]


def test_an_api_that_tells_another_text_than_the_log_is_found() -> None:
    assert kinds(a_job(content=" w0 w1")) == ["text"]


def test_text_that_stays_on_the_screen_after_a_second_beginning_is_found() -> None:
    log = (*TWICE[:4], *(e._replace(seq=e.seq - 1) for e in TWICE[5:]))
    assert "text" in kinds(a_job(log, attempt=2), faults=(KILLED,))


def test_a_broken_off_answer_is_a_beginning_of_the_known_one() -> None:
    hurried = replace(ORDER, hurried=True, deadline_s=2)
    assert kinds(ended("expired", hurried)) == []
    assert "text" in kinds(ended("expired", hurried, content=" w1"))


def test_redis_and_the_api_have_to_agree() -> None:
    job = a_job()
    assert job.stored
    assert "disagree" in kinds(replace(job, stored=job.stored._replace(attempt=2)))


@pytest.mark.parametrize(
    "seen",
    [
        LOG[:-1],
        LOG[:4] + LOG[5:],
        (*LOG[:4], LOG[3], *LOG[4:]),
        LOG[4:],
        (*LOG[:4], token(4, " w1 w9"), *LOG[5:]),
        (),
    ],
)
def test_a_reader_with_another_record_than_the_log_is_found(seen: tuple[Entry, ...]) -> None:
    assert set(kinds(a_job(seen=seen))) == {"reader"}


def test_a_reader_that_was_turned_away_is_found() -> None:
    reading = replace(a_job().readings[0], refused="400")
    assert kinds(a_job(readings=(reading,))) == ["reader"]


def test_without_a_log_the_reader_is_held_against_the_known_text() -> None:
    right, wrong = a_job(stored=None), a_job(stored=None, seen=LOG[:4] + LOG[5:])
    assert kinds(right, has_log=False) == []
    assert kinds(wrong, has_log=False) == ["reader", "reader"]


@pytest.mark.parametrize("status", ["failed", "cancelled", "expired", "incomplete"])
def test_an_end_that_nothing_explains_is_unexpected(status: str) -> None:
    order = replace(ORDER, text=" w0")
    assert kinds(ended(status, order)) == ["unexpected"]


def test_a_cancelled_job_has_to_be_what_the_answer_to_the_cancel_said() -> None:
    assert kinds(ended("cancelled", cancel_answer="cancelled")) == []
    assert kinds(a_job(cancel_answer="completed")) == []
    assert kinds(a_job(cancel_answer="cancelled")) == ["unexpected"]


def test_a_deadline_does_not_pass_before_its_time() -> None:
    assert kinds(ended("expired", replace(ORDER, hurried=True, deadline_s=9))) == ["unexpected"]


def test_a_deadline_that_passes_unseen_is_found_unless_redis_was_away() -> None:
    late = ended("expired", replace(ORDER, hurried=True, deadline_s=1))
    outage = Fault("hang_redis", "redis", T0 + 1, T0 + 4)
    assert kinds(late) == ["unexpected"]
    assert kinds(late, faults=(outage,)) == []


def test_an_answer_is_cut_short_by_its_limit_and_by_nothing_else() -> None:
    capped = replace(ORDER, capped=True, text=" w0")
    assert kinds(ended("incomplete", capped)) == []
    assert kinds(ended("completed", capped)) == ["unexpected"]


def test_a_failure_is_explained_by_a_fault_of_every_model_it_tried() -> None:
    fast = Fault("cut_model", "fast", T0 + 1, T0 + 2)
    tool = Fault("kill_model", "tool", T0 + 2, T0 + 3)
    assert kinds(failed(("fast", "tool")), faults=(fast, tool)) == []
    assert kinds(failed(("fast", "tool")), faults=(fast,)) == ["unexpected"]
    assert kinds(failed(("fast",)), faults=(replace(fast, began=0, ended=1),)) == ["unexpected"]
    assert kinds(failed(()), faults=(fast, tool)) == ["unexpected"]


def test_too_many_attempts_are_explained_by_as_many_faults_of_workers() -> None:
    job = failed((), "too_many_attempts")
    assert kinds(job, faults=(KILLED,) * 5) == []
    assert kinds(job, faults=(KILLED,) * 4) == ["unexpected"]


def test_more_attempts_than_the_maximum_are_found() -> None:
    assert kinds(a_job(TWICE, attempt=2), faults=(KILLED,), max_attempts=2) == []
    assert kinds(a_job(TWICE, attempt=2), faults=(KILLED,), max_attempts=1) == ["attempts"]


def test_an_attempt_that_was_handed_over_does_not_count() -> None:
    handed = (*TWICE[:4], entry(4, "routed", 3), entry(5, "restarted", 4),
              *(e._replace(seq=e.seq + 1) for e in TWICE[5:]))  # fmt: skip
    assert kinds(a_job(handed, attempt=2), faults=(KILLED,), max_attempts=1) == []


def test_an_attempt_number_that_comes_back_is_found() -> None:
    log = (*TWICE[:5], entry(5, "started", 4, attempt=1, worker="w"), *TWICE[6:])
    assert kinds(a_job(log), faults=(KILLED,)) == ["attempts"]


def test_a_second_attempt_without_a_fault_is_found() -> None:
    assert kinds(a_job(TWICE, attempt=2)) == ["unexplained"]
    earlier = replace(KILLED, began=T0 - 60, ended=T0 - 50)
    assert kinds(a_job(TWICE, attempt=2), faults=(earlier,)) == ["unexplained"]


def test_a_post_that_made_two_jobs_is_found() -> None:
    listed = (("job_1", "key-0"), ("job_2", "key-0"), ("job_3", "of somebody else"))
    assert kinds(a_job(), listed=listed) == ["doubled"]


def test_what_the_load_was_refused_and_what_the_fleet_remarks_is_wrong() -> None:
    assert kinds(refused=(("key", "500"),), remarks=("a worker did not end",)) == [
        "refused",
        "remark",
    ]
