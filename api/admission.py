"""Saying no in good time: a full queue, and how long it will be full."""

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

from api.state import State
from fleet.callers import Caller, rate_limited
from fleet.catalogue import Catalogue, Model
from fleet.errors import BudgetExceeded, FleetError, QueueFull, TooManyJobs, TooManyWebhooks
from fleet.job import NewJob
from fleet.ledger import Created
from fleet.process import living_nodes
from fleet.spend.day import in_words
from fleet.tokens import prompt_tokens

#: Nobody is sent away for longer, seconds.
RETRY_MOST_S = 60.0
#: Service time of a model that has not answered yet, seconds.
UNKNOWN_PACE_S = 5.0


def candidates(catalogue: Catalogue, asked: str) -> list[str]:
    """The models of which one must have room for a job that asks for this."""
    if model := catalogue.get(asked):
        return [model.name]
    local = [model for model in catalogue.enabled if not model.external]
    return [model.name for model in local or catalogue.enabled]


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


async def refusal(state: State, caller: Caller, new: NewJob, created: Created) -> FleetError:
    """The error for a job that was not made, and when to come again."""
    if created.short in ("money", "calls"):
        return _spent(state, caller, created)
    if created.untold:
        return _untold(state, created.untold)
    if created.short:
        return rate_limited(caller, created.short, created.wait_s, new.tokens)
    return await _no_room(state, new, created)


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


async def _no_room(state: State, new: NewJob, created: Created) -> FleetError:
    """The error for a full queue or a busy caller, with the wait that the job would have met."""
    wait_s = await predicted_wait_s(state, new.candidates)
    # Come back when a tenth of what waits now has been served.
    retry_s = max(1.0, min(RETRY_MOST_S, wait_s / 10))
    if created.too_many:
        own = 0 < new.concurrent <= state.settings.limits.caller_jobs
        bound = "its own limit, `concurrent`" if own else "[limits] caller_jobs"
        return TooManyJobs(
            f"this key has {created.too_many} jobs that have not ended, as many as it may "
            f"({bound}); wait for some, or cancel them",
            retry_after_s=retry_s,
        )
    return QueueFull(
        f"{created.full} jobs wait already ([limits] queue_jobs); "
        f"one more would wait about {wait_s:.0f} s: ask again later, or add workers and slots",
        retry_after_s=retry_s,
    )


async def predicted_wait_s(state: State, names: Sequence[str]) -> float:
    """Seconds that a new job would wait for the first free slot of any of these models."""
    ledger, catalogue = state.ledger, state.settings.catalogue
    models = [catalogue[name] for name in names]
    waiting = await ledger.jobs_waiting([model.queue for model in models])
    paces = await ledger.paces()
    slots = _slots(models, await living_nodes(ledger))
    waits = (
        jobs * paces.get(model.name, UNKNOWN_PACE_S) / slots[model.name]
        for model, jobs in zip(models, waiting, strict=True)
    )
    return min(waits, default=inf)


def _slots(models: list[Model], nodes: list[dict[str, object]]) -> dict[str, int]:
    """Streams that each model's living workers run at once; the catalogue's word if none lives."""
    alive = {model.name: 0 for model in models}
    for node in nodes:
        name, slots = node.get("model"), node.get("slots")
        if isinstance(name, str) and name in alive and isinstance(slots, int):
            alive[name] += slots
    return {model.name: alive[model.name] or model.slots for model in models}
