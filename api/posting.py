"""From a checked body to a job in the router's queue."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from api import views
from api.admission import candidates, foreseen, likely_tokens, refusal
from api.caching import kept_for
from api.heads import FromCache
from api.naming import meant, no_such
from api.state import State
from fleet.callers import Caller, refuse_what_never_fits
from fleet.catalogue import Catalogue
from fleet.errors import CallerError, Conflict, InvalidRequest, NoSuchModel
from fleet.job import NewJob, new_job_id
from fleet.overflow import IfBusy
from fleet.request import JobRequest, has_images
from fleet.settings import Limits
from fleet.waits import Expected
from fleet.webhooks.target import read_target

#: What a backend reads of a request; see `JobRequest.for_model`.
Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PostedJob:
    """A job that was made, or found by its Idempotency-Key."""

    job_id: str
    #: How long it has to wait; an earlier post's is not told again.
    expected: Expected = field(default_factory=Expected)
    #: What the head of the answer says of the caller's limits.
    headers: dict[str, str] = field(default_factory=dict)
    #: Whether an earlier post has made it.
    found: bool = False
    #: Where its answer comes from instead of a model; see `fleet.job.Job`.
    cache: str = ""

    @property
    def ended(self) -> bool:
        """Whether it has its answer already."""
        return self.cache == "hit"


async def post(
    state: State,
    caller: Caller,
    request: JobRequest,
    idempotency_key: str | None,
    *,
    api: str = "jobs",
    form: dict[str, Any] | None = None,
    keep_s: int = 0,
    from_cache: FromCache = None,
    if_busy: IfBusy | None = None,
) -> PostedJob:
    """Make a job of the caller's. `api`, `form` and `keep_s`: see `fleet.job.Job`; `if_busy`:
    what the head says, where the body says nothing. A job that is not stored, or with
    `from_cache` of `no`, neither looks for an answer nor leaves one.

    Raises:
        InvalidRequest: the request is beyond a limit, or names an unknown model.
        Conflict: the idempotency key was used for another body.
        TooManyJobs, TooManyWebhooks, QueueFull: there is no room for it now.
        TooBusy: it would wait too long, and does not want to.
        RateLimited, BudgetExceeded: the caller has used up its share.
        StoreUnavailable: Redis does not answer.
    """
    catalogue = state.settings.catalogue.only(caller.models)
    request = _named(request, state.settings.api.aliases)
    record = request.for_model()
    check(state, request, record, catalogue)
    if request.webhook is not None:
        read_target(request.webhook, state.settings.webhooks)
    job_id = new_job_id()
    tokens = likely_tokens(catalogue, request.model, record, caller.tpm)
    refuse_what_never_fits(caller, tokens)
    stays = from_cache != "no" and not keep_s
    times = [request.deadline_s, request.start_timeout_s]
    conversation_id = request.conversation_id or ""
    busy = request.if_busy or if_busy or ""
    named = [request.metadata, conversation_id, api, form, request.webhook, busy]
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
        idempotency=_idempotency(state, caller.name, idempotency_key, f"{job_id} {body}"),
        api=api,
        form=form,
        allowed=caller.models,
        keep_s=keep_s,
        webhook=request.webhook or "",
        concurrent=caller.concurrent,
        rpm=caller.rpm,
        tpm=caller.tpm,
        tokens=tokens,
        cache=await kept_for(state, caller, request, record, catalogue) if stays else None,
        if_busy=busy,
        **_purse(state, caller, request, record, catalogue),
    )
    new, expected = await foreseen(state, new, catalogue)
    created = await state.ledger.create(new)
    headers = created.left.headers()
    if created.refused:
        error = refusal(state, caller, new, created, expected)
        error.headers |= headers
        raise error
    headers |= views.headers({"cache": created.cache or views.MISS})
    if created.cache == "shared":  # it stands in no line
        expected = Expected()
    if not created.existing:
        return PostedJob(job_id, expected, headers, cache=created.cache)
    earlier, _, earlier_body = created.existing.partition(" ")
    if earlier_body != body:
        raise Conflict("Idempotency-Key: it was used before, for another body")
    return PostedJob(earlier, headers=headers, found=True)


def _named(request: JobRequest, aliases: Mapping[str, str]) -> JobRequest:
    model = meant(aliases, request.model)
    return request.model_copy(update={"model": model}) if model != request.model else request


def _purse(
    state: State, caller: Caller, request: JobRequest, record: Record, catalogue: Catalogue
) -> dict[str, Any]:
    """What the caller has in a day for models that cost money, where one may answer, and the
    models that may answer this request when it is spent.
    """
    free = catalogue.free
    limits = {"budget_usd": caller.budget_usd, "paid_calls": caller.paid_calls}
    if not any(limits.values()) or len(free) == len(catalogue.enabled):
        return {}
    try:
        check(state, request, record, state.settings.catalogue.only(free))
    except CallerError:
        free = ()
    return {**limits, "free": free}


def check(state: State, request: JobRequest, record: Record, catalogue: Catalogue) -> None:
    """Hold a request against the limits, and the models that the caller may use."""
    limits = state.settings.limits
    check_name(state, request.model, catalogue)
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
    if has_images(record):
        _check_eyes(request, catalogue)


def check_name(state: State, name: str, catalogue: Catalogue) -> None:
    """Refuse a model that there is not, or not for this caller."""
    aliases = state.settings.api.aliases
    if not catalogue.enabled:
        raise NoSuchModel("model: no model that chats is served here for this key", param="model")
    if meant(aliases, name) not in catalogue.addressable:
        raise no_such(name, aliases, catalogue)


def _check_sizes(request: JobRequest, limits: Limits) -> None:
    counts = {
        "messages": (len(request.messages), "messages"),
        "tools": (len(request.tools or ()), "tools"),
        "metadata": (len(request.metadata), "metadata_pairs"),
    }
    for name, (count, limit) in counts.items():
        if count > getattr(limits, limit):
            most = getattr(limits, limit)
            raise InvalidRequest(f"{name}: at most {most} ([limits] {limit})", param=name)
    for key, value in request.metadata.items():
        name = f"metadata.{key[:40]}"
        _check_length(name, max(len(key), len(value)), "metadata_chars", limits)
    _check_length("conversation_id", len(request.conversation_id or ""), "id_chars", limits)


def _check_length(name: str, length: int, limit: str, limits: Limits) -> None:
    most = getattr(limits, limit)
    if length > most:
        raise InvalidRequest(f"{name}: at most {most} characters ([limits] {limit})", param=name)


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


def _idempotency(state: State, caller: str, key: str | None, value: str) -> tuple[str, str] | None:
    if key is None:
        return None
    if not key:
        raise InvalidRequest("Idempotency-Key: must not be empty", param="Idempotency-Key")
    _check_length("Idempotency-Key", len(key), "id_chars", state.settings.limits)
    return hashlib.sha256(f"{caller} {key}".encode()).hexdigest(), value
