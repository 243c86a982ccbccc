"""From a checked body to a job in the router's queue."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from api.admission import candidates, refusal
from api.naming import meant, no_such
from api.state import State
from fleet.callers import Caller
from fleet.catalogue import Catalogue
from fleet.errors import Conflict, InvalidRequest
from fleet.job import NewJob, new_job_id
from fleet.request import JobRequest, has_images
from fleet.settings import Limits


@dataclass(frozen=True, slots=True)
class PostedJob:
    """A job that was made, or found by its Idempotency-Key."""

    job_id: str
    #: Jobs ahead of it in the router's line.
    ahead: int = 0
    #: What the head of the answer says of the caller's limits.
    headers: dict[str, str] = field(default_factory=dict)
    #: Whether an earlier post has made it.
    found: bool = False


async def post(
    state: State,
    caller: Caller,
    request: JobRequest,
    idempotency_key: str | None,
    *,
    api: str = "jobs",
    form: dict[str, Any] | None = None,
    keep_s: int = 0,
) -> PostedJob:
    """Make a job of the caller's. `api`, `form` and `keep_s`: see `fleet.job.Job`.

    Raises:
        InvalidRequest: the request is beyond a limit, or names an unknown model.
        Conflict: the idempotency key was used for another body.
        TooManyJobs, QueueFull: there is no room for it now.
        StoreUnavailable: Redis does not answer.
    """
    catalogue = state.settings.catalogue.only(caller.models)
    request = _named(request, state.settings.api.aliases)
    check(state, request, catalogue)
    job_id = new_job_id()
    record = request.for_model()
    times = [request.deadline_s, request.start_timeout_s]
    conversation_id = request.conversation_id or ""
    named = [request.metadata, conversation_id, api, form]
    body = _digest([record, request.model, request.priority, times, *named])
    new = NewJob(
        job_id,
        record,
        caller.name,
        candidates(catalogue, request.model),
        _deadline_s(state, request),
        asked_model=request.model,
        priority=request.priority,
        metadata=request.metadata,
        start_timeout_s=request.start_timeout_s,
        conversation_id=conversation_id,
        idempotency=_idempotency(caller.name, idempotency_key, f"{job_id} {body}"),
        api=api,
        form=form,
        allowed=caller.models,
        keep_s=keep_s,
        concurrent=caller.concurrent,
    )
    created = await state.ledger.create(new)
    if created.too_many or created.full:
        raise await refusal(state, new, created)
    if not created.existing:
        return PostedJob(job_id, created.ahead)
    earlier, _, earlier_body = created.existing.partition(" ")
    if earlier_body != body:
        raise Conflict("Idempotency-Key: it was used before, for another body")
    return PostedJob(earlier, found=True)


def _named(request: JobRequest, aliases: Mapping[str, str]) -> JobRequest:
    model = meant(aliases, request.model)
    return request.model_copy(update={"model": model}) if model != request.model else request


def check(state: State, request: JobRequest, catalogue: Catalogue) -> None:
    """Hold a request against the limits, and the models that the caller may use."""
    limits = state.settings.limits
    if request.model not in catalogue.addressable:
        raise no_such(request.model, state.settings.api.aliases, catalogue)
    _check_sizes(request, limits)
    if (request.deadline_s or 0) > limits.deadline_s:
        raise InvalidRequest(
            f"deadline_s: at most {limits.deadline_s:g} seconds", param="deadline_s"
        )
    if (request.start_timeout_s or 0) > _deadline_s(state, request):
        raise InvalidRequest(
            f"start_timeout_s: at most the deadline, {_deadline_s(state, request):g} seconds",
            param="start_timeout_s",
        )
    if has_images(request.for_model()):
        _check_eyes(request, catalogue)


def _check_sizes(request: JobRequest, limits: Limits) -> None:
    sizes = {
        "messages": (len(request.messages), limits.messages),
        "tools": (len(request.tools or ()), limits.tools),
        "metadata": (len(request.metadata), limits.metadata_pairs),
    }
    for name, (size, most) in sizes.items():
        if size > most:
            raise InvalidRequest(f"{name}: at most {most} ([limits] {name})", param=name)
    lengths = {
        **{
            f"metadata.{key[:40]}": max(len(key), len(value))
            for key, value in request.metadata.items()
        },
        "conversation_id": len(request.conversation_id or ""),
    }
    for name, length in lengths.items():
        most = limits.id_chars if name == "conversation_id" else limits.metadata_chars
        if length > most:
            raise InvalidRequest(f"{name}: at most {most} characters", param=name)


def _check_eyes(request: JobRequest, catalogue: Catalogue) -> None:
    named = catalogue.get(request.model)
    able = [model.name for model in catalogue.enabled if model.images]
    if not able or (named and named.name not in able):
        who = f"the model {named.name!r} cannot" if named else "no model here can"
        these = f"; these can: {', '.join(able)}" if able else ""
        raise InvalidRequest(
            f"messages: {who} see pictures (`images = true` of [[models]]){these}", param="messages"
        )


def _deadline_s(state: State, request: JobRequest) -> float:
    return request.deadline_s or state.settings.limits.deadline_s


def _digest(posted: list[Any]) -> str:
    return hashlib.sha256(json.dumps(posted).encode()).hexdigest()


def _idempotency(caller: str, key: str | None, value: str) -> tuple[str, str] | None:
    if key is None:
        return None
    if not 0 < len(key) <= 255:
        raise InvalidRequest("Idempotency-Key: 1 to 255 characters", param="Idempotency-Key")
    return hashlib.sha256(f"{caller} {key}".encode()).hexdigest(), value
