"""Takes deliveries that are due and has them tried, so many at once."""

import asyncio
import logging
import random
import time
from contextlib import suppress
from datetime import UTC, datetime
from urllib.parse import urlsplit

from fleet.errors import StoreUnavailable
from fleet.insist import insist
from fleet.webhooks.delivery import Delivery, State
from fleet.webhooks.event import event_body, event_id
from fleet.webhooks.outbox import Outbox
from fleet.webhooks.schedule import Answer, next_try
from fleet.webhooks.settings import Webhooks
from fleet.webhooks.signing import signed_headers
from router.webhooks.hosts import Hosts
from router.webhooks.sender import Sender

log = logging.getLogger(__name__)

#: Seconds that tries under way may take when the process ends; their leases do the rest.
DRAIN_S = 2.0


class Deliverer:
    """Deliveries of one process. A message only wakes it: what is due stands in Redis."""

    def __init__(self, outbox: Outbox, sender: Sender, rules: Webhooks) -> None:
        self._outbox = outbox
        self._sender = sender
        self._rules = rules
        self._woken = asyncio.Event()
        self._trying: set[asyncio.Task[None]] = set()
        self._hosts = Hosts(rules.per_host)

    async def deliver(self, _woken_by: str) -> None:
        """Look for what is due; this does not wait for it."""
        self._woken.set()

    async def run(self) -> None:
        """Deliver whenever woken, until cancelled."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            try:
                while await self._begin_some():
                    pass
            except StoreUnavailable as error:  # a reaper wakes us again
                log.warning("webhooks: %s", error)
            except Exception:  # one odd delivery must not silence all the others
                log.exception("webhooks: a look for what is due failed")

    async def drain(self) -> None:
        """Wait a moment for what is under way; the rest is taken up again by its lease."""
        if self._trying:
            await asyncio.wait(self._trying, timeout=DRAIN_S)
        left = list(self._trying)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _begin_some(self) -> bool:
        """Begin as many as there is room for; whether there were any."""
        if len(self._trying) >= self._rules.at_once:
            await asyncio.wait(self._trying, return_when=asyncio.FIRST_COMPLETED)
        taken = await self._outbox.take(self._rules.at_once - len(self._trying))
        for delivery in taken:
            task = asyncio.create_task(self._one(delivery))
            self._trying.add(task)
            task.add_done_callback(self._trying.discard)
        return bool(taken)

    async def _one(self, delivery: Delivery) -> None:
        try:
            await self._try(delivery)
        except Exception:  # its lease brings it back
            log.exception("job %s: trying its webhook broke", delivery.job_id)

    async def _try(self, delivery: Delivery) -> None:
        if delivery.attempt > self._rules.attempts:
            lost = Answer(error="the process that tried it last was lost")
            await self._settle(delivery, State.FAILED, lost)
            return
        host, began = _host_of(delivery.url), time.monotonic()
        if (pause := self._hosts.begin(host, began)) is not None:
            await self._settle(delivery, State.POSTPONED, Answer(), pause)
            return
        try:
            answer = await self._send(delivery)
        finally:
            self._hosts.end(host, time.monotonic() - began)
        await self._note(delivery, answer)

    async def _send(self, delivery: Delivery) -> Answer:
        secret = await insist(lambda: self._outbox.secret_of(delivery.caller))
        body = event_body(delivery)
        name = event_id(delivery.job_id)
        headers = signed_headers(secret, name, delivery.at // 1000, body)
        return await self._sender.send(delivery.url, headers, body)

    async def _note(self, delivery: Delivery, answer: Answer) -> None:
        draw = random.random()  # noqa: S311 - only to spread
        now = datetime.fromtimestamp(delivery.at / 1000, UTC)
        if answer.well:
            await self._settle(delivery, State.DELIVERED, answer)
        elif (pause := next_try(delivery.attempt, answer, self._rules, draw, now)) is None:
            await self._settle(delivery, State.FAILED, answer)
        else:
            await self._settle(delivery, State.PENDING, answer, pause)

    async def _settle(
        self, delivery: Delivery, state: State, answer: Answer, pause_s: float = 0.0
    ) -> None:
        await insist(lambda: self._outbox.settle(delivery, state, answer, pause_s))
        if state in (State.FAILED, State.PENDING):
            why = answer.error or f"status {answer.status}"
            then = f"again in {pause_s:.0f} s" if pause_s else "given up"
            log.warning(
                "job %s: webhook, try %s: %s; %s", delivery.job_id, delivery.attempt, why, then
            )


def _host_of(url: str) -> str:
    with suppress(ValueError):
        return urlsplit(url).netloc.lower()
    return ""
