"""`POST /v1/messages`: Anthropic's form of a job, streamed or whole."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Response

from api.anthropic import view
from api.anthropic.form import CountRequest, MessagesRequest
from api.anthropic.wire import MessagesWire
from api.body import described, read_as
from api.following import following
from api.guard import Asking
from api.heads import FromCache, IdempotencyKey, OnDisconnect, WhenBusy, cancels, on_gone
from api.ignored import naming
from api.posting import check_name, post
from api.sse import EventStream, OnGone
from api.state import Fleet, State
from api.whole import Shown, Whole
from fleet.events import Event
from fleet.tokens import prompt_tokens

router = APIRouter()


@router.post("/v1/messages", openapi_extra=described(MessagesRequest))
async def create_message(
    asked: Annotated[MessagesRequest, read_as(MessagesRequest)],
    fleet: Fleet,
    caller: Asking,
    idempotency_key: IdempotencyKey = None,
    on_disconnect: OnDisconnect = None,
    from_cache: FromCache = None,
    if_busy: WhenBusy = None,
) -> Response:
    """Make a job of the messages and answer as Anthropic does.

    Who goes away before the end cancels the job, unless it said otherwise.
    """
    request = asked.job()
    posted = await post(
        *(fleet, caller, request, idempotency_key),
        api="messages",
        from_cache=from_cache,
        if_busy=if_busy,
    )
    headers = posted.headers | naming(asked.ignored)
    ends = cancels(asked.on_disconnect, on_disconnect, idempotency_key)
    answer = _stream if asked.stream else _whole
    return answer(fleet, posted.job_id, asked, headers, on_gone(fleet, posted.job_id, ends))


@router.post("/v1/messages/count_tokens", openapi_extra=described(CountRequest))
async def count_tokens(
    asked: Annotated[CountRequest, read_as(CountRequest)], fleet: Fleet, caller: Asking
) -> dict[str, int]:
    """Roughly the tokens of a prompt: which model will read it is not known yet."""
    request = asked.job()
    check_name(fleet, request.model, fleet.settings.catalogue.only(caller.models))
    return {"input_tokens": prompt_tokens(request.for_model())}


def _stream(
    fleet: State,
    job_id: str,
    asked: MessagesRequest,
    headers: dict[str, str],
    gone: OnGone | None,
) -> Response:
    """The head waits for the first words, but no longer than a stream may be silent."""
    return EventStream(
        job_id,
        following(fleet, job_id, -1),
        MessagesWire(job_id, thinks_aloud=asked.thinks_aloud),
        ping_s=fleet.settings.api.ping_s,
        closing=fleet.closing,
        hold_s=fleet.settings.api.ping_s,
        headers=headers,
        on_gone=gone,
    )


def _whole(
    fleet: State,
    job_id: str,
    asked: MessagesRequest,
    headers: dict[str, str],
    gone: OnGone | None,
) -> Response:
    def show(events: Sequence[Event]) -> Shown:
        body: dict[str, Any]
        body, said = view.whole(job_id, events, thinks_aloud=asked.thinks_aloud)
        return Shown(body, said)

    return Whole(
        job_id,
        following(fleet, job_id, -1),
        show,
        closing=fleet.closing,
        headers=headers,
        on_gone=gone,
    )
