"""How long a job stood still, as told from its log and its readers."""

from dataclasses import replace

import pytest

from tests.chaos.history import Fault, History, Job
from tests.chaos.recovery import Recovery, figures, late, recoveries
from tests.chaos.test_verifier import KILLED, LOG, T0, TWICE, a_job


def of(job: Job, *faults: Fault) -> list[Recovery]:
    return recoveries(History((job,), faults))


def read_at(job: Job, *times: float) -> Job:
    """The same job, its reader's events arriving at these times."""
    reading = job.readings[0]
    pairs = zip(reading.seen, times, strict=True)
    seen = [one._replace(at=T0 + at) for one, at in pairs]
    return replace(job, readings=(replace(reading, seen=seen),))


KILLED_JOB = read_at(a_job(TWICE, attempt=2), 0, 0.1, 0.2, 0.5, 4, 4, 4.2, 5)


def test_after_a_kill_the_next_token_counts() -> None:
    [found] = of(KILLED_JOB, KILLED)
    assert found.seconds == pytest.approx(3.2)
    assert [wrong.kind for wrong in late([found])] == ["slow"]


def test_without_a_reader_the_next_attempt_counts() -> None:
    [found] = of(replace(KILLED_JOB, readings=()), KILLED)
    assert found.seconds == pytest.approx(3.0)
    assert late([found]) == []


def test_a_job_of_another_worker_did_not_stand_still() -> None:
    assert of(KILLED_JOB, replace(KILLED, pid=12)) == []
    assert of(a_job(LOG), KILLED) == []


def test_a_fault_in_the_way_excuses() -> None:
    hung = Fault("hang_redis", "redis", T0 + 2, T0 + 3)
    found = [recovery for recovery in of(KILLED_JOB, KILLED, hung) if recovery.fault == KILLED]
    assert [recovery.disturbed for recovery in found] == [True]
    assert late(found) == []


def test_a_stall_of_the_harness_excuses() -> None:
    stall = Fault("stall", "the harness", T0 + 3.5, T0 + 4.2)
    [found] = recoveries(History((KILLED_JOB,), (KILLED,), stalls=(stall,)))
    assert found.disturbed


def test_no_free_slot_excuses() -> None:
    busy = a_job((*LOG[:2], LOG[2]._replace(data={**LOG[2].data, "worker": "fast@host:12",
                                                  "model": "fast"})))  # fmt: skip
    history = History((KILLED_JOB, *[busy] * 8), (KILLED,))
    assert {recovery.disturbed for recovery in recoveries(history)} == {True}
    assert {recovery.disturbed for recovery in recoveries(replace(history, slots=9))} == {False}


def test_after_an_outage_the_next_token_and_the_next_start_count() -> None:
    outage = Fault("kill_redis", "redis", T0 + 0.6, T0 + 1.0)
    found = {recovery.what: recovery.seconds for recovery in of(KILLED_JOB, outage)}
    assert found == {
        "Redis back, next token": pytest.approx(3.2),
        "Redis back, next start": pytest.approx(3.0),
    }


def test_after_a_lost_message_the_next_event_counts() -> None:
    lost = Fault("lose_message", "fast", T0 + 0.15, T0 + 0.2, job_id="job_1")
    [found] = of(KILLED_JOB, lost)
    assert found.seconds == pytest.approx(0.05)


def test_figures_keep_the_disturbed_ones_apart() -> None:
    calm = Recovery("x", "job_1", KILLED, 1.0, 3.0, disturbed=False)
    [figure] = figures([calm, replace_seconds(calm, 9.0)])
    assert (figure.count, figure.worst, figure.judged, figure.worst_judged) == (2, 9.0, 1, 1.0)


def replace_seconds(recovery: Recovery, seconds: float) -> Recovery:
    return recovery._replace(seconds=seconds, disturbed=True)
