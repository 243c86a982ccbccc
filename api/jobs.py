"""The native job API: post, look, follow, cancel, list."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse

from api import views
from api.body import described, read_as
from api.following import following
from api.guard import Asking
from api.heads import FromCache, IdempotencyKey, LastEventId, on_gone
from api.lookup import awaited, glance, no_such
from api.posting import post
from api.shapes import Accepted, JobDeleted, JobList, JobShown, JobStatus
from api.sse import EventStream, cursor
from api.state import Fleet
from api.wire import JobWire
from fleet.comparison import Reference
from fleet.errors import InvalidRequest
from fleet.job import TERMINAL, Job, Status
from fleet.request import JobRequest

router = APIRouter()

DESCRIBED = described(JobRequest)
Posted = Annotated[JobRequest, read_as(JobRequest)]

#: Seconds that the head of a stream waits for the word where the job goes.
ROUTED_S = 1.0
#: Records looked at in one page of `GET /v1/jobs`, and pages for one request.
PAGE, PAGES = 200, 10


@router.post(
    "/v1/jobs", status_code=202, openapi_extra=DESCRIBED, responses={202: {"model": Accepted}}
)
async def post_job(
    request: Posted,
    fleet: Fleet,
    caller: Asking,
    idempotency_key: IdempotencyKey = None,
    from_cache: FromCache = None,
) -> JSONResponse:
    """Make a job; the answer comes by the urls in the 202."""
    posted = await post(fleet, caller, request, idempotency_key, from_cache=from_cache)
    status = Status.COMPLETED if posted.ended else Status.QUEUED
    body = views.accepted(posted.job_id, status, posted.expected)
    location = {"Location": body["urls"]["self"]}
    return JSONResponse(body, 202, headers=posted.headers | location)


@router.post(
    "/api/chat/stream", openapi_extra=DESCRIBED, status_code=200, response_class=EventStream
)
async def chat_stream(
    request: Posted,
    fleet: Fleet,
    caller: Asking,
    idempotency_key: IdempotencyKey = None,
    from_cache: FromCache = None,
) -> Response:
    """Make a job and stream its events in the same response."""
    posted = await post(fleet, caller, request, idempotency_key, from_cache=from_cache)
    job_id = posted.job_id
    return EventStream(
        job_id,
        following(fleet, job_id, -1),
        JobWire(job_id, {}, waits=True),
        ping_s=fleet.settings.api.ping_s,
        closing=fleet.closing,
        hold_s=ROUTED_S,
        headers=posted.headers,
        on_gone=on_gone(fleet, job_id, request.on_disconnect == "cancel"),
    )


@router.get("/v1/jobs/{job_id}", responses={200: {"model": JobShown}})
async def get_job(
    job_id: str,
    fleet: Fleet,
    caller: Asking,
    response: Response,
    wait: Annotated[float, Query(ge=0)] = 0.0,
) -> dict[str, Any]:
    """The job and its answer so far; `wait` holds the line until it has ended (or we do)."""
    job = await awaited(fleet, caller, job_id, wait)
    response.headers.update(views.headers_of(job))
    matched = await fleet.ledger.load(job.similar_to) if job.similar_to else None
    log = await fleet.ledger.read_all(job.id)
    return views.detail(job, log, fleet.settings.reference, matched)


@router.get(
    "/v1/jobs/{job_id}/events",
    status_code=200,
    response_class=EventStream,
    responses={204: {"description": "The job has ended, and the reader has seen it all."}},
)
async def get_events(
    job_id: str,
    fleet: Fleet,
    caller: Asking,
    last_event_id: LastEventId = None,
    starting_after: str | None = None,
) -> Response:
    """The job's events from a cursor on, live; 204 when there is nothing left to come."""
    after = cursor(last_event_id, starting_after)
    job_id, job = await glance(fleet, caller, job_id)
    if after >= job.seq:
        raise InvalidRequest(
            f"event {after} does not exist (yet); the last one is {job.seq - 1}",
            param="Last-Event-ID" if last_event_id else "starting_after",
        )
    headers = views.headers_of(job)
    if job.status in TERMINAL and after == job.seq - 1:
        return Response(status_code=204, headers=headers)
    return EventStream(
        job_id,
        following(fleet, job_id, after),
        JobWire(job_id, headers),
        ping_s=fleet.settings.api.ping_s,
        closing=fleet.closing,
    )


@router.post("/v1/jobs/{job_id}/cancel", responses={200: {"model": JobStatus}})
async def cancel_job(job_id: str, fleet: Fleet, caller: Asking) -> dict[str, Any]:
    """End the job, whatever it is doing. Cancelling twice is the same as once."""
    job_id, _ = await glance(fleet, caller, job_id)
    outcome = await fleet.ledger.cancel(job_id)
    if outcome is None:
        raise no_such(job_id)
    return {"id": job_id, "object": "job", "status": outcome[1]}


@router.delete("/v1/jobs/{job_id}", responses={200: {"model": JobDeleted}})
async def delete_job(job_id: str, fleet: Fleet, caller: Asking) -> dict[str, Any]:
    """Forget the job and its words; one that has not ended is cancelled first."""
    job_id, _ = await glance(fleet, caller, job_id)
    await fleet.ledger.delete(job_id, caller.name)
    return {"id": job_id, "object": "job", "deleted": True}


@router.get("/v1/jobs", responses={200: {"model": JobList}})
async def list_jobs(
    fleet: Fleet,
    caller: Asking,
    status: Status | None = None,
    model: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
    after: str | None = None,
) -> dict[str, Any]:
    """The caller's jobs, newest first. `next` continues the list (as `after`); null at its end."""
    place = views.parse_cursor(after) if after else None
    if after and place is None:
        raise InvalidRequest("after: must be the `next` of an earlier answer", param="after")
    reference = fleet.settings.reference
    found: list[Job] = []
    for _ in range(PAGES):
        page = await fleet.ledger.recent(caller.name, str(place[0]) if place else "+inf", PAGE)
        fresh = views.after_cursor(page, place)
        for job in fresh:
            place = (job.created_at, job.id)
            if status in (None, job.status) and model in (None, job.model):
                found.append(job)
            if len(found) == limit:
                return _page(found, place, reference)
        if len(page) < PAGE or not fresh:
            return _page(found, None, reference)
    return _page(found, place, reference)


def _page(jobs: list[Job], place: views.Cursor | None, reference: Reference) -> dict[str, Any]:
    return {
        "object": "list",
        "jobs": [views.summary(job, reference) for job in jobs],
        "next": f"{place[0]}-{place[1]}" if place else None,
    }
