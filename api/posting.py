"""From a checked body to a job in the router's queue."""

import hashlib
import json
from typing import Any

from api.admission import candidates, refusal
from api.state import State
from fleet.catalogue import Catalogue
from fleet.errors import Conflict, InvalidRequest
from fleet.job import new_job_id
from fleet.request import JobRequest


async def post(
    state: State, caller: str, request: JobRequest, idempotency_key: str | None
) -> tuple[str, int]:
    """Make a job of the caller's. Returns its id and the number of jobs ahead of it.

    Raises:
        InvalidRequest: the request is beyond a limit, or names an unknown model.
        Conflict: the idempotency key was used for another body.
        TooManyJobs, QueueFull: there is no room for it now.
        StoreUnavailable: Redis does not answer.
    """
    check(state, request)
    job_id = new_job_id()
    record = request.for_model()
    times = [request.deadline_s, request.start_timeout_s]
    conversation_id = request.conversation_id or ""
    named = [request.metadata, conversation_id]
    body = _digest([record, request.model, request.priority, times, *named])
    created = await state.ledger.create(
        job_id,
        record,
        caller=caller,
        asked_model=request.model,
        candidates=candidates(state.settings.catalogue, request.model),
        priority=request.priority,
        deadline_s=_deadline_s(state, request),
        metadata=request.metadata,
        start_timeout_s=request.start_timeout_s,
        conversation_id=conversation_id,
        idempotency=_idempotency(caller, idempotency_key, f"{job_id} {body}"),
    )
    if created.too_many or created.full:
        raise await refusal(state, request, created)
    if not created.existing:
        return job_id, created.ahead
    earlier, _, earlier_body = created.existing.partition(" ")
    if earlier_body != body:
        raise Conflict("Idempotency-Key: it was used before, for another body")
    return earlier, 0


def check(state: State, request: JobRequest) -> None:
    """Hold a request against the limits and the catalogue."""
    limits = state.settings.limits
    known = state.settings.catalogue.addressable
    if request.model not in known:
        why = _why_not(state.settings.catalogue, request.model)
        raise InvalidRequest(f"model: {why}; there are: {', '.join(known)}", param="model")
    if len(request.messages) > limits.messages:
        raise InvalidRequest(f"messages: at most {limits.messages}", param="messages")
    if len(request.tools or ()) > limits.tools:
        raise InvalidRequest(f"tools: at most {limits.tools}", param="tools")
    if (request.deadline_s or 0) > limits.deadline_s:
        raise InvalidRequest(
            f"deadline_s: at most {limits.deadline_s:g} seconds", param="deadline_s"
        )
    if (request.start_timeout_s or 0) > _deadline_s(state, request):
        raise InvalidRequest(
            f"start_timeout_s: at most the deadline, {_deadline_s(state, request):g} seconds",
            param="start_timeout_s",
        )


def _deadline_s(state: State, request: JobRequest) -> float:
    return request.deadline_s or state.settings.limits.deadline_s


def _why_not(catalogue: Catalogue, name: str) -> str:
    model = catalogue.get(name)
    if model is None:
        return f"there is no {name!r}"
    return f"{name!r} is switched off" + (f" (no {model.api_key_env})" if model.external else "")


def _digest(posted: list[Any]) -> str:
    return hashlib.sha256(json.dumps(posted).encode()).hexdigest()


def _idempotency(caller: str, key: str | None, value: str) -> tuple[str, str] | None:
    if key is None:
        return None
    if not 0 < len(key) <= 255:
        raise InvalidRequest("Idempotency-Key: 1 to 255 characters", param="Idempotency-Key")
    return hashlib.sha256(f"{caller} {key}".encode()).hexdigest(), value
