"""`POST /v1/messages`: Anthropic's form of a job, streamed or whole."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Request, Response

from api.anthropic import view
from api.anthropic.form import MessagesRequest
from api.anthropic.wire import MessagesWire
from api.body import described, read
from api.following import following
from api.guard import Asking
from api.posting import post
from api.sse import EventStream
from api.state import Fleet, State
from api.whole import Shown, Whole
from fleet.events import Event

router = APIRouter()

IdempotencyKey = Annotated[str | None, Header(alias="Idempotency-Key")]
OnDisconnect = Annotated[
    Literal["continue", "cancel"] | None, Header(alias="x-fleet-on-disconnect")
]


async def _posted(request: Request) -> MessagesRequest:
    return await read(request, MessagesRequest)


@router.post("/v1/messages", openapi_extra=described(MessagesRequest))
async def create_message(
    asked: Annotated[MessagesRequest, Depends(_posted)],
    fleet: Fleet,
    caller: Asking,
    idempotency_key: IdempotencyKey = None,
    on_disconnect: OnDisconnect = None,
) -> Response:
    """Make a job of the messages and answer as Anthropic does.

    Who goes away before the end cancels the job, unless it said otherwise.
    """
    request = asked.job()
    posted = await post(fleet, caller, request, idempotency_key, api="messages")
    headers = dict(posted.headers)
    if asked.ignored:
        headers["x-fleet-ignored"] = asked.ignored
    cancels = (on_disconnect or request.on_disconnect) == "cancel"
    on_gone = _cancel(fleet, posted.job_id) if cancels else None
    answer = _stream if asked.stream else _whole
    return answer(fleet, posted.job_id, asked, headers, on_gone)


OnGone = Callable[[], Awaitable[object]] | None


def _cancel(fleet: State, job_id: str) -> Callable[[], Awaitable[object]]:
    return lambda: fleet.ledger.cancel(job_id)


def _stream(
    fleet: State, job_id: str, asked: MessagesRequest, headers: dict[str, str], on_gone: OnGone
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
        on_gone=on_gone,
    )


def _whole(
    fleet: State, job_id: str, asked: MessagesRequest, headers: dict[str, str], on_gone: OnGone
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
        on_gone=on_gone,
    )
