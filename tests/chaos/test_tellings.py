"""Of webhooks, too, the verifier finds each kind of wrong, and nothing in what is right."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.history import Job, Telling
from tests.chaos.test_verifier import LOG, ORDER, T0, a_job, kinds

TOLD = a_job(order=replace(ORDER, webhook=True))


def telling(job_id: str = "job_1", event_id: str = "evt_1", **fields: Any) -> Telling:
    """What the webhook of `TOLD` must be told, unless told otherwise."""
    body = {
        "id": event_id,
        "type": "job.completed",
        "created_at": int(T0) + 5,
        "data": {"id": job_id, "status": "completed"},
    }
    return Telling(event_id, json.dumps(body | fields))


def test_an_end_that_is_told_is_right_however_often() -> None:
    assert kinds(TOLD, told=(telling(),)) == []
    assert kinds(TOLD, told=(telling(), telling(), telling())) == []


def test_an_end_that_nobody_was_told_of_is_found() -> None:
    assert kinds(TOLD) == ["webhook"]
    assert kinds(TOLD, replace(TOLD, id="job_2"), told=(telling(),)) == ["webhook"]


@pytest.mark.parametrize(
    "job", [a_job(), a_job(LOG[:5], "running", order=TOLD.order), replace(TOLD, id="job_2")]
)
def test_what_should_not_be_told_is_found(job: Job) -> None:
    assert "webhook" in kinds(job, told=(telling(),))


@pytest.mark.parametrize(
    "wrong",
    [
        telling(event_id="evt_2"),
        telling(id="evt_2"),
        telling(type="job.failed"),
        telling(data={"id": "job_1", "status": "failed"}),
        telling(created_at=int(T0)),
    ],
)
def test_an_end_that_is_told_in_two_ways_is_found(wrong: Telling) -> None:
    assert "webhook" in kinds(TOLD, told=(telling(), wrong))


def test_two_ends_with_one_id_are_found() -> None:
    told = (telling(), telling("job_2"))
    assert kinds(TOLD, replace(TOLD, id="job_2"), told=told) == ["webhook"]
