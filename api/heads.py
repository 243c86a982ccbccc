"""What the head of a request may say, the same for every API that makes jobs."""

from typing import Annotated, Literal

from fastapi import Header

from api.sse import OnGone
from api.state import State
from fleet.overflow import IfBusy

Leaving = Literal["continue", "cancel"]

IdempotencyKey = Annotated[str | None, Header(alias="Idempotency-Key")]
LastEventId = Annotated[str | None, Header(alias="Last-Event-ID")]
#: Whether the job may get an answer that was given before, and leave its own to others.
FromCache = Annotated[Literal["yes", "no"] | None, Header(alias="x-fleet-cache")]
OnDisconnect = Annotated[Leaving | None, Header(alias="x-fleet-on-disconnect")]
WhenBusy = Annotated[IfBusy | None, Header(alias="x-fleet-if-busy")]


def cancels(field: Leaving | None, header: Leaving | None, key: str | None) -> bool:
    """Whether a job ends when its reader goes away: as the body says, or else the head, or else
    unless the reader has an idempotency key to come back with.
    """
    said = field or header
    return said == "cancel" if said else key is None


def on_gone(fleet: State, job_id: str, cancelled: bool) -> OnGone | None:
    """What is done when the reader goes away."""
    return (lambda: fleet.ledger.cancel(job_id)) if cancelled else None
