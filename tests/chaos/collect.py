"""The end of a run: every accepted job read from the API and straight from Redis."""

import asyncio
import json
from typing import Any

from redis import Redis

from fleet.names import job_key, log_key
from tests.chaos.door import Door
from tests.chaos.history import TERMINAL, Entry, Job, Shown, Stored
from tests.chaos.load import Accepted

#: Requests at once.
AT_ONCE = 8
#: Jobs read from Redis in one go.
BATCH = 200


async def settled(door: Door, accepted: list[Accepted], seconds: float) -> None:
    """Return when every job has ended, or after so many seconds."""
    open_ids = [job.id for job in accepted]
    end = asyncio.get_running_loop().time() + seconds
    while open_ids and asyncio.get_running_loop().time() < end:
        shown = await show(door, open_ids)
        open_ids = [
            job_id
            for job_id in open_ids
            if (job := shown[job_id]) is not None and job.status not in TERMINAL
        ]
        await asyncio.sleep(0.5 if open_ids else 0)


async def show(door: Door, ids: list[str]) -> dict[str, Shown | None]:
    """Jobs as the API shows them."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(job_id: str) -> Shown | None:
        async with gate:
            reply = await door.ask("GET", f"/v1/jobs/{job_id}")
        return None if reply.status_code == 404 else shown_of(reply.raise_for_status().json())

    return dict(zip(ids, await asyncio.gather(*map(one, ids)), strict=True))


def shown_of(job: dict[str, Any]) -> Shown:
    """What the verifier wants of the API's answer."""
    return Shown(
        job["status"],
        job["attempt"],
        job["answer"]["content"],
        job["created_at"],
        job["finished_at"],
        job["error"],
        tuple(job["tried"]),
        job.get("cache", {}).get("status", ""),
    )


def stored(redis: Redis, ids: list[str]) -> dict[str, Stored | None]:
    """Jobs as Redis holds them."""
    found: dict[str, Stored | None] = {}
    for start in range(0, len(ids), BATCH):
        batch = ids[start : start + BATCH]
        pipeline = redis.pipeline(transaction=False)
        for job_id in batch:
            pipeline.hmget(job_key(job_id), "status", "attempt")
            pipeline.xrange(log_key(job_id))
        replies = pipeline.execute()
        for job_id, record, log in zip(batch, replies[::2], replies[1::2], strict=True):
            found[job_id] = _stored_of(record, log) if record[0] else None
    return found


def _stored_of(record: list[str], log: list[tuple[str, dict[str, str]]]) -> Stored:
    entries = (Entry(_number(place), e["k"], json.loads(e["d"])) for place, e in log)
    return Stored(record[0], int(record[1]), tuple(entries))


def _number(place: str) -> int:
    """Entry `N-1` holds number N; any other form is no number that could be right."""
    number, _, rest = place.partition("-")
    return int(number) if rest == "1" else -1


async def listed(door: Door) -> tuple[tuple[str, str], ...]:
    """The id of every job that the API lists, with the key that its metadata carries."""
    found: list[tuple[str, str]] = []
    cursor: dict[str, str] = {}
    while True:
        reply = await door.ask("GET", "/v1/jobs", params={"limit": 200, **cursor})
        page = reply.raise_for_status().json()
        found += [(job["id"], job["metadata"].get("key", "")) for job in page["jobs"]]
        if not page["next"]:
            return tuple(found)
        cursor = {"after": page["next"]}


def joined(
    accepted: list[Accepted],
    shown: dict[str, Shown | None],
    kept: dict[str, Stored | None],
    remarks: dict[str, str],
) -> tuple[Job, ...]:
    """Everything that is known, job by job."""
    return tuple(
        Job(
            job.id,
            job.order,
            job.at,
            shown[job.id],
            kept.get(job.id),
            tuple(job.readings),
            job.cancel_answer,
            remarks.get(job.id, ""),
        )
        for job in accepted
    )
