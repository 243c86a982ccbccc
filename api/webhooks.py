"""Webhooks: what their receivers check with."""

from fastapi import APIRouter

from api.guard import Asking
from api.state import Fleet

router = APIRouter()


@router.get("/v1/webhooks/secret")
async def get_secret(fleet: Fleet, caller: Asking) -> dict[str, str]:
    """What the caller's receivers check signatures with."""
    return {"object": "webhook_secret", "secret": await fleet.outbox.secret_of(caller.name)}
