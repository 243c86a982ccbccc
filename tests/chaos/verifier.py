"""The verdict on a run: pure, and with no word of the product's own code.

It knows what was asked, what was read back and what was done to the system, and
names everything that is wrong. What is right: every accepted job has ended, once, in
a way that its order or a fault explains; its log counts from 0 by one; its text is
the known one; every reader has exactly the log; attempts are bounded and each repeat
has its fault; each end was told to its webhook.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from tests.chaos.history import TERMINAL, Entry, Fault, History, Job, Order, Reading, Shown
from tests.chaos.tellings import wrong_tellings

#: Seconds for which a fault still explains what happens: the longest of the timeouts.
AFTERMATH_S = 8.0
#: Clocks and schedulers are not exact.
SLACK_S = 0.5
#: Within so many seconds after its deadline a job has ended, unless Redis is away.
LATE_S = 3.0
#: What makes the attempts at a model fail, or its worker begin again.
MODEL_FAULTS = frozenset({"kill_model", "hang_model", "freeze_model", "cut_model"})
WORKER_FAULTS = frozenset(
    {"kill_worker", "drain_worker", "freeze_worker", "rolling_restart", "garbage"}
)
REDIS_FAULTS = frozenset({"kill_redis", "hang_redis", "fill_redis", "refuse_writes"})


class Wrong(NamedTuple):
    """One thing that is wrong."""

    kind: str
    job_id: str
    message: str


def judge(history: History) -> list[Wrong]:
    """Everything that is wrong, job by job."""
    found = [wrong for job in history.jobs for wrong in _judge_job(job, history)]
    found += _unasked(history)
    found += [Wrong("webhook", *wrong) for wrong in wrong_tellings(history.jobs, history.told)]
    found += [Wrong("refused", key, answer) for key, answer in history.refused]
    found += [Wrong("remark", "", remark) for remark in history.remarks]
    return found


def _judge_job(job: Job, history: History) -> Iterator[Wrong]:
    def wrong(kind: str, message: str) -> Wrong:
        return Wrong(kind, job.id, message)

    shown = job.shown
    if shown is None or (history.has_log and job.stored is None):
        yield wrong("lost", f"no such job {'in Redis' if shown else 'says the API'}; {job.remark}")
        return
    if shown.status not in TERMINAL:
        yield wrong("lost", f"still {shown.status}; {job.remark}")
        return
    for message in unexpected_end(job, shown, history):
        yield wrong("unexpected", message)
    for message in wrong_text(job.order, shown.status, shown.content):
        yield wrong("text", f"the API's answer: {message}")
    log = job.stored.log if job.stored else ()
    if job.stored:
        if (job.stored.status, job.stored.attempt) != (shown.status, shown.attempt):
            yield wrong("disagree", f"Redis has {job.stored[:2]}, the API {shown[:2]}")
        for kind, check in LOG_CHECKS:
            yield from (wrong(kind, message) for message in check(job, log, shown, history))
    for reading in job.readings:
        for message in wrong_reading(reading, log if history.has_log else None):
            yield wrong("reader", message)
        for message in wrong_text(job.order, shown.status, folded(reading.entries)):
            yield wrong("reader", f"its text: {message}")


def folded(entries: Iterable[Entry]) -> str:
    """The text that a reader of these events has in the end."""
    text: list[str] = []
    for entry in entries:
        if entry.kind == "token":
            text.append(entry.data.get("content", ""))
        elif entry.kind == "restarted":
            text.clear()
    return "".join(text)


def wrong_text(order: Order, status: str, text: str) -> Iterator[str]:
    """A finished answer is the known text; one that was broken off is a beginning of it."""
    whole = status in ("completed", "incomplete")
    if text == order.text or (not whole and order.text.startswith(text)):
        return
    at = next(
        (i for i, (a, b) in enumerate(zip(text, order.text, strict=False)) if a != b),
        min(len(text), len(order.text)),
    )
    yield (
        f"differs at character {at}: {text[at : at + 24]!r} instead of "
        f"{order.text[at : at + 24]!r} ({len(text)} characters, {len(order.text)} are right)"
    )


def gaps(entries: Sequence[Entry]) -> Iterator[str]:
    """Numbers count from 0 by one."""
    for expected, entry in enumerate(entries):
        if entry.seq != expected:
            yield f"number {entry.seq} stands where {expected} should be"
            return


def one_end(entries: Sequence[Entry], status: str) -> Iterator[str]:
    """There is one terminal event, it is the last one, and it is the job's status."""
    ends = [entry.kind for entry in entries if entry.kind in TERMINAL]
    if len(ends) != 1:
        yield f"{len(ends)} terminal events: {', '.join(ends)}"
    elif entries[-1].kind not in TERMINAL:
        yield f"{entries[-1].kind} comes after the end"
    elif ends[0] != status:
        yield f"ends with {ends[0]}, but the status is {status}"


def wrong_reading(reading: Reading, log: Sequence[Entry] | None) -> Iterator[str]:
    """A reader has exactly the log; without one, numbers without a gap up to an end."""
    entries = reading.entries
    if reading.refused:
        yield f"was refused: {reading.refused}"
    yield from gaps(entries)
    if not entries or entries[-1].kind not in TERMINAL:
        yield f"never saw the end ({len(entries)} events)"
    elif log is not None and entries != tuple(log):
        at = next((i for i, (a, b) in enumerate(zip(entries, log, strict=False)) if a != b), -1)
        yield f"{len(entries)} events, {len(log)} in the log; the first other one is {at}"


