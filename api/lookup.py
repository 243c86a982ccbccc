"""From the id in a path to the caller's job."""

import time

from api.following import end_of
from api.state import State
from fleet.callers import Caller
from fleet.errors import InvalidRequest, NotFound
from fleet.job import Glance, Job, job_id_of


async def load(fleet: State, caller: Caller, named: str) -> Job:
    """The caller's job of that id, by whichever API it is named; one past its deadline is ended
    as expired on the way.

    Raises:
        NotFound: there is none.
    """
    job_id = job_id_of(named)
    job = await fleet.ledger.load(job_id) if job_id else None
    if job is None or job.caller != caller.name:
        raise no_such(named)
    if not job.ended and job.deadline_at <= time.time() * 1000:  # Redis' clock decides
        outcome = await fleet.ledger.expire(job.id)
        if outcome and outcome[0]:
            job = await fleet.ledger.load(job.id) or job
    return job


async def awaited(fleet: State, caller: Caller, named: str, wait: float) -> Job:
    """The caller's job when it has ended, or the time is over, or this process ends.

    Raises:
        InvalidRequest: nobody waits for so long.
        NotFound: there is none.
    """
    most = fleet.settings.limits.wait_s
    if wait > most:
        raise InvalidRequest(f"wait: at most {most:g} seconds", param="wait")
    job = await load(fleet, caller, named)
    if wait and not job.ended:
        await end_of(fleet, job.id, wait)
        job = await load(fleet, caller, named)
    return job


async def glance(fleet: State, caller: Caller, named: str) -> tuple[str, Glance]:
    """The id of the caller's job, and where it stands; without reading its words.

    Raises:
        NotFound: there is none.
    """
    job_id = job_id_of(named)
    seen = await fleet.ledger.peek(job_id) if job_id else None
    if job_id is None or seen is None or seen.caller != caller.name:
        raise no_such(named)
    return job_id, seen


def no_such(named: str) -> NotFound:
    """The error for a job that is not (any more), or not the caller's."""
    return NotFound(f"there is no job {named[:80]!r}; it may have been forgotten", param="id")
