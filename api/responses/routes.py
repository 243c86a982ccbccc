"""OpenAI's Responses: create, look, follow, cancel, delete, list the input."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse

from api.body import described, read_as
from api.following import following
from api.guard import Asking
from api.heads import (
    FromCache,
    IdempotencyKey,
    LastEventId,
    OnDisconnect,
    WhenBusy,
    cancels,
    on_gone,
)
from api.ignored import naming
from api.jobs import ROUTED_S
from api.outcome import outcome
from api.posting import PostedJob, post
from api.responses.asked import Asked
from api.responses.asking import form_of, job_request
from api.responses.form import ResponseForm
from api.responses.input import items_of
from api.responses.items import input_items, page, size_of
from api.responses.previous import earlier, find, resolved
from api.responses.telling import told_of
from api.responses.wire import ResponseWire
from api.sse import EventStream, OnGone, cursor
from api.state import Fleet, State
from api.views import headers_of
from api.whole import Shown, Whole
from fleet.callers import Caller
from fleet.errors import InvalidRequest, TooLarge
from fleet.events import Event, Kind
from fleet.job import Job
from fleet.request import JobRequest

router = APIRouter()

#: Seconds that a response which is not to be stored is kept after its end, for whoever reads it.
KEEP_S = 600


@router.post("/v1/responses", openapi_extra=described(ResponseForm))
async def create_response(
    form: Annotated[ResponseForm, read_as(ResponseForm)],
    fleet: Fleet,
    caller: Asking,
    idempotency_key: IdempotencyKey = None,
    on_disconnect: OnDisconnect = None,
    from_cache: FromCache = None,
    if_busy: WhenBusy = None,
) -> Response:
    """Make a response: wait for it, stream it, or let it come in the background."""
    items = await resolved(fleet, caller, items_of(form.input))
    request = await _request(fleet, caller, form, items)
    kept = form_of(form, items)
    posted = await post(
        *(fleet, caller, request, idempotency_key),
        api="responses",
        form=kept,
        keep_s=0 if form.stored else KEEP_S,
        from_cache=from_cache,
        if_busy=if_busy,
    )
    asked = Asked(posted.job_id, request.model, request.for_model(), kept, request.metadata)
    head = posted.headers | naming(form.ignored())
    ends = not form.background and cancels(form.on_disconnect, on_disconnect, idempotency_key)
    gone = on_gone(fleet, posted.job_id, ends)
    if form.stream:
        return _streamed(fleet, asked, head, gone)
    if form.background:
        return await _accepted(fleet, posted, asked, head)
    events = following(fleet, posted.job_id, -1)
    return Whole(
        *(posted.job_id, events, lambda log: whole(asked, log)),
        closing=fleet.closing,
        headers=head,
        on_gone=gone,
    )


async def _request(
    fleet: State, caller: Caller, form: ResponseForm, items: list[dict[str, Any]]
) -> JobRequest:
    before = await earlier(fleet, caller, form.previous_response_id)
    request = job_request(form, items, before.messages, before.conversation_id)
    most = fleet.settings.limits.body_bytes
    if before.messages and size_of(request.for_model()["messages"]) > most:
        raise TooLarge(
            f"the conversation with its earlier turns may have {most} bytes ([limits] body_bytes)"
        )
    return request


def _streamed(fleet: State, asked: Asked, head: dict[str, str], gone: OnGone | None) -> EventStream:
    return EventStream(
        asked.job_id,
        following(fleet, asked.job_id, -1),
        ResponseWire(asked, waits=not asked.background),
        ping_s=fleet.settings.api.ping_s,
        closing=fleet.closing,
        hold_s=0 if asked.background else ROUTED_S,
        headers=head,
        on_gone=gone,
    )


async def _accepted(
    fleet: State, posted: PostedJob, asked: Asked, head: dict[str, str]
) -> JSONResponse:
    """A new one is queued; one that an Idempotency-Key has found, or that the cache has answered,
    is shown as it is.
    """
    events = await fleet.ledger.read_all(asked.job_id)
    shown = told_of(asked, events if posted.found or posted.ended else events[:1])
    return JSONResponse(shown, headers={**head, "x-fleet-job-id": asked.job_id})


def whole(asked: Asked, events: Sequence[Event]) -> Shown:
    """The answer to whoever waited.

    Raises:
        FleetError: there is none, and nobody wanted it so.
    """
    seen = outcome(events)
    if seen.error and seen.status != Kind.CANCELLED:
        seen.error.headers |= seen.headers
        raise seen.error
    return Shown(told_of(asked, events), seen.headers)


@router.get("/v1/responses/{response_id}")
async def get_response(
    response_id: str,
    fleet: Fleet,
    caller: Asking,
    stream: bool = False,
    starting_after: str | None = None,
    last_event_id: LastEventId = None,
) -> Response:
    """The response so far; or its events after a number, live."""
    job = await find(fleet, caller, response_id)
    said = headers_of(job)
    if not stream:
        return await _shown(fleet, job, said)
    return EventStream(
        job.id,
        following(fleet, job.id, -1),
        ResponseWire(Asked.of(job), cursor(last_event_id, starting_after)),
        ping_s=fleet.settings.api.ping_s,
        closing=fleet.closing,
        headers=said,
    )


async def _shown(fleet: State, job: Job, said: dict[str, str]) -> JSONResponse:
    shown = told_of(Asked.of(job), await fleet.ledger.read_all(job.id))
    return JSONResponse(shown, headers={**said, "x-fleet-job-id": job.id})


@router.post("/v1/responses/{response_id}/cancel")
async def cancel_response(response_id: str, fleet: Fleet, caller: Asking) -> Response:
    """End a background response; one that has ended stays as it is."""
    job = await find(fleet, caller, response_id)
    if not Asked.of(job).background:
        raise InvalidRequest(
            "Cannot cancel a synchronous response: close its connection, "
            "or cancel its job by POST /v1/jobs/{id}/cancel."
        )
    await fleet.ledger.cancel(job.id)
    return await _shown(fleet, job, {})


@router.delete("/v1/responses/{response_id}")
async def delete_response(response_id: str, fleet: Fleet, caller: Asking) -> dict[str, Any]:
    """Forget a response; one that has not ended is cancelled first."""
    job = await find(fleet, caller, response_id)
    await fleet.ledger.delete(job.id, caller.name)
    return {"id": response_id, "object": "response", "deleted": True}


@router.get("/v1/responses/{response_id}/input_items")
async def list_input_items(
    response_id: str,
    fleet: Fleet,
    caller: Asking,
    order: Literal["asc", "desc"] = "desc",
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> dict[str, Any]:
    """What was given as input, the last first."""
    job = await find(fleet, caller, response_id)
    return page(input_items(Asked.of(job)), order, after, limit)
