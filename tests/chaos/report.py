"""What a run has shown, as text for people and as JSON for programs."""

from collections import Counter
from dataclasses import asdict
from typing import Any

from tests.chaos.history import History
from tests.chaos.recovery import Figure, figures
from tests.chaos.run import Outcome, totals

#: Wrongs that are told in full; the JSON has all of them.
TOLD = 20


def text(outcome: Outcome) -> str:
    """One run on one screen."""
    history, plan = outcome.history, outcome.plan
    readers = [reading for job in history.jobs for reading in job.readings]
    lines = [
        f"seed {plan.seed}: {len(history.jobs)} jobs at {plan.rate:g}/s, "
        f"{len(history.faults)} faults in {plan.seconds:g} s ({outcome.seconds:.0f} s in all)",
        f"  ends      {_counts(ends(history))}",
        f"  faults    {_counts(Counter(fault.name for fault in history.faults))}",
        f"  attempts  {_counts(attempts(history))}",
        f"  answers   {_counts(answers(history))}",
        f"  readers   {len(readers)} with {sum(len(r.seen) for r in readers)} events, "
        f"{sum(r.comebacks for r in readers)} comebacks",
        f"  load      {outcome.retries} requests sent again; the harness itself stalled "
        f"{len(history.stalls)} times",
        f"  restarts  {_counts(Counter(f'{e.name} ({e.status})' for e in outcome.exits))}",
    ]
    lines += [f"    {one.name} said: {one.words}" for one in outcome.exits if one.words]
    lines += [f"  {_figure(figure)}" for figure in figures(outcome.recoveries)]
    lines.append(f"  wrong     {_counts(Counter(w.kind for w in outcome.wrong)) or 'nothing'}")
    lines += [f"    {w.kind:11} {w.job_id} {w.message}" for w in outcome.wrong[:TOLD]]
    if len(outcome.wrong) > TOLD:
        lines.append(f"    ... and {len(outcome.wrong) - TOLD} more")
    return "\n".join(lines)


def summary(outcomes: list[Outcome]) -> str:
    """Several runs in one line."""
    count = totals(outcomes)
    seeds = ", ".join(str(outcome.plan.seed) for outcome in outcomes)
    return (
        f"in all: {count['jobs']} jobs, {count['faults']} faults, {count['wrong']} wrong "
        f"(seeds {seeds})"
    )


def as_json(outcome: Outcome) -> dict[str, Any]:
    """One run for a program."""
    history = outcome.history
    return {
        "plan": asdict(outcome.plan),
        "seconds": outcome.seconds,
        "jobs": len(history.jobs),
        "ends": ends(history),
        "attempts": attempts(history),
        "answers": answers(history),
        "retries": outcome.retries,
        "faults": [asdict(fault) for fault in history.faults],
        "restarts": [asdict(one) for one in outcome.exits],
        "recoveries": [asdict(figure) for figure in figures(outcome.recoveries)],
        "wrong": [wrong._asdict() for wrong in outcome.wrong],
    }


def ends(history: History) -> Counter[str]:
    """How many jobs ended how."""
    return Counter(job.shown.status if job.shown else "unknown" for job in history.jobs)


def attempts(history: History) -> Counter[str]:
    """How many jobs took how many attempts."""
    return Counter(str(job.shown.attempt if job.shown else "?") for job in history.jobs)


def answers(history: History) -> Counter[str]:
    """How many answers came from where: `miss` is a model."""
    return Counter(job.shown.cache if job.shown else "?" for job in history.jobs)


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items()))


def _figure(figure: Figure) -> str:
    judged = f"{figure.judged} undisturbed, worst {figure.worst_judged:.2f} s"
    return (
        f"{figure.what}: {figure.count} times, median {figure.median:.2f} s, "
        f"worst {figure.worst:.2f} s; {judged} (bound {figure.bound:g} s)"
    )