def unexpected_end(job: Job, shown: Shown, history: History) -> Iterator[str]:
    """An end must follow from the order, or from faults while the job lived."""
    order, status = job.order, shown.status
    if job.cancel_answer and job.cancel_answer != status:
        yield f"the cancel was answered with {job.cancel_answer}, but it is {status}"
    if status == "cancelled" and not job.cancel_answer:
        yield "cancelled, and nobody asked for it"
    if status in ("completed", "incomplete") and (status == "incomplete") != order.capped:
        yield f"{status} with max_tokens={order.body.get('max_tokens')}"
    if status == "expired":
        lived = ((shown.finished_at or 0) - shown.created_at) / 1000
        if lived < order.deadline_s - 0.01:
            yield f"expired after {lived:.2f} s of {order.deadline_s} s"
        elif not order.hurried:
            yield f"not answered within {order.deadline_s} s"
    if (late := _after_deadline(order, shown, history)) > LATE_S:
        yield f"{status} {late:.1f} s after its deadline"
    if status == "failed" and not _explained(shown, history):
        yield f"failed, and no fault explains it: {shown.error}"


def _after_deadline(order: Order, shown: Shown, history: History) -> float:
    """Seconds from the deadline to the end, if Redis was there to note it."""
    due, end = shown.created_at / 1000 + order.deadline_s, (shown.finished_at or 0) / 1000
    away = any(
        fault.name in REDIS_FAULTS and fault.overlaps(due, end, LATE_S) for fault in history.faults
    )
    return 0 if away else end - due


def _explained(shown: Shown, history: History) -> bool:
    """Every attempt that counted against the job has its fault."""
    start, end = shown.created_at / 1000, (shown.finished_at or 0) / 1000
    met = [fault for fault in history.faults if fault.overlaps(start, end, AFTERMATH_S)]
    if (shown.error or {}).get("code") == "too_many_attempts":
        return sum(fault.name in WORKER_FAULTS for fault in met) >= history.max_attempts
    harmed = {fault.victim for fault in met if fault.name in MODEL_FAULTS}
    failed = {failure["model"] for failure in shown.tried}
    return bool(failed) and failed <= harmed


def _log_gaps(_: Job, log: Sequence[Entry], *__: Any) -> Iterator[str]:
    return gaps(log)


def _log_end(_: Job, log: Sequence[Entry], shown: Shown, __: History) -> Iterator[str]:
    return one_end(log, shown.status)


def _log_text(job: Job, log: Sequence[Entry], shown: Shown, _: History) -> Iterator[str]:
    return wrong_text(job.order, shown.status, folded(log))


def _attempts(job: Job, log: Sequence[Entry], shown: Shown, history: History) -> Iterator[str]:
    """Attempts only grow; those that were not handed over in good order are bounded. Who shares
    an answer reads of the attempts of the job that gives it.
    """
    if job.order.doubled:
        return
    numbers = [entry.data["attempt"] for entry in log if entry.kind == "started"]
    handed_over = max(0, sum(entry.kind == "routed" for entry in log) - 1)
    if numbers != sorted(set(numbers)) or (numbers and numbers[-1] > shown.attempt):
        yield f"attempts {numbers}, the last one is {shown.attempt}"
    if shown.attempt - handed_over > history.max_attempts:
        yield f"{shown.attempt} attempts, {handed_over} of them handed over"


def _repeats(job: Job, log: Sequence[Entry], __: Shown, history: History) -> Iterator[str]:
    """Every attempt after the first one has a fault between the two starts, or went on from an
    answer that was shared.
    """
    if job.order.doubled:
        return
    starts = [entry for entry in log if entry.kind == "started"]
    for before, after in pairwise(starts):
        since, until = before.data["at"] / 1000 - SLACK_S, after.data["at"] / 1000 + SLACK_S
        if not any(_repeats_work(fault, since, until) for fault in history.faults):
            yield (
                f"attempt {after.data['attempt']} follows {before.data['attempt']}, "
                "and no fault lies between them"
            )


def _repeats_work(fault: Fault, since: float, until: float) -> bool:
    causes = MODEL_FAULTS | WORKER_FAULTS | REDIS_FAULTS
    return fault.name in causes and fault.overlaps(since, until, AFTERMATH_S)


LogCheck = Callable[[Job, Sequence[Entry], Shown, History], Iterator[str]]
LOG_CHECKS: tuple[tuple[str, LogCheck], ...] = (
    ("gap", _log_gaps),
    ("doubled", _log_end),
    ("text", _log_text),
    ("attempts", _attempts),
    ("unexplained", _repeats),
)


def _unasked(history: History) -> Iterator[Wrong]:
    """Jobs that exist beside the accepted one of their key: a post that was taken twice."""
    accepted = {job.order.key: job.id for job in history.jobs}
    for job_id, key in history.listed:
        if accepted.get(key, job_id) != job_id:
            yield Wrong("doubled", job_id, f"a second job for the key of {accepted[key]}")
