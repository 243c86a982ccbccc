"""The native job API: post, look, follow, cancel, list."""

import time
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import JSONResponse

from api import views
from api.body import Posted, described
from api.following import begun, end_of, following, routed
from api.guard import Caller
from api.posting import post
from api.sse import EventStream, cursor
from api.state import Fleet, State
from fleet.errors import InvalidRequest, NotFound
from fleet.events import fold
from fleet.job import TERMINAL, Job, Status, is_job_id
from fleet.records import Glance
from fleet.request import JobRequest

router = APIRouter()

DESCRIBED = described(JobRequest)
IdempotencyKey = Annotated[str | None, Header(alias="Idempotency-Key")]
LastEventId = Annotated[str | None, Header(alias="Last-Event-ID")]

#: Records looked at in one page of `GET /v1/jobs`, and pages for one request.
PAGE, PAGES = 200, 10


@router.post("/v1/jobs", status_code=202, openapi_extra=DESCRIBED)
async def post_job(
    request: Posted, fleet: Fleet, caller: Caller, idempotency_key: IdempotencyKey = None
) -> JSONResponse:
    """Make a job; the answer comes by the urls in the 202."""
    job_id, ahead = await post(fleet, caller, request, idempotency_key)
    body = views.accepted(job_id, Status.QUEUED, ahead)
    return JSONResponse(body, 202, headers={"Location": body["urls"]["self"]})


@router.post("/api/chat/stream", openapi_extra=DESCRIBED)
async def chat_stream(
    request: Posted, fleet: Fleet, caller: Caller, idempotency_key: IdempotencyKey = None
) -> Response:
    """Make a job and stream its events in the same response."""
    job_id, _ = await post(fleet, caller, request, idempotency_key)
    cancels = request.on_disconnect == "cancel"
    said, batches = await routed(following(fleet, job_id, -1), fleet.closing.told)
    return EventStream(
        job_id,
        batches,
        headers=views.headers(said.get("route"), said.get("model"), said.get("confidence")),
        ping_s=fleet.settings.api.ping_s,
        closing=fleet.closing,
        on_gone=(lambda: fleet.ledger.cancel(job_id)) if cancels else None,
    )


@router.get("/v1/jobs/{job_id}")
async def get_job(
    job_id: str,
    fleet: Fleet,
    caller: Caller,
    response: Response,
    wait: Annotated[float, Query(ge=0)] = 0.0,
) -> dict[str, Any]:
    """The job and its answer so far; `wait` holds the line until it has ended (or we do)."""
    if wait > fleet.settings.limits.wait_s:
        raise InvalidRequest(
            f"wait: at most {fleet.settings.limits.wait_s:g} seconds", param="wait"
        )
    job = await load(fleet, caller, job_id)
    if wait and not job.ended:
        await end_of(fleet, job_id, wait)
        job = await load(fleet, caller, job_id)
    response.headers.update(views.headers(job.route, job.model, job.confidence))
    return views.detail(job, fold(await fleet.ledger.read_all(job_id)))


@router.get("/v1/jobs/{job_id}/events")
async def get_events(
    job_id: str,
    fleet: Fleet,
    caller: Caller,
    last_event_id: LastEventId = None,
    starting_after: str | None = None,
) -> Response:
    """The job's events from a cursor on, live; 204 when there is nothing left to come."""
    after = cursor(last_event_id, starting_after)
    job = await _glance(fleet, caller, job_id)
    if after >= job.seq:
        raise InvalidRequest(
            f"event {after} does not exist (yet); the last one is {job.seq - 1}",
            param="Last-Event-ID" if last_event_id else "starting_after",
        )
    headers = views.headers(job.route, job.model, job.confidence)
    if job.status in TERMINAL and after == job.seq - 1:
        return Response(status_code=204, headers=headers)
    return EventStream(
        job_id,
        await begun(following(fleet, job_id, after)),
        headers=headers,
        ping_s=fleet.settings.api.ping_s,
        closing=fleet.closing,
    )


@router.post("/v1/jobs/{job_id}/cancel")
async def cancel_job(job_id: str, fleet: Fleet, caller: Caller) -> dict[str, Any]:
    """End the job, whatever it is doing. Cancelling twice is the same as once."""
    await _glance(fleet, caller, job_id)
    outcome = await fleet.ledger.cancel(job_id)
    if outcome is None:
        raise no_such(job_id)
    return {"id": job_id, "object": "job", "status": outcome[1]}


@router.get("/v1/jobs")
async def list_jobs(
    fleet: Fleet,
    caller: Caller,
    status: Status | None = None,
    model: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
    after: str | None = None,
) -> dict[str, Any]:
    """The caller's jobs, newest first. `next` continues the list (as `after`); null at its end."""
    place = views.parse_cursor(after) if after else None
    if after and place is None:
        raise InvalidRequest("after: must be the `next` of an earlier answer", param="after")
    found: list[Job] = []
    for _ in range(PAGES):
        page = await fleet.ledger.recent(caller, str(place[0]) if place else "+inf", PAGE)
        fresh = views.after_cursor(page, place)
        for job in fresh:
            place = (job.created_at, job.id)
            if status in (None, job.status) and model in (None, job.model):
                found.append(job)
            if len(found) == limit:
                return _page(found, place)
        if len(page) < PAGE or not fresh:
            return _page(found, None)
    return _page(found, place)


def _page(jobs: list[Job], place: views.Cursor | None) -> dict[str, Any]:
    return {
        "object": "list",
        "jobs": [views.summary(job) for job in jobs],
        "next": f"{place[0]}-{place[1]}" if place else None,
    }


async def load(fleet: State, caller: str, job_id: str) -> Job:
    """The caller's job of that id; one past its deadline is ended as expired on the way.

    Raises:
        NotFound: there is none.
    """
    job = await fleet.ledger.load(job_id) if is_job_id(job_id) else None
    if job is None or job.caller != caller:
        raise no_such(job_id)
    if not job.ended and job.deadline_at <= time.time() * 1000:  # Redis' clock decides
        outcome = await fleet.ledger.expire(job_id)
        if outcome and outcome[0]:
            job = await fleet.ledger.load(job_id) or job
    return job


async def _glance(fleet: State, caller: str, job_id: str) -> Glance:
    job = await fleet.ledger.peek(job_id) if is_job_id(job_id) else None
    if job is None or job.caller != caller:
        raise no_such(job_id)
    return job


def no_such(job_id: str) -> NotFound:
    """The error for a job that is not (any more), or not the caller's."""
    return NotFound(f"there is no job {job_id[:80]!r}; it may have been forgotten", param="id")
