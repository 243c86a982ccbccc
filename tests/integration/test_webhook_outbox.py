"""Deliveries in Redis: due with the job's end, held by a lease, over once."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from fleet.dispatch import Dispatcher
from fleet.events import Kind, event_data
from fleet.job import NewJob, Status, new_job_id
from fleet.ledger import Ledger, connect
from fleet.names import (
    DUE_WEBHOOKS,
    WEBHOOKS_FAILED,
    WEBHOOKS_LOAD,
    WEBHOOKS_QUEUE,
    job_key,
    log_key,
    queue_lists,
)
from fleet.records import pairs
from fleet.settings import Settings
from fleet.webhooks.delivery import Delivery, State
from fleet.webhooks.outbox import AFTER_S, Outbox
from fleet.webhooks.schedule import Answer
from tests.support import decision

URL = "https://receiver.example/hook?token=hidden"
MODELS: Any = ({"name": "fast", "url": "http://127.0.0.1:1"},)
DONE = [Kind.COMPLETED, event_data(Kind.COMPLETED, finish_reason="stop")]
WELL, ILL = Answer(200), Answer(500)


class House:
    """A ledger and its outbox."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.line = connect(settings)
        dispatcher = Dispatcher(settings)
        self.ledger = Ledger(self.line, settings, dispatcher)
        self.outbox = Outbox(self.line, settings, dispatcher)

    async def posted(self, webhook: str = URL, **how: Any) -> str:
        job_id = new_job_id()
        request = {"messages": [{"role": "user", "content": "hi"}]}
        new = NewJob(
            job_id,
            request,
            caller="alice",
            candidates=["fast"],
            deadline_s=60,
            webhook=webhook,
            **how,
        )
        await self.ledger.create(new)
        return job_id

    async def ended(self, **how: Any) -> str:
        job_id = await self.posted(**how)
        await self.ledger.cancel(job_id)
        return job_id

    async def record(self, job_id: str) -> dict[str, str]:
        return pairs(await self.line.call("HGETALL", job_key(job_id)))

    async def due(self) -> dict[str, str]:
        return pairs(await self.line.call("ZRANGE", DUE_WEBHOOKS, 0, -1, "WITHSCORES"))

    async def messages(self) -> int:
        lists = queue_lists(WEBHOOKS_QUEUE)
        return sum(await self.line.calls([("LLEN", key) for key in lists]))

    async def swallow_messages(self) -> None:
        await self.line.call("DEL", *queue_lists(WEBHOOKS_QUEUE))

    async def ttl(self, key: str) -> int:
        return int(await self.line.call("TTL", key))

    async def make_due(self, job_id: str) -> None:
        await self.line.call("ZADD", DUE_WEBHOOKS, "XX", 1, job_id)

    async def taken(self) -> Delivery:
        [delivery] = await self.outbox.take(10)
        return delivery


@pytest_asyncio.fixture
async def house(redis_url: str) -> AsyncIterator[House]:
    house = House(Settings(redis_url=redis_url, models=MODELS))
    yield house
    await house.line.aclose()


async def cancelled(house: House, job_id: str) -> None:
    await house.ledger.cancel(job_id)


async def unroutable(house: House, job_id: str) -> None:
    await house.ledger.take("t")
    await house.ledger.fail(job_id, {"message": "x"})


async def completed(house: House, job_id: str) -> None:
    job = await house.ledger.take("t")
    assert job
    await house.ledger.route(job, decision("fast"))
    claim = await house.ledger.claim("fast", "a", "a#1")
    assert claim
    assert await house.ledger.finish(claim.job, claim.job.seq, Status.COMPLETED, DONE, {})


async def overdue(house: House, job_id: str) -> None:
    await house.line.call("HSET", job_key(job_id), "deadline_at", 1, "start_by", 1)
    await house.ledger.take("t")


@pytest.mark.parametrize("end", [cancelled, unroutable, completed, overdue])
async def test_every_end_makes_one_delivery_due_with_one_message(house: House, end: Any) -> None:
    job_id = await house.posted()
    assert (await house.due(), await house.messages()) == ({}, 0)
    await end(house, job_id)
    assert (list(await house.due()), await house.messages()) == ([job_id], 1)
    await house.ledger.cancel(job_id)
    assert await house.messages() == 1
    delivery = await house.taken()
    job = await house.ledger.load(job_id)
    assert job
    assert (delivery.job_id, delivery.url, delivery.caller) == (job_id, URL, "alice")
    assert (delivery.status, delivery.finished_at) == (job.status, job.finished_at)
    assert (delivery.api, delivery.attempt) == ("jobs", 1)
    assert "hidden" not in repr(delivery)


async def test_a_job_without_a_webhook_leaves_nothing(house: House) -> None:
    job_id = await house.ended(webhook="")
    assert (await house.due(), await house.messages()) == ({}, 0)
    assert "webhook" not in str(await house.record(job_id))


