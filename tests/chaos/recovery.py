"""How long jobs stood still: after a worker's death, an outage of Redis, a lost message.

A figure is judged against its bound only where no other fault was in its way, and where
the workers that were left had a slot to spare.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import median
from typing import NamedTuple

from tests.chaos.history import Entry, Fault, History, Job
from tests.chaos.verifier import MODEL_FAULTS, REDIS_FAULTS, WORKER_FAULTS, Wrong

BACK_S = 5.0
GRACE_S = 5.0
#: A fault that was over so many seconds before is not in the way.
CALM_S = 1.0
#: Faults that can hold up the recovery from another one.
DISTURBING = MODEL_FAULTS | REDIS_FAULTS | WORKER_FAULTS | {"stall"}


class Recovery(NamedTuple):
    """How long it took until something went on after a fault."""

    what: str
    job_id: str
    fault: Fault
    seconds: float
    bound: float
    #: Whether another fault was in the way.
    disturbed: bool


@dataclass(frozen=True)
class Figure:
    """Recoveries of one sort, in one line."""

    what: str
    count: int
    median: float
    worst: float
    judged: int
    worst_judged: float
    bound: float


def recoveries(history: History) -> list[Recovery]:
    """Every recovery that can be told from the logs and the readings."""
    found: list[Recovery] = []
    for fault in history.faults:
        if fault.name == "kill_worker":
            found += _after_kill(fault, history)
        elif fault.name == "lose_message" and fault.job_id:
            found += _after_loss(fault, history)
        elif fault.name in REDIS_FAULTS:
            found += _after_outage(fault, history)
    return found


def late(found: Iterable[Recovery]) -> list[Wrong]:
    """Recoveries over their bound that no other fault excuses."""
    return [
        Wrong("slow", r.job_id, f"{r.what}: {r.seconds:.2f} s after {r.fault.name}")
        for r in found
        if r.seconds > r.bound and not r.disturbed
    ]


def figures(found: Sequence[Recovery]) -> list[Figure]:
    """One line for each sort."""
    lines = []
    for what in dict.fromkeys(recovery.what for recovery in found):
        group = [recovery for recovery in found if recovery.what == what]
        times = [recovery.seconds for recovery in group]
        judged = [recovery.seconds for recovery in group if not recovery.disturbed]
        lines.append(
            Figure(
                what, len(times), median(times), max(times),
                len(judged), max(judged, default=0.0), group[0].bound,
            )
        )  # fmt: skip
    return lines


def _after_kill(fault: Fault, history: History) -> Iterator[Recovery]:
    """From the worker's SIGKILL to the next token of each job that it ran."""
    for job in history.jobs:
        log = job.stored.log if job.stored else ()
        running = _running_at(log, fault)
        following = next(
            (e for e in log if running and e.kind == "started" and e.seq > running.seq), None
        )
        if following is None:
            continue
        at = _token_after(job, following.seq) or following.data["at"] / 1000
        bound = history.lease_s + 1
        found = _recovery(
            "worker killed, next token", job, fault, at - fault.began, bound, fault.began, history
        )
        crowded = _running_elsewhere(fault, history, fault.began + bound) >= history.slots
        yield found._replace(disturbed=found.disturbed or crowded)


def _running_at(log: Sequence[Entry], fault: Fault) -> Entry | None:
    """The `started` event of the attempt that the killed process was running."""
    lifecycle = [entry for entry in log if "at" in entry.data]
    latest = next((e for e in reversed(lifecycle) if e.data["at"] / 1000 <= fault.began), None)
    mine = latest and str(latest.data.get("worker", "")).endswith(f":{fault.pid}")
    return latest if mine else None


def _running_elsewhere(fault: Fault, history: History, at: float) -> int:
    """Answers of the same model that ran at that time in other processes than the killed one."""
    model = fault.victim.split("-")[1]
    count = 0
    for job in history.jobs:
        lifecycle = [e for e in (job.stored.log if job.stored else ()) if "at" in e.data]
        latest = next((e for e in reversed(lifecycle) if e.data["at"] / 1000 <= at), None)
        count += latest is not None and latest.data.get("model") == model and _runs(latest, fault)
    return count


def _runs(entry: Entry, fault: Fault) -> bool:
    return entry.kind == "started" and not entry.data["worker"].endswith(f":{fault.pid}")


def _token_after(job: Job, seq: int) -> float | None:
    """When a steady reader got the first token behind that number."""
    seen = chain.from_iterable(reading.seen for reading in job.readings if reading.steady)
    times = (s.at for s in seen if s.entry.kind == "token" and s.entry.seq > seq)
    return min(times, default=None)


def _after_outage(fault: Fault, history: History) -> Iterator[Recovery]:
    """From Redis being back to the first token, and the first start, of any job."""
    tokens = [
        (seen.at, job)
        for job in history.jobs
        for reading in job.readings
        for seen in reading.seen
        if reading.steady and seen.entry.kind == "token" and seen.at > fault.ended
    ]
    starts = [
        (entry.data["at"] / 1000, job)
        for job in history.jobs
        for entry in (job.stored.log if job.stored else ())
        if entry.kind == "started" and entry.data["at"] / 1000 > fault.ended
    ]
    for what, times in (("token", tokens), ("start", starts)):
        if times:
            at, job = min(times, key=lambda pair: pair[0])
            text = f"Redis back, next {what}"
            yield _recovery(text, job, fault, at - fault.ended, BACK_S, fault.ended, history)


def _after_loss(fault: Fault, history: History) -> Iterator[Recovery]:
    """From the taking of a message to the next event of its job."""
    for job in history.jobs:
        if job.id == fault.job_id and job.stored:
            times = [e.data["at"] / 1000 for e in job.stored.log if "at" in e.data]
            if after := [at for at in times if at > fault.began]:
                seconds = min(after) - fault.began
                bound = GRACE_S + 2
                yield _recovery(
                    "message lost, next event", job, fault, seconds, bound, fault.began, history
                )


def _recovery(
    what: str, job: Job, fault: Fault, seconds: float, bound: float, since: float, history: History
) -> Recovery:
    disturbed = any(
        other is not fault
        and other.name in DISTURBING
        and other.overlaps(since - CALM_S, since + seconds)
        for other in (*history.faults, *history.stalls)
    )
    return Recovery(what, job.id, fault, seconds, bound, disturbed)
