"""A job that this process runs, and why its stream may be stopped from outside."""

import asyncio
from enum import Enum

from fleet.journal import AttemptLog
from fleet.ledger import Claim
from workers.bill import Bill


class Stop(Enum):
    """Why a stream is stopped from outside."""

    #: The record says so: the job has ended, or another attempt has it.
    LOST = "lost"
    #: This process shuts down.
    DRAIN = "drain"


class Running:
    """A job that this process runs."""

    def __init__(self, claim: Claim, attempt: AttemptLog) -> None:
        self.job = claim.job
        #: What the model server calls the answer, if it keeps it.
        self.generation = claim.job.generation
        self.attempt = attempt
        #: What its call costs; None: nothing.
        self.bill: Bill | None = None
        self.stopped_by: Stop | None = None
        self.scope = asyncio.timeout(max(claim.seconds_left, 0.0))
        #: Whether the model is being asked; before and after, there is nothing to interrupt.
        self.streaming = False
        attempt.on_lost = lambda: self.stop(Stop.LOST)

    def stop(self, reason: Stop) -> None:
        """Interrupt the stream now, if it runs."""
        if self.stopped_by is None:
            self.stopped_by = reason
            if self.streaming:
                self.scope.reschedule(asyncio.get_running_loop().time())