async def test_a_delivery_is_held_by_one_until_its_lease_is_over(house: House) -> None:
    job_id = await house.ended()
    first = await house.taken()
    assert await house.outbox.take(10) == []
    lease_ms = int((await house.due())[job_id]) - first.at
    assert lease_ms == house.settings.webhooks.lease_s * 1000
    await house.make_due(job_id)
    second = await house.taken()
    assert (first.attempt, second.attempt) == (1, 2)
    assert not await house.outbox.settle(first, State.PENDING, ILL, 5)
    assert not await house.outbox.settle(first, State.FAILED, ILL)
    assert await house.outbox.settle(second, State.PENDING, ILL, 5)


async def test_a_success_counts_whichever_try_had_it(house: House) -> None:
    job_id = await house.ended()
    first = await house.taken()
    await house.make_due(job_id)
    second = await house.taken()
    assert await house.outbox.settle(first, State.DELIVERED, WELL)
    assert await house.due() == {}
    assert not await house.outbox.settle(second, State.PENDING, ILL, 5)
    assert await house.due() == {}
    assert (await house.record(job_id))["webhook_state"] == "delivered"


async def test_a_failure_is_due_again_after_its_pause_and_says_why(house: House) -> None:
    job_id = await house.ended()
    delivery = await house.taken()
    assert await house.outbox.settle(delivery, State.PENDING, Answer(503, "x" * 999), 30)
    job = await house.ledger.load(job_id)
    assert job
    assert (job.webhook_state, job.webhook_attempts, job.webhook_status) == ("pending", 1, 503)
    assert job.webhook_error == "x" * 300
    assert 30_000 <= job.webhook_next_at - delivery.at < 32_000
    assert (await house.due())[job_id] == str(job.webhook_next_at)


async def test_what_was_no_try_is_not_counted_and_bears_being_said_twice(house: House) -> None:
    job_id = await house.ended()
    delivery = await house.taken()
    assert await house.outbox.settle(delivery, State.POSTPONED, Answer(), 1)
    assert not await house.outbox.settle(delivery, State.POSTPONED, Answer(), 1)
    await house.make_due(job_id)
    assert (await house.taken()).attempt == 1


async def test_the_record_outlives_the_tries_and_not_much_longer(house: House) -> None:
    job_id = await house.ended(keep_s=60)
    keep_s = house.settings.webhooks.keep_s
    for key in (job_key(job_id), log_key(job_id)):
        assert keep_s - 5 < await house.ttl(key) <= keep_s
    await house.outbox.settle(await house.taken(), State.DELIVERED, WELL)
    for key in (job_key(job_id), log_key(job_id)):
        assert 50 < await house.ttl(key) <= 60


async def test_an_ordinary_record_keeps_its_own_time(house: House) -> None:
    job_id = await house.ended()
    await house.outbox.settle(await house.taken(), State.FAILED, ILL)
    retention_s = house.settings.store.retention_s
    assert retention_s - 5 < await house.ttl(job_key(job_id)) <= retention_s


async def test_after_long_tries_the_record_stays_an_hour(house: House) -> None:
    job_id = await house.ended()
    delivery = await house.taken()
    await house.line.call("HINCRBY", job_key(job_id), "finished_at", -90_000_000)
    await house.outbox.settle(delivery, State.DELIVERED, WELL)
    assert AFTER_S - 5 < await house.ttl(job_key(job_id)) <= AFTER_S


async def test_what_is_pending_is_counted_for_its_caller(house: House) -> None:
    jobs = [await house.ended() for _ in range(3)]
    assert await house.outbox.pending_of("alice") == 3
    taken = await house.outbox.take(2)
    await house.outbox.settle(taken[0], State.DELIVERED, WELL)
    await house.outbox.settle(taken[0], State.DELIVERED, WELL)
    await house.outbox.settle(taken[1], State.FAILED, Answer(410))
    assert await house.outbox.pending_of("alice") == 1
    assert await house.outbox.pending_of("bob") == 0
    await house.line.call("DEL", job_key(jobs[2]))
    assert await house.outbox.take(10) == []
    await house.outbox.wake()
    assert await house.line.call("EXISTS", WEBHOOKS_LOAD, DUE_WEBHOOKS) == 0


async def test_the_reaper_sends_a_message_for_what_is_due_and_lacks_one(house: House) -> None:
    job_id = await house.ended()
    assert await house.outbox.wake() == ""  # its own message is there
    await house.swallow_messages()
    assert await house.outbox.wake() == job_id
    assert await house.messages() == 1
    await house.swallow_messages()
    assert await house.outbox.wake() == ""  # it may be on its way
    await house.outbox.settle(await house.taken(), State.PENDING, ILL, 0)
    await house.line.call("HINCRBY", f"{DUE_WEBHOOKS}:looked", "woken_at", -1)
    assert await house.outbox.wake() == job_id


async def test_a_message_that_was_lost_is_sent_again_after_a_while(house: House) -> None:
    job_id = await house.ended()
    await house.swallow_messages()
    assert await house.outbox.wake() == job_id
    await house.swallow_messages()
    await house.line.call("HINCRBY", f"{DUE_WEBHOOKS}:looked", "woken_at", -5_000)
    assert await house.outbox.wake() == job_id


