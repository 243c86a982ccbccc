"""Plain Celery and chat-fleet side by side: the same orders, the same kills, the same judge."""

import asyncio
import tempfile
from pathlib import Path

from tests.chaos.fleet import Fleet
from tests.chaos.orders import Mix
from tests.chaos.plain import PlainFleet
from tests.chaos.run import Outcome, Plan, Say, run

#: No cancels, deadlines and webhooks, which plain Celery does not have on a pool of threads.
PLAN = Plan(
    seed=21,
    seconds=60,
    rate=10,
    faults=("kill_worker",),
    gap_s=0.5,
    mix=Mix(deadline_s=20, cancelled=0, hurried=0, webhooks=0),
)


def play(plan: Plan, say: Say) -> dict[str, Outcome]:
    """The same plan for both."""
    outcomes = {}
    for name, kind in (("plain Celery", PlainFleet), ("chat-fleet", Fleet)):
        say(f"{name}:")
        with tempfile.TemporaryDirectory(prefix="scorecard-") as folder:
            fleet = kind(Path(folder), plan.mix.deadline_s)
            outcomes[name] = asyncio.run(run(fleet, plan, say))
    return outcomes


def rows(outcome: Outcome) -> dict[str, str]:
    """What counts, by its name."""
    history, wrong = outcome.history, outcome.wrong
    lost = [w for w in wrong if w.kind == "lost"]
    readers = [job for job in history.jobs for _ in job.readings]
    holed = {w.job_id for w in wrong if w.kind == "reader"} | {
        w.job_id for w in lost if w.job_id in {job.id for job in readers}
    }
    slowest = max((recovery.seconds for recovery in outcome.recoveries), default=None)
    return {
        "jobs accepted": str(len(history.jobs)),
        "workers killed": str(len(history.faults)),
        "jobs lost": str(len(lost)),
        "... message gone for good": str(sum("gone for good" in w.message for w in lost)),
        "... until the visibility timeout": str(sum("visibility" in w.message for w in lost)),
        "readers": str(len(readers)),
        "... that miss tokens or the end": str(len(holed)),
        "jobs with a wrong text": str(len({w.job_id for w in wrong if w.kind == "text"})),
        "slowest from kill to next token": f"{slowest:.1f} s" if slowest else "never",
    }


def table(outcomes: dict[str, Outcome]) -> str:
    """The scorecard as text."""
    columns = {name: rows(outcome) for name, outcome in outcomes.items()}
    plan = next(iter(outcomes.values())).plan
    lines = [
        f"seed {plan.seed}, {plan.rate:g} jobs/s for {plan.seconds:g} s",
        f"{'':36}" + "".join(f"{name:>16}" for name in columns),
    ]
    lines += [
        f"{row:36}" + "".join(f"{column[row]:>16}" for column in columns.values())
        for row in next(iter(columns.values()))
    ]
    return "\n".join(lines)
