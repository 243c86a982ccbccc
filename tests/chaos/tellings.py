"""What a receiver of webhooks was told, and whether that was right. Pure."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tests.chaos.history import TERMINAL, Job, Telling

#: How the receiver may answer a post: well, or in a way after which it must be told again.
ANSWERS: tuple[dict[str, Any], ...] = (
    *({},) * 8,
    {"status": 500},
    {"drop": True},
    {"after_s": 3},
)


def tellings(posts: Iterable[dict[str, Any]]) -> tuple[Telling, ...]:
    """The posts that a receiver has written down."""
    return tuple(Telling(post["headers"].get("webhook-id", ""), post["body"]) for post in posts)


def job_of(telling: Telling) -> str:
    """The job that it tells of."""
    return str(json.loads(telling.body)["data"]["id"])


def untold(jobs: Iterable[Job], told: Sequence[Telling]) -> list[str]:
    """The jobs that have ended, whose webhook has not heard of it."""
    heard = {job_of(telling) for telling in told}
    return [job.id for job in jobs if _must_be_told(job) and job.id not in heard]


def wrong_tellings(jobs: Sequence[Job], told: Sequence[Telling]) -> Iterator[tuple[str, str]]:
    """Job and message: each end is told, with one id and one body, and nothing else is told."""
    known = {job.id: job for job in jobs}
    by_job: dict[str, list[Telling]] = defaultdict(list)
    for telling in told:
        by_job[job_of(telling)].append(telling)
    yield from ((job_id, "its webhook was not told") for job_id in untold(jobs, told))
    events: dict[str, str] = {}
    for job_id, heard in by_job.items():
        job = known.get(job_id)
        if job is None or not _must_be_told(job):
            yield job_id, f"its webhook was told, and should not have been: {heard[0].body}"
            continue
        if len(set(heard)) > 1:
            yield job_id, f"its webhook was told {len(set(heard))} different things"
        yield from ((job_id, message) for message in _wrong_event(job, heard[0]))
        if (other := events.setdefault(heard[0].event_id, job_id)) != job_id:
            yield job_id, f"its event has the id of that of {other}"


def _must_be_told(job: Job) -> bool:
    return job.order.webhook and job.shown is not None and job.shown.status in TERMINAL


def _wrong_event(job: Job, telling: Telling) -> Iterator[str]:
    assert job.shown
    event, status = json.loads(telling.body), job.shown.status
    if event["id"] != telling.event_id:
        yield f"its event is {event['id']} in the body and {telling.event_id} in the head"
    if (event["type"], event["data"]["status"]) != (f"job.{status}", status):
        yield f"it is {status}, but its webhook was told {event['type']}"
    if event["created_at"] != (job.shown.finished_at or 0) // 1000:
        yield f"its webhook was told another time of its end: {event['created_at']}"
