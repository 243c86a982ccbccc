"""One delivery on its way. Pure."""

from dataclasses import dataclass, field
from enum import StrEnum

from fleet.job import Status


class State(StrEnum):
    """Where a delivery stands; `postponed` is no try at all, and never kept."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    POSTPONED = "postponed"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery that somebody has taken."""

    job_id: str
    url: str = field(repr=False)
    api: str
    status: Status
    caller: str
    #: Milliseconds of Redis' clock: the job's end, and now.
    finished_at: int
    at: int
    #: Number of this try, from 1.
    attempt: int
