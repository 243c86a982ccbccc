"""How a job begins, and what its caller may have."""

import json
import time
from dataclasses import dataclass
from typing import Any

from fleet import scripts
from fleet.cache.kept import Kept
from fleet.callers import NANO, UNLIMITED, Allowance, Caller, rate_limited, refuse_what_never_fits
from fleet.dispatch import Outgoing
from fleet.events import Kind, event_data
from fleet.job import NewJob
from fleet.moves.base import Moves, compact
from fleet.names import (
    BOOK_PREFIX,
    DECISIONS,
    DUE,
    ROUTER_QUEUE,
    bucket_key,
    idempotency_key,
    job_key,
    jobs_index,
    live_channel,
    log_key,
    waiting_key,
)
from fleet.records import store_errors

#: What `lua/create.lua` and `lua/charge.lua` say there is too little of.
_SHORT = {-3: "requests", -4: "tokens", -5: "money", -7: "calls"}
#: … that comes back when the day turns: told with the time.
_OF_THE_DAY = (-5, -7)
#: Routes whose answers are of their moment, and are not given again.
LIVE_ROUTES = ",tool,"


@dataclass(frozen=True, slots=True)
class Created:
    """What became of a post."""

    #: Where its answer comes from instead of a model; see `Job.cache`.
    cache: str = ""
    #: The stored idempotency value of an earlier post; the job is that one then.
    existing: str = ""
    #: Jobs of the caller that have not ended: as many as it may have. Nothing was made then.
    too_many: int = 0
    #: Jobs in the shortest line that could take it, when all are full. Nothing was made then.
    full: int = 0
    #: Webhooks of the caller that are not delivered: as many as it may have. Nothing was made then.
    untold: int = 0
    #: Whether it was to be refused because every model is too busy. Nothing was made then.
    too_busy: bool = False
    #: Of what the caller has too little now (`requests`, `tokens`, `money`, `calls`), and the
    #: seconds until it will have enough. Nothing was made then.
    short: str = ""
    wait_s: float = 0.0
    #: What the caller has left; no limits, no headers.
    left: Allowance = UNLIMITED

    @property
    def refused(self) -> bool:
        """Whether nothing was made, and nothing found."""
        return bool(self.too_many or self.full or self.untold or self.too_busy or self.short)