async def test_what_is_not_due_needs_no_message(house: House) -> None:
    await house.ended()
    await house.swallow_messages()
    await house.taken()
    assert await house.outbox.wake() == ""


async def test_a_queue_that_nobody_reads_does_not_grow_without_end(house: House) -> None:
    await house.ended()
    [*_, last] = queue_lists(WEBHOOKS_QUEUE)
    await house.line.call("LPUSH", last, *("x" for _ in range(1_500)))
    await house.outbox.wake()
    assert await house.messages() == 1_000


async def test_with_the_broker_elsewhere_the_reaper_sends_it_there(
    valkey: str, redis_url: str
) -> None:
    elsewhere = valkey.rpartition("/")[0] + "/7"
    house = House(Settings(redis_url=redis_url, broker_url=elsewhere, models=MODELS))
    there = House(Settings(redis_url=elsewhere, models=MODELS))
    await there.line.call("FLUSHDB")
    job_id = await house.ended()
    assert (await house.messages(), await there.messages()) == (0, 0)
    assert await house.outbox.wake() == job_id
    assert (await house.messages(), await there.messages()) == (0, 1)
    assert await house.outbox.wake() == ""
    await there.line.call("FLUSHDB")
    await house.line.aclose()
    await there.line.aclose()


async def test_one_that_was_given_up_is_listed_and_may_be_tried_again(house: House) -> None:
    job_id = await house.ended()
    assert await house.outbox.settle(await house.taken(), State.FAILED, Answer(410))
    waiting = await house.ended()
    listed = await house.outbox.listed(10)
    assert [(one.job_id, one.state) for one in listed] == [(waiting, "pending"), (job_id, "failed")]
    assert (listed[1].caller, listed[1].last_status, listed[1].attempts) == ("alice", 410, 1)
    assert "hidden" not in repr(listed)
    assert await house.outbox.retry(job_id)
    assert await house.outbox.pending_of("alice") == 2
    assert await house.ttl(job_key(job_id)) > house.settings.webhooks.keep_s - 5
    assert await house.line.call("ZCARD", WEBHOOKS_FAILED) == 0
    taken = {one.job_id: one.attempt for one in await house.outbox.take(10)}
    assert taken == {job_id: 1, waiting: 1}


async def test_only_a_job_that_has_ended_and_has_a_webhook_can_be_tried(house: House) -> None:
    assert await house.outbox.retry(await house.posted()) is False
    assert await house.outbox.retry(await house.ended(webhook="")) is None
    assert await house.outbox.retry(new_job_id()) is None
    assert list(await house.due()) == []


async def test_one_that_waits_is_tried_at_once_and_counted_once(house: House) -> None:
    job_id = await house.ended()
    await house.outbox.settle(await house.taken(), State.PENDING, ILL, 600)
    assert await house.outbox.take(10) == []
    assert await house.outbox.retry(job_id)
    assert (await house.taken()).attempt == 2
    assert await house.outbox.pending_of("alice") == 1


async def test_secrets_are_each_callers_own_and_stay_the_same(house: House) -> None:
    alice, bob = await house.outbox.secret_of("alice"), await house.outbox.secret_of("bob")
    assert alice.startswith("whsec_")
    assert alice != bob
    again = House(house.settings)
    assert await again.outbox.secret_of("alice") == alice
    await again.line.aclose()
    webhooks: Any = {"secret": "a master of our own"}
    own = House(
        house.settings.model_copy(update={"webhooks": Settings(webhooks=webhooks).webhooks})
    )
    assert await own.outbox.secret_of("alice") not in (alice, bob)
    await own.line.aclose()


async def test_a_job_that_is_deleted_before_its_end_tells_nobody(house: House) -> None:
    job_id = await house.posted()
    assert await house.ledger.delete(job_id, "alice")
    assert (await house.due(), await house.messages()) == ({}, 0)
    assert await house.outbox.pending_of("alice") == 0


async def test_a_delivery_whose_job_is_deleted_counts_no_more(house: House) -> None:
    kept = await house.ended()
    waiting, trying = await house.ended(), await house.ended()
    taken = {delivery.job_id: delivery for delivery in await house.outbox.take(10)}
    assert await house.outbox.settle(taken[waiting], State.PENDING, ILL, 600)
    assert await house.outbox.pending_of("alice") == 3
    for job_id in (waiting, trying):
        assert await house.ledger.delete(job_id, "alice")
    assert (list(await house.due()), await house.outbox.pending_of("alice")) == ([kept], 1)
    assert not await house.outbox.settle(taken[trying], State.DELIVERED, WELL)
    assert await house.outbox.settle(taken[kept], State.DELIVERED, WELL)
    assert (await house.due(), await house.outbox.pending_of("alice")) == ({}, 0)


async def test_a_deleted_job_is_not_among_those_that_were_given_up(house: House) -> None:
    job_id = await house.ended()
    assert await house.outbox.settle(await house.taken(), State.FAILED, ILL)
    assert await house.ledger.delete(job_id, "alice")
    assert await house.line.call("ZCARD", WEBHOOKS_FAILED) == 0
    assert await house.outbox.pending_of("alice") == 0
