"""The outbox: deliveries that are due, in Redis beside the jobs that they tell of."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fleet import scripts
from fleet.dispatch import Dispatcher
from fleet.job import Job, Status
from fleet.line import Line
from fleet.names import (
    DUE,
    DUE_WEBHOOKS,
    FAILED_MOST,
    JOBS_PREFIX,
    WEBHOOKS_FAILED,
    WEBHOOKS_QUEUE,
    WEBHOOKS_SECRET,
    job_key,
    queue_lists,
)
from fleet.records import Records, store_errors
from fleet.settings import Settings
from fleet.webhooks.delivery import Delivery, State
from fleet.webhooks.schedule import Answer
from fleet.webhooks.signing import secret_of

#: A message from which nothing came for so long is taken for lost.
LOST_MS = 5_000
#: Messages that are kept in a queue that nobody reads: one wakes for all that is due.
MESSAGES_MOST = 1_000
#: A receiver that has just heard may ask for the job for so long at least.
AFTER_S = 3_600
#: Characters of an error that are kept.
ERROR_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Listed:
    """A delivery that is not made, for an operator's eyes: without the URL, which may hold
    secrets.
    """

    job_id: str
    caller: str
    state: str
    attempts: int
    last_status: int
    last_error: str
    next_at: int


class Outbox:
    """Every move of a delivery. Each is one script, one round trip."""

    def __init__(self, line: Line, settings: Settings, dispatcher: Dispatcher) -> None:
        self.line = line
        self._rules = settings.webhooks
        self._dispatcher = dispatcher
        self._lists = queue_lists(WEBHOOKS_QUEUE) if settings.broker_is_store else []

    async def take(self, most: int) -> list[Delivery]:
        """Take deliveries that are due, with a lease."""
        lease_ms = int(self._rules.lease_s * 1000)
        async with store_errors():
            now, *found = await scripts.TAKE_WEBHOOKS(
                self.line, [DUE], [JOBS_PREFIX, lease_ms, most]
            )
        return [_delivery(values, int(now)) for values in found]

    async def settle(
        self, delivery: Delivery, state: State, answer: Answer, pause_s: float = 0.0
    ) -> bool:
        """Say what came of a try. False when another one has the say."""
        async with store_errors():
            done = await scripts.SETTLE_WEBHOOK(
                self.line,
                [job_key(delivery.job_id), DUE, WEBHOOKS_FAILED],
                [
                    delivery.attempt,
                    state,
                    int(pause_s * 1000),
                    answer.status,
                    answer.error[:ERROR_CHARACTERS],
                    FAILED_MOST,
                    AFTER_S,
                ],
            )
        return bool(done)

    async def wake(self) -> str:
        """Send a message for a delivery that is due and lacks one; the job's id, or ''."""
        async with store_errors():
            job_id: str = await scripts.WAKE_WEBHOOKS(
                self.line, [DUE, *self._lists], [LOST_MS, MESSAGES_MOST]
            )
        if job_id:
            await self._send(job_id)
        return job_id

    async def retry(self, job_id: str) -> bool | None:
        """Try a delivery now. False: the job has not ended; None: it has no webhook, or there is
        no such job.
        """
        async with store_errors():
            done = await scripts.RETRY_WEBHOOK(
                self.line, [job_key(job_id), DUE, WEBHOOKS_FAILED], []
            )
        return None if done < 0 else bool(done)

    async def secret_of(self, caller: str) -> str:
        """What a caller's receivers check signatures with."""
        return secret_of(self._rules.secret or await self._kept_master(), caller)

    async def listed(self, most: int) -> list[Listed]:
        """Deliveries that wait, by their next try, and then those that were given up."""
        async with store_errors():
            waiting = await self.line.call("ZRANGE", DUE_WEBHOOKS, 0, most - 1)
            failed = await self.line.call("ZRANGE", WEBHOOKS_FAILED, 0, most - 1, "REV")
        jobs = await Records(self.line).summaries([*waiting, *failed][:most])
        return [_listed(job) for job in jobs]

    async def _kept_master(self) -> str:
        async with store_errors():
            kept = await self.line.call("GET", WEBHOOKS_SECRET)
            if not kept:
                await self.line.call("SET", WEBHOOKS_SECRET, secrets.token_hex(32), "NX")
                kept = await self.line.call("GET", WEBHOOKS_SECRET)
        return str(kept)

    async def _send(self, job_id: str) -> None:
        outgoing = self._dispatcher.deliver(job_id)
        if outgoing.inline:
            async with store_errors():
                await scripts.PUSH(self.line, [outgoing.list_key], [outgoing.inline])
        await self._dispatcher.sent(outgoing)


def _delivery(values: Sequence[Any], now: int) -> Delivery:
    job_id, url, api, status, caller, finished_at, attempt = values
    return Delivery(
        job_id, url, api, Status(status), caller, int(finished_at), now, attempt=int(attempt)
    )


def _listed(job: Job) -> Listed:
    return Listed(
        job.id,
        job.caller,
        job.webhook_state,
        job.webhook_attempts,
        job.webhook_status,
        job.webhook_error,
        job.webhook_next_at,
    )