class Posts(Moves):
    """New jobs, and the shares of their callers."""

    async def create(self, new: NewJob) -> Created:
        """Write a new job and send it to the router."""
        outgoing = self._dispatcher.route(new.id, new.priority)
        digest, value = new.idempotency or ("", "")
        async with store_errors():
            done, result, *left, cache = await scripts.CREATE(
                self.line,
                [
                    job_key(new.id),
                    log_key(new.id),
                    jobs_index(new.caller),
                    idempotency_key(digest),
                    outgoing.list_key,
                    DUE,
                    waiting_key(ROUTER_QUEUE),
                    bucket_key(new.caller),
                    BOOK_PREFIX,
                    *(waiting_key(self._queues[name]) for name in new.candidates),
                ],
                [
                    compact(self._order(new, value, outgoing)),
                    *(new.cache.events if new.cache else ()),
                    *new.fields(),
                    *self._webhook_fields(new),
                ],
            )
        allowance = Allowance(new.rpm, new.tpm, *left)
        if done == -1:
            return Created(too_many=result, left=allowance)
        if done == -2:
            return Created(full=result, left=allowance)
        if done == -6:
            return Created(untold=result, left=allowance)
        if done in _OF_THE_DAY:
            wait_s = self._zone.left_s(result)
            return Created(short=_SHORT[done], wait_s=wait_s, left=allowance)
        if done == -8:
            return Created(too_busy=True, left=allowance)
        if done in _SHORT:
            return Created(short=_SHORT[done], wait_s=result / 1000, left=allowance)
        if not done:
            earlier = result.partition(" ")[0]
            await self._dispatcher.sent(self._dispatcher.route(earlier, new.priority))
            return Created(existing=result, left=allowance, cache=cache)
        if not cache:
            await self._dispatcher.sent(outgoing)
        return Created(left=allowance, cache=cache)

    def _order(self, new: NewJob, idempotency: str, outgoing: Outgoing) -> dict[str, Any]:
        """What `lua/create.lua` is told of a new job beside what the record keeps."""
        limits, store = self._settings.limits, self._settings.store
        kept = {"cache": self._kept(new.cache)} if new.cache else {}
        return kept | {
            "channel": live_channel(new.id),
            "ttl_s": self._unended_ttl,
            "index_size": store.index_size,
            "retention_ms": store.retention_s * 1000,
            "idempotency": idempotency,
            "message": outgoing.inline,
            "event": event_data(Kind.QUEUED, id=new.id, model=new.asked_model),
            "deadline_s": new.deadline_s,
            "start_timeout_s": new.start_timeout_s or 0,
            "caller": new.caller,
            "priority": new.priority,
            "caller_jobs": min(limits.caller_jobs, new.concurrent or limits.caller_jobs),
            "queue_jobs": limits.queue_jobs,
            "rpm": new.rpm,
            "tpm": new.tpm,
            "tokens": new.tokens,
            "budget": round(new.budget_usd * NANO),
            "paid_calls": new.paid_calls,
            "offset_ms": self._zone.offset_ms(time.time() * 1000),
            "free": json.dumps(new.free) if new.free else "",
            "webhooks": self._settings.webhooks.pending if new.webhook else 0,
            "if_busy": new.if_busy,
            "too_busy": new.too_busy,
        }

    def _kept(self, kept: Kept) -> dict[str, Any]:
        """What the script is told of an answer that there may be already."""
        return {
            "key": kept.key,
            "ttl_s": self._settings.cache_ttl_s,
            "never": LIVE_ROUTES,
            "followers": self._settings.cache.followers,
            "source": kept.source,
            "leader": kept.leader,
            "events": len(kept.events),
            "seen": kept.seen,
            "ended_s": self._ended_ttl,
            "decisions": DECISIONS,
            "log_size": self._log_size,
        }

    async def charge(self, caller: Caller, tokens: int) -> dict[str, str]:
        """Take one request and its tokens out of what a caller has in a minute, for what makes
        no job. Gives what the head of the answer says of what is left.

        Raises:
            InvalidRequest: no minute has so many tokens.
            RateLimited: it has too little left; with the headers, and when it will have enough.
        """
        refuse_what_never_fits(caller, tokens)
        code, wait_ms, *left = await self._charge(caller, tokens)
        allowance = Allowance(caller.rpm, caller.tpm, *left)
        if code:
            error = rate_limited(caller, _SHORT[code], wait_ms / 1000, tokens)
            error.headers |= allowance.headers()
            raise error
        return allowance.headers()

    async def allowance(self, caller: Caller) -> Allowance:
        """What a caller has left in this minute."""
        _, _, *left = await self._charge(caller, -1)
        return Allowance(caller.rpm, caller.tpm, *left)

    async def _charge(self, caller: Caller, tokens: int) -> list[int]:
        if not caller.rpm and not caller.tpm:
            return [0, 0, 0, 0]
        async with store_errors():
            told: list[int] = await scripts.CHARGE(
                self.line, [bucket_key(caller.name)], [caller.rpm, caller.tpm, tokens]
            )
        return told

    def _webhook_fields(self, new: NewJob) -> list[str | int]:
        """What the record keeps of a webhook: the scripts send the message when the job ends."""
        if not new.webhook:
            return []
        outgoing = self._dispatcher.deliver(new.id)
        return [
            *("webhook", new.webhook),
            *("webhook_state", "pending"),
            *("webhook_keep_s", self._settings.webhooks.keep_s),
            *("webhook_list", outgoing.list_key),
            *("webhook_message", outgoing.inline),
        ]
