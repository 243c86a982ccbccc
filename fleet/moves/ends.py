"""How a job ends that nobody runs, or whose caller has had enough; and what is due."""

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from fleet import scripts
from fleet.errors import FleetFault, StoreUnavailable
from fleet.events import Kind, event_data
from fleet.job import Status
from fleet.moves.base import EXPIRED_EVENT, Moves
from fleet.names import (
    CANCELS_CHANNEL,
    DECISIONS,
    DUE,
    FEEDBACK,
    JOBS_PREFIX,
    WEBHOOKS_FAILED,
    job_key,
    jobs_index,
    live_channel,
    log_key,
)
from fleet.records import store_errors

#: Jobs that one look for what is due takes on.
REAP_MOST = 200
#: A job that somebody is told to end is looked at again after so long.
REAP_AGAIN_MS = 5_000
#: A line that has more jobs than messages for so long has lost some.
LACKS_MS = 5_000
#: Statuses in which nobody runs the job; `lost`: it is running, and its lease has run out.
WAITING = ",queued,routed,lost,"
UNENDED = ",queued,routed,running,"


class Ends(Moves):
    """Ends that no worker has brought about."""

    async def cancel(self, job_id: str) -> tuple[bool, Status] | None:
        """End a job as cancelled, whatever it was doing, and stop the worker that runs it.

        Returns whether this call ended it, and its status now; None if there is no such job.
        """
        return await self._close(job_id, Status.CANCELLED, event_data(Kind.CANCELLED), UNENDED)

    async def delete(self, job_id: str, caller: str) -> bool:
        """Forget a caller's job, with its words; cancel it first if it has not ended. False if
        there is no such job (any more).
        """
        async with store_errors():
            done, *heir = await scripts.DELETE(
                self.line,
                [
                    job_key(job_id),
                    log_key(job_id),
                    DUE,
                    DECISIONS,
                    jobs_index(caller),
                    FEEDBACK,
                    WEBHOOKS_FAILED,
                ],
                [
                    live_channel(job_id),
                    CANCELS_CHANNEL,
                    event_data(Kind.CANCELLED),
                    self._log_size,
                ],
            )
        await self._wake_heir(heir)
        return bool(done)

    async def expire(self, job_id: str) -> tuple[bool, Status] | None:
        """End a job as expired if its deadline has passed. Returns as `cancel` does."""
        return await self._close(
            job_id, Status.EXPIRED, EXPIRED_EVENT, UNENDED, only_past_deadline=True
        )

    async def fail(
        self,
        job_id: str,
        error: dict[str, Any],
        allowed: str = WAITING,
        tried: Sequence[dict[str, Any]] = (),
    ) -> None:
        """End a job that no plan can be made for, that no model is asked for (`tried`: all that
        were tried), or (`UNENDED`) that nobody can go on with.
        """
        event = event_data(Kind.FAILED, error=error, tried=tried)
        fields = ("error", json.dumps(error), *(("tried", json.dumps(tried)) if tried else ()))
        await self._close(job_id, Status.FAILED, event, allowed, fields=fields)

    async def _close(
        self,
        job_id: str,
        status: Status,
        event: str,
        allowed: str,
        *,
        only_past_deadline: bool = False,
        fields: tuple[str, ...] = (),
    ) -> tuple[bool, Status] | None:
        async with store_errors():
            done, now, *heir = await scripts.CLOSE(
                self.line,
                [job_key(job_id), log_key(job_id), DUE, DECISIONS],
                [
                    live_channel(job_id),
                    CANCELS_CHANNEL,
                    status,
                    event,
                    self._ended_ttl,
                    int(only_past_deadline),
                    allowed,
                    self._log_size,
                    *fields,
                ],
            )
        await self._wake_heir(heir)
        return None if done < 0 else (bool(done), Status(now))

    async def _wake_heir(self, heir: Sequence[str]) -> None:
        """Send the message for a job that has taken the place of one that was followed: `heir`
        is its id, model ('' before it is routed) and priority, or empty. If we cannot, its line
        will be seen to lack one.
        """
        if heir:
            job_id, model, priority = heir
            with suppress(StoreUnavailable):
                await self._wake_for(job_id, model, 0, int(priority))

    async def reap(self) -> list[str]:
        """End the jobs whose time is over; put those whose worker was lost (its lease has run
        out), or whose next try is due, into their line; send the messages that lines lack. Any
        process may, any number of them at once.

        Returns the ids of the jobs that were found.
        """
        countable = int(self._settings.broker_is_store)
        async with store_errors():
            found = await scripts.REAP(
                self.line,
                [DUE, *self._lines],
                [JOBS_PREFIX, REAP_MOST, REAP_AGAIN_MS, LACKS_MS, countable, *self._lists],
            )
        due = [found[i : i + 5] for i in range(0, len(found), 5)]
        for job_id, what, model, attempt, priority in due:
            if what == "late":
                await self.expire(job_id)
            elif what == "odd":
                odd = FleetFault("The job's record is not one of this version.")
                await self.fail(job_id, odd.as_dict(), UNENDED)
            else:
                await self._wake_for(job_id, model, int(attempt), int(priority))
        return [job_id for job_id, *_ in due]
