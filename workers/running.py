"""A job that this process runs, and why its stream may be stopped from outside."""

import asyncio
import time
from enum import Enum

from fleet.journal import AttemptLog
from fleet.moves.runs import Claim
from workers.bill import Bill


class Stop(Enum):
    """Why a stream is stopped from outside."""

    #: The record says so: the job has ended, or another attempt has it.
    LOST = "lost"
    #: This process shuts down.
    DRAIN = "drain"


class Running:
    """A job that this process runs."""

    def __init__(self, claim: Claim, attempt: AttemptLog, probe: str = "") -> None:
        self.job = claim.job
        #: What the model server calls the answer, if it keeps it.
        self.generation = claim.job.generation
        self.attempt = attempt
        #: What the server's breaker calls this attempt, if it is to show whether the server is
        #: well; empty once it has shown it.
        self.probe = probe
        #: What its call costs; None: nothing.
        self.bill: Bill | None = None
        self.stopped_by: Stop | None = None
        self._claimed_at, self._since = claim.at, time.monotonic()
        self.scope = asyncio.timeout(max(claim.seconds_left, 0.0))
        #: Whether the model is being asked; before and after, there is nothing to interrupt.
        self.streaming = False
        attempt.on_lost = lambda: self.stop(Stop.LOST)

    @property
    def took_ms(self) -> int:
        """Milliseconds since it was claimed."""
        return round((time.monotonic() - self._since) * 1000)

    @property
    def now(self) -> int:
        """Redis' clock, as far as it is known since the claim: ms since the epoch."""
        return self._claimed_at + self.took_ms

    def stop(self, reason: Stop) -> None:
        """Interrupt the stream now, if it runs."""
        if self.stopped_by is None:
            self.stopped_by = reason
            if self.streaming:
                self.scope.reschedule(asyncio.get_running_loop().time())
