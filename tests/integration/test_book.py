"""The book: no crowd passes a cap, nothing is counted twice, nothing set aside is lost."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from fleet.dispatch import Dispatcher
from fleet.errors import CapReached
from fleet.job import Job, Status
from fleet.ledger import Ledger, connect
from fleet.line import Line
from fleet.names import BOOK_PREFIX, DECISIONS, HOLDS, job_key
from fleet.settings import Settings
from fleet.spend.book import HOLD_LEASES, Book
from fleet.spend.sheet import ALL, Cap, Figures, Hold, of_caller, of_model

NANO = 1_000_000_000
JOB = "job_test"


@pytest_asyncio.fixture
async def line(redis_url: str) -> AsyncIterator[Line]:
    line = connect(Settings(redis_url=redis_url))
    yield line
    await line.aclose()


@pytest.fixture
def book(line: Line) -> Book:
    return Book(line, Settings())


def hold(attempt: int = 1, usd: float = 0.5, **caps: Any) -> Hold:
    """One call of a model by alice; `calls` and `usd_cap` are the fleet's, or those of `scope`."""
    scope = caps.pop("scope", ALL)
    scopes = (ALL, of_model("claude"), of_caller("alice"))
    cap = Cap(scope, caps.get("calls", 0), caps.get("usd_cap", 0.0), ("calls set", "usd set"))
    return Hold(f"{JOB}.{attempt}", usd, [cap if scope == each else Cap(each) for each in scopes])


async def figures(book: Book, scope: str = ALL) -> Figures:
    return (await book.today()).sheet[scope]


async def run_out(line: Line, attempt: int = 1) -> None:
    """Let the time of a hold be over."""
    await line.call("ZADD", HOLDS, 1, f"{JOB}.{attempt}")


@pytest.mark.parametrize("scope", [ALL, of_model("claude"), of_caller("alice")])
async def test_of_five_hundred_calls_at_once_as_many_are_made_as_the_cap_has(
    book: Book, scope: str
) -> None:
    tries = (book.reserve(hold(n, scope=scope, calls=100)) for n in range(500))
    refused = [e for e in await asyncio.gather(*tries, return_exceptions=True) if e]
    assert len(refused) == 400
    assert {type(error) for error in refused} == {CapReached}
    assert "the 100 calls of today (calls set) are used up; the day turns at midnight, UTC, in" in (
        str(refused[0])
    )
    for each in (ALL, of_model("claude"), of_caller("alice")):
        assert (await figures(book, each)).calls == 100


async def test_dollars_that_are_set_aside_are_spent_for_everybody_else(book: Book) -> None:
    tries = (book.reserve(hold(n, 0.3, usd_cap=1)) for n in range(50))
    refused = [e for e in await asyncio.gather(*tries, return_exceptions=True) if e]
    assert len(refused) == 47
    assert "this call may cost $0.3, and of the $1 of today (usd set) $0.1 are left" in (
        str(refused[0])
    )
    assert await figures(book) == Figures(3, 0, 900_000_000)
    await book.settle(JOB, hold(0, 0.3), 0.05)
    assert await figures(book) == Figures(3, 50_000_000, 600_000_000)
    await book.reserve(hold(99, 0.3, usd_cap=1))


