"""OpenAI's chat completions, for clients of theirs as they are."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response

from api import views
from api.body import described, read_as
from api.following import following
from api.guard import Asking
from api.heads import FromCache, IdempotencyKey, OnDisconnect, WhenBusy, cancels, on_gone
from api.ignored import naming
from api.lookup import awaited
from api.openai.chat_form import ChatRequest
from api.openai.chat_shape import completion, in_openais_words
from api.openai.chat_wire import ChatWire
from api.outcome import outcome
from api.posting import post
from api.sse import EventStream
from api.state import Fleet
from api.whole import Shown, Whole
from fleet.errors import NotEnded
from fleet.events import Event

router = APIRouter()

#: Seconds after which another look at a job that has not ended may find its answer.
RETRY_S = 1.0


@router.post("/v1/chat/completions", openapi_extra=described(ChatRequest))
async def create_completion(
    request: Annotated[ChatRequest, read_as(ChatRequest)],
    fleet: Fleet,
    caller: Asking,
    idempotency_key: IdempotencyKey = None,
    on_disconnect: OnDisconnect = None,
    from_cache: FromCache = None,
    if_busy: WhenBusy = None,
) -> Response:
    """Answer, in one piece or as a stream."""
    posted = await post(
        *(fleet, caller, request, idempotency_key),
        api="chat",
        from_cache=from_cache,
        if_busy=if_busy,
    )
    job_id, tops = posted.job_id, request.top_logprobs or 0
    field = request.on_disconnect if "on_disconnect" in request.model_fields_set else None
    gone = on_gone(fleet, job_id, cancels(field, on_disconnect, idempotency_key))
    batches = following(fleet, job_id, -1)
    headers = posted.headers | naming(request.ignored)
    if not request.stream:
        show = Completion(job_id, tops)
        return Whole(job_id, batches, show, closing=fleet.closing, headers=headers, on_gone=gone)
    ping_s = fleet.settings.api.ping_s
    return EventStream(
        job_id,
        batches,
        ChatWire(job_id, counted=request.stream_options.include_usage, tops=tops),
        ping_s=ping_s,
        closing=fleet.closing,
        hold_s=ping_s,
        headers=headers,
        on_gone=gone,
    )


@router.get("/v1/chat/completions/{completion_id}")
async def get_completion(
    completion_id: str,
    fleet: Fleet,
    caller: Asking,
    wait: Annotated[float, Query(ge=0)] = 0.0,
) -> Response:
    """The whole answer, once there is one; `wait` holds the line until then."""
    job = await awaited(fleet, caller, completion_id, wait)
    if not job.ended:
        raise NotEnded(retry_after_s=RETRY_S)
    show = Completion(job.id, job.request.get("top_logprobs") or 0)
    shown = show(await fleet.ledger.read_all(job.id))
    return JSONResponse(
        shown.body, headers=views.headers_of(job) | {"x-fleet-job-id": job.id} | shown.headers
    )


class Completion:
    """Shows the events of an ended job in one body."""

    def __init__(self, job_id: str, tops: int) -> None:
        self._job_id = job_id
        self._tops = tops

    def __call__(self, events: Sequence[Event]) -> Shown:
        """The body.

        Raises:
            FleetError: there is no answer.
        """
        seen = outcome(events)
        if seen.error:
            error = in_openais_words(seen.error)
            error.headers |= seen.headers
            raise error
        return Shown(completion(self._job_id, seen, self._tops), seen.headers)
