"""Saying in good time how long a job will wait, and no where there is no room for it."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from api.state import State
from fleet.callers import Caller, rate_limited
from fleet.catalogue import Catalogue
from fleet.errors import BudgetExceeded, FleetError, QueueFull, TooManyJobs, TooManyWebhooks
from fleet.job import NewJob
from fleet.moves.posts import Created
from fleet.overflow import RETRY_MOST_S, Patience, too_busy
from fleet.spend.day import in_words
from fleet.tokens import prompt_tokens
from fleet.waits import Expected, View

#: When to come again if nobody knows how long a full queue will be full, seconds.
RETRY_S = 5.0


def candidates(catalogue: Catalogue, asked: str) -> list[str]:
    """The models of which one must have room for a job that asks for this."""
    if model := catalogue.get(asked):
        return [model.name]
    able = [model for model in catalogue.enabled if not model.external or asked in model.roles]
    return [model.name for model in able or catalogue.enabled]


def likely_tokens(catalogue: Catalogue, asked: str, record: Mapping[str, Any], tpm: int) -> int:
    """Tokens that a job may take, prompt and answer; 0 where nobody counts them (`tpm` is 0).

    A caller who names no `max_tokens` is content with a shorter answer: as much as a minute
    has beside the prompt.
    """
    if not tpm:
        return 0
    prompt = prompt_tokens(record)
    able = candidates(catalogue, asked)
    most = max((catalogue[name].max_tokens for name in able), default=0)
    room: int = record.get("max_tokens", max(0, tpm - prompt))
    return prompt + min(room, most)


async def foreseen(state: State, new: NewJob, catalogue: Catalogue) -> tuple[NewJob, Expected]:
    """The job with the wait that it has to expect, and whether it is not to be made for that."""
    if new.cache and new.cache.source:  # its answer is there
        return new, Expected(0.0)
    models = catalogue.enabled
    view = await state.outlook.view(new.id, new.priority, new.caller, models)
    likely = _likely(catalogue, new.asked_model, view.look.shut)
    expected = view.expected(new.asked_model, likely)
    wait_s = expected.wait_s
    new = replace(new, predicted_wait_ms=None if wait_s is None else round(wait_s * 1000))
    patience = _most_patient(state, new, catalogue)
    if patience is None or (least := _least_s(view, new)) is None:
        return new, expected
    if least > patience.max_wait_s:
        return replace(new, too_busy=True), Expected(least, expected.ahead)
    return new, expected


def _likely(catalogue: Catalogue, asked: str, shut: Collection[str]) -> list[str]:
    """The models that a job which asks for this may get, the first choice first; those in `shut`
    are left out of plans, unless nobody else is there.
    """
    named = catalogue.get(asked)
    if named and asked not in shut:
        return [asked]
    route = next(iter(named.roles), "") if named else asked
    names = candidates(catalogue, asked)
    if named or route in catalogue.served_routes:
        names = [model.name for model in catalogue.for_route(route)]
    return [name for name in names if name not in shut] or candidates(catalogue, asked)


def _most_patient(state: State, new: NewJob, catalogue: Catalogue) -> Patience | None:
    """How long a job that is to be refused may wait, whichever route it takes; None: it is not."""
    rules, model = state.settings.overflow, catalogue.get(new.asked_model)
    routes: Iterable[str] = catalogue.served_routes
    if model:
        routes = model.roles[:1] or ("",)
    elif new.asked_model in catalogue.served_routes:
        routes = (new.asked_model,)
    own = [rules.for_route(route).of(new.if_busy, new.start_within_s) for route in routes]
    if any(patience.if_busy != "reject" for patience in own):
        return None
    return max(own, key=lambda patience: patience.max_wait_s, default=None)


def _least_s(view: View, new: NewJob) -> float | None:
    """Seconds that it would wait for whoever is free first; None: one of them is not known."""
    waits = [view.wait_s(name) for name in new.candidates]
    known = [wait for wait in waits if wait is not None]
    return min(known) if known and len(known) == len(waits) else None


def refusal(
    state: State, caller: Caller, new: NewJob, created: Created, expected: Expected
) -> FleetError:
    """The error for a job that was not made, and when to come again."""
    if created.too_busy:
        patience = _most_patient(state, new, state.settings.catalogue.only(new.allowed))
        bound_s = patience.max_wait_s if patience else 0.0
        only = new.candidates[0] if len(new.candidates) == 1 else ""
        return too_busy(expected.wait_s or 0.0, bound_s, only)
    if created.short in ("money", "calls"):
        return _spent(state, caller, created)
    if created.untold:
        return _untold(state, created.untold)
    if created.short:
        return rate_limited(caller, created.short, created.wait_s, new.tokens)
    return _no_room(state, new, created, expected.wait_s)


def _untold(state: State, pending: int) -> TooManyWebhooks:
    rules = state.settings.webhooks
    return TooManyWebhooks(
        f"webhook: {pending} of this key's are not delivered yet, and it may have "
        f"{rules.pending} ([webhooks] pending); see to their receivers, or post without one",
        param="webhook",
        retry_after_s=rules.first_pause_s,
    )


def _spent(state: State, caller: Caller, created: Created) -> BudgetExceeded:
    has, zone = f"${caller.budget_usd:g}", state.settings.spend.time_zone
    if created.short == "calls":
        has = f"{caller.paid_calls} calls"
    error = BudgetExceeded(
        f"this key has spent the {has} that it has in a day for models that cost money; it may ask "
        f"the others, or try again after midnight {zone}, in {in_words(created.wait_s)}",
        retry_after_s=created.wait_s,
    )
    error.headers["x-should-retry"] = "false"  # the SDKs would try again at once
    return error


def _no_room(state: State, new: NewJob, created: Created, wait_s: float | None) -> FleetError:
    """The error for a full queue or a busy caller, with the wait that the job would have met."""
    # Come back when a tenth of what waits now has been served.
    retry_s = RETRY_S if wait_s is None else max(1.0, min(RETRY_MOST_S, wait_s / 10))
    wait = "for how long, nobody knows yet" if wait_s is None else f"about {wait_s:.0f} s"
    if created.too_many:
        own = 0 < new.concurrent <= state.settings.limits.caller_jobs
        bound = "its own limit, `concurrent`" if own else "[limits] caller_jobs"
        return TooManyJobs(
            f"this key has {created.too_many} jobs that have not ended, as many as it may "
            f"({bound}); wait for some, or cancel them",
            retry_after_s=retry_s,
        )
    return QueueFull(
        f"{created.full} jobs wait already ([limits] queue_jobs); one more would wait {wait}",
        retry_after_s=retry_s,
    )
