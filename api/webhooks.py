"""Webhooks at the door: which URLs may be posted, and what their receivers check with."""

from fastapi import APIRouter

from api.guard import Asking
from api.state import Fleet, State
from fleet.callers import Caller
from fleet.errors import TooManyWebhooks
from fleet.webhooks.target import read_target

router = APIRouter()


@router.get("/v1/webhooks/secret")
async def get_secret(fleet: Fleet, caller: Asking) -> dict[str, str]:
    """What the caller's receivers check signatures with."""
    return {"object": "webhook_secret", "secret": await fleet.outbox.secret_of(caller.name)}


async def check_webhook(state: State, caller: Caller, url: str) -> None:
    """Hold a webhook against the rules; what its name stands for is asked at the delivery.

    Raises:
        InvalidRequest: no delivery may go there.
        TooManyWebhooks: the caller has too many that are not delivered.
    """
    rules = state.settings.webhooks
    read_target(url, rules)
    if (pending := await state.outbox.pending_of(caller.name)) >= rules.pending:
        raise TooManyWebhooks(
            f"webhook: {pending} of this key's are not delivered yet, and it may have "
            f"{rules.pending} ([webhooks] pending); see to their receivers, or post without one",
            param="webhook",
            retry_after_s=rules.first_pause_s,
        )