async def test_asking_twice_for_one_call_counts_it_once(book: Book) -> None:
    for _ in range(3):
        await book.reserve(hold(calls=1))
    assert await figures(book) == Figures(1, 0, NANO // 2)
    with pytest.raises(CapReached):
        await book.reserve(hold(2, calls=1))


async def test_settling_twice_counts_once(book: Book) -> None:
    await book.reserve(hold())
    for cost in (0.2, 0.2, 0.7):
        await book.settle(JOB, hold(), cost)
    assert await figures(book) == Figures(1, NANO // 5, 0)
    assert await figures(book, of_caller("alice")) == Figures(1, NANO // 5, 0)


async def test_a_call_that_was_never_made_is_given_back_with_its_money(book: Book) -> None:
    await book.reserve(hold(calls=1))
    for _ in range(2):
        await book.settle(JOB, hold(), None, called=False)
    assert await figures(book) == Figures()
    await book.reserve(hold(2, calls=1))


async def test_what_a_lost_worker_has_set_aside_comes_back_but_not_its_call(
    book: Book, line: Line
) -> None:
    await book.reserve(hold(usd=1, usd_cap=1))
    with pytest.raises(CapReached):
        await book.reserve(hold(2, usd=1, usd_cap=1))
    until = int(await line.call("ZSCORE", HOLDS, hold().id))
    now = (await book.today()).now
    assert 0 <= now + 1000 * HOLD_LEASES * Settings().workers.lease_s - until < 5_000
    await run_out(line)
    await book.reserve(hold(2, usd=1, usd_cap=1))
    assert await figures(book) == Figures(2, 0, NANO)


async def test_whoever_only_reads_sees_nothing_that_has_run_out(book: Book, line: Line) -> None:
    await book.reserve(hold())
    await run_out(line)
    assert await figures(book) == Figures(1, 0, 0)
    assert (await book.today(ALL)).sheet[ALL] == Figures(1, 0, 0)


@pytest.mark.parametrize("known", [True, False])
async def test_a_cost_that_is_told_late_is_counted_all_the_same(
    book: Book, line: Line, known: bool
) -> None:
    if known:
        await book.reserve(hold())
        await run_out(line)
        assert (await figures(book)).held == 0
    for _ in range(2):
        await book.settle(JOB, hold(), 0.2)
    assert await figures(book) == Figures(int(known), NANO // 5, 0)


@pytest.mark.parametrize("status", ["running", "cancelled"])
async def test_a_cost_that_is_told_after_its_jobs_end_is_noted_for_the_reports(
    book: Book, line: Line, status: str
) -> None:
    await line.call("HSET", job_key(JOB), "status", status)
    await book.reserve(hold())
    for _ in range(2):
        await book.settle(JOB, hold(), 0.2)
    await book.settle(JOB, hold(2), 0.3)
    noted = [entry for _, entry in await line.call("XRANGE", DECISIONS, "-", "+")]
    costs = [json.loads(data)["cost_usd"] for _, kind, _, data in noted if kind == "cost"]
    assert costs == ([0.2, 0.5] if status == "cancelled" else [])
    assert json.loads(await line.call("HGET", job_key(JOB), "cost_usd")) == 0.5
    await line.call("DEL", job_key(JOB))


@pytest.mark.parametrize("late", [False, True])
async def test_who_was_only_late_has_its_money_set_aside_again(
    book: Book, line: Line, late: bool
) -> None:
    settings = Settings(redis_url="redis://unused")
    ledger = Ledger(line, settings, Dispatcher(settings))
    job = Job(JOB, Status.RUNNING, {}, attempt=1)
    await line.call("HSET", job_key(JOB), "status", "running", "attempt", 1)
    await book.reserve(hold())
    await run_out(line)
    if late:
        assert (await figures(book)).held == 0
    for _ in range(2):
        assert await ledger.renew(job, hold().id, book.hold_ms)
    assert await figures(book) == Figures(1, 0, NANO // 2)
    await book.settle(JOB, hold(), 0.2)
    assert await ledger.renew(job, hold().id, book.hold_ms)
    assert await figures(book) == Figures(1, NANO // 5, 0)
    assert await line.call("ZCARD", HOLDS) == 0
    await line.call("DEL", job_key(JOB))


async def test_a_hold_is_remembered_until_its_day_is_over(line: Line) -> None:
    brief = Settings(store={"retention_s": 60}, limits={"deadline_s": 60})
    await Book(line, brief).reserve(hold())
    assert int(await line.call("TTL", f"{HOLDS}:{hold().id}")) > 86_400


async def test_a_cost_belongs_to_the_day_of_its_call(book: Book, line: Line) -> None:
    await book.reserve(hold())
    day = (await book.today()).day
    await line.call("RENAME", f"{BOOK_PREFIX}{day}", f"{BOOK_PREFIX}{day - 1}")
    await line.call("HSET", f"{HOLDS}:{hold().id}", "day", day - 1)
    await book.settle(JOB, hold(), 0.2)
    assert await figures(book) == Figures()
    of_month = await book.month(day)
    first_of_month = datetime.now(UTC).day == 1
    assert of_month[ALL] == (Figures() if first_of_month else Figures(1, NANO // 5, 0))


async def test_the_day_turns_when_it_does_in_the_zone(line: Line) -> None:
    zones = ("UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago")  # 14 hours ahead, 11 behind
    days: list[int] = []
    for zone in zones:
        book = Book(line, Settings(spend={"time_zone": zone}))
        today = await book.today()
        assert today.day == book.zone.day(today.now)
        await book.reserve(hold(len(days), calls=1))
        days.append(today.day)
        await line.call("DEL", f"{BOOK_PREFIX}{today.day}")
    assert days[1] > days[2]
    assert days[0] in days[1:]


async def test_every_key_has_its_time(book: Book, line: Line) -> None:
    await book.reserve(hold())
    day = (await book.today()).day
    assert int(await line.call("TTL", f"{BOOK_PREFIX}{day}")) > 399 * 86_400
    assert 0 < int(await line.call("TTL", f"{HOLDS}:{hold().id}")) <= 86_400 + 3_600
    await book.settle(JOB, hold(), 0.1)
    assert re.fullmatch(r"\d+", str(await line.call("TTL", f"{HOLDS}:{hold().id}")))
