"""Jobs that ask what another one is being asked, where the two want different things."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from fleet.cache.kept import Kept
from fleet.dispatch import Dispatcher
from fleet.errors import TooBusy
from fleet.job import Job, NewJob, Status, new_job_id
from fleet.ledger import Ledger, connect
from fleet.moves.routes import Routed
from fleet.names import cache_key
from tests.integration.test_ledger import DECISION, name, settings_for

KEPT = Kept(cache_key("of-one-question"))


@pytest_asyncio.fixture
async def ledger(redis_url: str) -> AsyncIterator[Ledger]:
    settings = settings_for(redis_url)
    line = connect(settings)
    yield Ledger(line, settings, Dispatcher(settings))
    await line.aclose()


async def posted(ledger: Ledger, **how: Any) -> tuple[str, str]:
    """A job that asks the one question; its id, and where its answer comes from."""
    job_id = new_job_id()
    request = {"messages": [{"role": "user", "content": "hi"}], "temperature": 0}
    usual = {"caller": "local", "candidates": ["fast"], "deadline_s": 60, "cache": KEPT}
    fields: dict[str, Any] = usual | how
    created = await ledger.create(NewJob(job_id, request, **fields))
    assert not created.refused
    return job_id, created.cache


async def taken(ledger: Ledger, job_id: str) -> Job:
    job = await ledger.take(name())
    assert job
    assert job.id == job_id
    return job


async def status(ledger: Ledger, job_id: str) -> Status:
    job = await ledger.load(job_id)
    assert job
    return job.status


async def test_who_is_not_to_wait_follows_nobody_who_waits(ledger: Ledger) -> None:
    leader, _ = await posted(ledger)
    same, how = await posted(ledger)
    assert how == "shared"
    assert (await posted(ledger, if_busy="overflow"))[1] == ""
    assert (await posted(ledger, if_busy="overflow"))[1] == "shared"
    assert (await posted(ledger))[1] == ""
    await ledger.route(await taken(ledger, leader), DECISION)
    assert await ledger.claim("fast", "a", name())
    assert await status(ledger, same) is Status.RUNNING


async def test_who_is_being_answered_is_followed_whatever_it_would_have_done(
    ledger: Ledger,
) -> None:
    leader, _ = await posted(ledger, if_busy="overflow")
    assert await ledger.route(await taken(ledger, leader), DECISION) is Routed.DONE
    assert await ledger.claim("fast", "a", name())
    assert (await posted(ledger, if_busy="reject"))[1] == "shared"


@pytest.mark.parametrize("limit", [{"paid_calls": 1}, {"budget_usd": 1.0}])
async def test_what_a_key_may_spend_is_no_matter_of_anothers_job(
    ledger: Ledger, limit: dict[str, Any]
) -> None:
    await posted(ledger, caller="poor", **limit)
    assert (await posted(ledger, caller="poor", **limit))[1] == "shared"
    assert (await posted(ledger, caller="rich"))[1] == ""
    assert (await posted(ledger, caller="poor", **limit))[1] == "shared"


@pytest.mark.parametrize("followers", [1, 2])
async def test_a_leader_that_does_not_want_to_wait_leaves_its_place_to_others(
    ledger: Ledger, followers: int
) -> None:
    leader, _ = await posted(ledger, if_busy="reject", start_timeout_s=1)
    others = [(await posted(ledger, if_busy="reject"))[0] for _ in range(followers)]
    assert (await taken(ledger, leader)).if_busy == "reject"
    await ledger.fail(leader, TooBusy("it would wait").as_dict())
    assert await status(ledger, leader) is Status.FAILED
    assert {await status(ledger, other) for other in others} == {Status.QUEUED}
    await ledger.route(await taken(ledger, others[0]), DECISION)
    assert {await status(ledger, other) for other in others} == {Status.ROUTED}
    assert [event.kind for event in await ledger.read_all(others[-1])] == ["queued", "routed"]
