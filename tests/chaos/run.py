"""One run: a fleet, a load, faults, a quiet time, and the verdict."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.chaos import collect
from tests.chaos.door import Door
from tests.chaos.faults import NAMES
from tests.chaos.fleet import LEASE_S, MAX_ATTEMPTS, SLOTS, Exit, Fleet
from tests.chaos.garbage import proof
from tests.chaos.history import Fault, History
from tests.chaos.lanes import Chaos
from tests.chaos.load import Load
from tests.chaos.orders import Mix, orders
from tests.chaos.recovery import Recovery, late, recoveries
from tests.chaos.stalls import watch
from tests.chaos.tellings import ANSWERS, job_of
from tests.chaos.verifier import Wrong, judge

#: Nothing may happen in this time after the last job has ended: it is longer than a lease,
#: the look for lost messages and the patience with a model's server.
QUIET_S = 8.0
PROGRESS_S = 5.0
#: A webhook whose try was lost with its process is tried again after its lease, 13 s.
HEARD_S = 30.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What to do in a run; the same plan draws the same orders and faults."""

    seed: int = 1
    seconds: float = 100
    #: Jobs a second.
    rate: float = 10
    faults: tuple[str, ...] = NAMES
    #: Seconds between two faults of a lane, on average.
    gap_s: float = 1.5
    hang_most_s: float = 4.0
    mix: Mix = field(default_factory=Mix)


@dataclass(frozen=True)
class Outcome:
    """What came of a run."""

    plan: Plan
    history: History
    wrong: tuple[Wrong, ...]
    recoveries: tuple[Recovery, ...]
    #: Requests of the load that had to be sent again.
    retries: int
    exits: tuple[Exit, ...]
    seconds: float


async def run(fleet: Fleet, plan: Plan, say: Say) -> Outcome:
    """Start the fleet, do everything, stop it, judge."""
    began = time.monotonic()
    try:
        await fleet.start()
        door = fleet.door()
        async with contextlib.aclosing(door), fleet.supervised():
            load = Load(door, orders(plan.seed, plan.mix), plan.rate, fleet.hook)
            chaos = Chaos(fleet, plan.seed, plan.faults, plan.gap_s, plan.hang_most_s, load.streams)
            stalls: list[Fault] = []
            await asyncio.to_thread(fleet.hear, _answers(plan))
            async with _meanwhile(watch(stalls)), _meanwhile(_progress(load, chaos, fleet, say)):
                async with asyncio.TaskGroup() as group:
                    group.create_task(load.run(plan.seconds))
                    group.create_task(chaos.run(plan.seconds))
                await _quiet(load, door, plan)
                await _heard(fleet, load)
            history = await _history(fleet, load, chaos, door, stalls)
    finally:
        await fleet.stop()
    found = tuple(recoveries(history))
    wrong = (*judge(history), *late(found))
    spent = time.monotonic() - began
    return Outcome(plan, history, wrong, found, door.retries, tuple(fleet.exits), spent)


async def _quiet(load: Load, door: Door, plan: Plan) -> None:
    """Wait until all has ended that will ever end, and then for a while."""
    longest = plan.mix.deadline_s + QUIET_S
    await load.finish(longest)
    await collect.settled(door, load.accepted, longest)
    await asyncio.sleep(QUIET_S)


async def _heard(fleet: Fleet, load: Load) -> None:
    """Wait until the receiver has heard of every job that it should, or for so long."""
    end = asyncio.get_running_loop().time() + HEARD_S
    due = {job.id for job in load.accepted if job.order.webhook}
    while asyncio.get_running_loop().time() < end:
        if due <= {job_of(telling) for telling in await asyncio.to_thread(fleet.told)}:
            return
        await asyncio.sleep(0.5)


def _answers(plan: Plan) -> list[dict[str, Any]]:
    """How the receiver answers; enough for all jobs, and then well."""
    rng = Random(f"receiver {plan.seed}")
    return [rng.choice(ANSWERS) for _ in range(int(plan.seconds * plan.rate))]


async def _history(
    fleet: Fleet, load: Load, chaos: Chaos, door: Door, stalls: list[Fault]
) -> History:
    ids = [job.id for job in load.accepted]
    shown = await collect.show(door, ids)
    with fleet.redis() as redis:
        kept = await asyncio.to_thread(collect.stored, redis, ids) if fleet.has_log else {}
        remarks = await asyncio.to_thread(fleet.remarks_on, redis, ids)
    never = load.posted - len(load.accepted) - len(load.refused)
    return History(
        jobs=collect.joined(load.accepted, shown, kept, remarks),
        faults=tuple(chaos.done),
        listed=await collect.listed(door),
        told=await asyncio.to_thread(fleet.told),
        refused=tuple(load.refused),
        remarks=(
            *fleet.remarks,
            *([f"{never} posts were never accepted"] if never else ()),
            *(["a pickle from a queue was executed"] if proof(fleet.folder).exists() else ()),
        ),
        stalls=tuple(stalls),
        max_attempts=MAX_ATTEMPTS,
        lease_s=LEASE_S,
        slots=SLOTS,
        has_log=fleet.has_log,
    )


async def _progress(load: Load, chaos: Chaos, fleet: Fleet, say: Say) -> None:
    """A line every few seconds."""
    began = time.monotonic()
    while True:
        await asyncio.sleep(PROGRESS_S)
        last = chaos.done[-1] if chaos.done else None
        say(
            f"{time.monotonic() - began:5.0f} s  {len(load.accepted)} jobs accepted, "
            f"{load.busy} under way, {len(chaos.done)} faults, "
            f"{len(fleet.exits)} restarts by the supervisor"
            + (f"; last fault: {last.name} ({last.victim})" if last else "")
        )


@contextlib.asynccontextmanager
async def _meanwhile(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Something that goes on beside the rest, and ends with it."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def totals(outcomes: list[Outcome]) -> Counter[str]:
    """Jobs, faults and wrongs of several runs."""
    count: Counter[str] = Counter()
    for outcome in outcomes:
        count["jobs"] += len(outcome.history.jobs)
        count["faults"] += len(outcome.history.faults)
        count["wrong"] += len(outcome.wrong)
    return count
