"""The scripts against a model: any moves of anybody, in any order, and what must hold after each.

Routers, workers and reapers may be late, die, or repeat a call whose answer they did not hear;
messages get lost; leases, pauses and deadlines run out (they are set into the past, nobody waits);
jobs are deleted while others work on them, and receivers of webhooks answer as they like.
"""

import asyncio
import hashlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import pytest
from hypothesis import settings as bounds
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from fleet import scripts
from fleet.cache.finding import find
from fleet.cache.kept import Kept
from fleet.dispatch import Dispatcher
from fleet.events import Kind, event_data, text_event
from fleet.job import HandOver, Job, NewJob, Status
from fleet.ledger import Ledger, connect
from fleet.moves.ends import LACKS_MS, REAP_AGAIN_MS, REAP_MOST, UNENDED, WAITING
from fleet.moves.posts import Created
from fleet.moves.routes import Routed
from fleet.moves.runs import Write
from fleet.names import (
    DUE,
    DUE_WEBHOOKS,
    JOBS_PREFIX,
    ROUTER_QUEUE,
    cache_key,
    job_key,
    queue_lists,
    waiting_key,
)
from fleet.settings import Settings
from fleet.webhooks.delivery import Delivery, State
from fleet.webhooks.outbox import Outbox
from fleet.webhooks.schedule import Answer
from tests.ledger_model import (
    CALLER_JOBS,
    FOLLOWERS,
    MAX_ATTEMPTS,
    QUEUE_JOBS,
    Known,
    Lease,
    Model,
    Seen,
    check,
    gist,
    look,
)
from tests.support import decision

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., None])

MODELS: Any = (
    {"name": "fast", "url": "http://127.0.0.1:1"},
    {"name": "tool", "url": "http://127.0.0.1:2"},
)
QUEUES = (ROUTER_QUEUE, "fast", "tool")
PLANS = (("fast", "tool"), ("tool", "fast"), ("fast",))
LONG_S = 3_000
PAST = 1

#: Which of several: 0 is the last one, and any number will do.
pick = st.sampled_from((0, 0, 0, 1, 1, 2, 3, 4, 6, 9))
times = st.sampled_from((1, 1, 2))


@dataclass
class Held:
    """An attempt, as the worker that has it (or had it) sees it."""

    job: Job
    claim: str
    seq: int


class Move(NamedTuple):
    """What somebody does."""

    name: str
    how: dict[str, Any]


MOVES: list[st.SearchStrategy[Move]] = []


def move(weight: int, **how: st.SearchStrategy[Any]) -> Callable[[F], F]:
    """Makes a method a move that is drawn so often among all the others.

    Rules would be drawn all alike, and many are left out of each example: too few would
    come to a job's end.
    """

    def register(method: F) -> F:
        MOVES.extend(  # each a new one: `one_of` would drop the same
            st.builds(Move, st.just(method.__name__), st.fixed_dictionaries(how))
            for _ in range(weight)
        )
        return method

    return register


class LedgerMachine(RuleBasedStateMachine):
    """One example: an empty database, and moves until all has ended."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ledger: Ledger, outbox: Outbox) -> None:
        super().__init__()
        self.loop, self.ledger, self.outbox = loop, ledger, outbox
        self.model = Model(QUEUES)
        #: Jobs that routers hold or held, with the names of their claims; and workers' attempts.
        self.decisions: list[tuple[str, Job]] = []
        self.attempts: list[Held] = []
        #: Jobs as routers have seen them stand in a model's line.
        self.waiting: list[Job] = []
        #: Tries of deliveries, under way or over.
        self.tries: list[Delivery] = []
        #: What somebody has found in the cache last, by the question.
        self.found: dict[str, Kept] = {}
        self.numbers = 0
        self.salt = ""
        #: Whether what was done last has been checked, and all was well.
        self.sound = False

    def do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        self.sound = False
        return self.loop.run_until_complete(coroutine)

    def call(self, *command: str | int) -> Any:
        return self.do(self.ledger.line.call(*command))

    def number(self) -> int:
        self.numbers += 1
        return self.numbers

    def see(self) -> None:
        """Look at Redis after a move."""
        self.seen = self.do(look(self.ledger.line, list(self.model.jobs), QUEUES))

    def checked(self) -> None:
        """Look, and compare with the model."""
        before: Seen = self.seen
        self.see()
        check(self.model, before, self.seen)
        self.sound = True

    def unended(self) -> list[Known]:
        return [job for job in self.model.jobs.values() if not job.ended]

    def leased(self) -> list[Known]:
        return [job for job in self.unended() if job.lease is Lease.LIVE]

    def pending(self) -> list[Known]:
        return [job for job in self.model.jobs.values() if job.delivery is State.PENDING]

    def paused(self) -> list[Known]:
        return [job for job in self.unended() if job.paused and not job.pause_over]

    @initialize(
        salt=st.integers(0, 255),
        begun=st.lists(st.sampled_from(PLANS), max_size=4),
        answered=st.sampled_from((0, 1, 1)),
    )
    def begin(self, salt: int, begun: list[tuple[str, ...]], answered: int) -> None:
        """An empty database; some questions are answered, some workers have a job already.

        Ids are in no order, as they are at random, but the same when an example is repeated.
        """
        self.salt = str(salt)
        self.call("FLUSHDB")
        self.see()
        self.sound = True
        for _ in range(answered):
            self.post("c", 3, ("fast",), None, "x", 1, 1, True, "q", False)
            self.take_and_route(("fast",), 1)
            self.claim_for("fast", "w2", "", 1)
            self.append(0, 2, False, 0, 1)
            self.finish(0, Status.COMPLETED, 0, 1)
        for number, plan in enumerate(begun):
            hook, ask = bool(number % 2), ("p", "p", None, "p")[number]
            self.post("abca"[number], 3, plan, None, "x", 1, 1, hook, ask, False)
            self.take_and_route(plan, 1)
            self.claim(0, "w1", "http://s", 1)

    @rule(move=st.deferred(lambda: st.one_of(MOVES)))
    def somebody(self, move: Move) -> None:
        """One move: the method of its name, which does nothing where nobody is there to do it."""
        getattr(self, move.name)(**move.how)

    # Posts.

    @move(
        weight=4,
        caller=st.sampled_from("abc"),
        priority=st.sampled_from((3, 3, 0)),
        candidates=st.sampled_from(PLANS),
        key=st.sampled_from((None, None, "k")),
        body=st.sampled_from("xy"),
        jobs=st.sampled_from((1, 2, 4)),
        times=times,
        webhook=st.booleans(),
        ask=st.sampled_from((None, "p", "p", "q")),
        stale=st.booleans(),
    )
    def post(
        self,
        caller: str,
        priority: int,
        candidates: tuple[str, ...],
        key: str | None,
        body: str,
        jobs: int,
        times: int,
        webhook: bool,
        ask: str | None,
        stale: bool,
    ) -> None:
        """`ask`: what it asks, where others ask the same; `stale`: what it has found of the
        answer, somebody found long ago.
        """
        for _ in range(jobs):
            kept = self.find(ask, stale) if ask else None
            job_id = f"job_{hashlib.md5(f'{self.salt} {self.number()}'.encode()).hexdigest()}"
            digest = f"{caller}-{key}" if key else None
            value = f"{job_id} {body}"
            expected = self.model.answer_to_post(caller, priority, candidates, digest, kept)
            for again in range(times):
                outcome = self.do(
                    self.ledger.create(
                        NewJob(
                            job_id,
                            {"messages": []},
                            caller,
                            candidates,
                            LONG_S,
                            priority=priority,
                            start_timeout_s=LONG_S / 2,
                            idempotency=(digest, value) if digest else None,
                            webhook="https://hooks.example/" if webhook else "",
                            cache=kept,
                        )
                    )
                )
                accepted = not expected.refused and not expected.existing
                repeated = accepted and again
                assert outcome == (Created(cache=expected.cache) if repeated else expected)
            if accepted:
                known = Known(job_id, caller, priority, webhook=webhook)
                events = self.do(self.ledger.read_all(job_id))
                log = [(event.kind, gist(event.kind, event.data)) for event in events]
                self.model.posted(known, kept, log)
                if digest:
                    self.model.kept[digest] = value
        self.checked()

    def find(self, ask: str, stale: bool) -> Kept:
        if not stale or ask not in self.found:
            self.found[ask] = self.do(find(self.ledger, ask))
        return self.found[ask]

    @move(weight=1, ask=st.sampled_from("pq"))
    def an_answer_grows_old(self, ask: str) -> None:
        """… after a post has found it, and before that post makes its job."""
        self.find(ask, stale=False)
        self.call("DEL", cache_key(ask))
        self.model.answers.pop(ask, None)
        self.post("c", 3, ("fast",), None, "x", 1, 1, False, ask, True)

    # Routers.

    @move(weight=2, times=times)
    def take(self, times: int) -> None:
        self.wake(ROUTER_QUEUE)
        name = f"r#{self.number()}"
        answers = [self.do(self.ledger.take(name)) for _ in range(times)]
        job = answers[0]
        assert [a.id for a in answers if a] == ([job.id] * times if job else [])
        self.line_was_served(ROUTER_QUEUE, job)
        if job:
            self.model.taken(self.model.jobs[job.id])
            self.decisions.append((name, job))
        self.checked()

    @move(weight=1, pick=pick)
    def take_as_before(self, pick: int) -> None:
        if not self.decisions:
            return
        name, job = self.routers_job(pick)
        again = self.do(self.ledger.take(name))
        undecided = self.model.jobs[job.id].status is Status.QUEUED
        assert (again.id if again else None) == (job.id if undecided else None)
        self.checked()

    @move(weight=2, pick=pick, plan=st.sampled_from(PLANS), times=times)
    def route(self, pick: int, plan: tuple[str, ...], times: int) -> None:
        if not self.decisions:
            return
        _, job = self.routers_job(pick)
        known = self.model.jobs[job.id]
        full = len(self.model.line(plan[0])) >= QUEUE_JOBS
        for _ in range(times):
            outcome = self.do(self.ledger.route(job, decision(*plan, route=plan[0])))
            if known.status is not Status.QUEUED:
                assert outcome is Routed.LATE
            elif known.late:
                assert outcome is Routed.LATE
                self.model.end(known, Status.EXPIRED)
            elif full:
                assert outcome is Routed.FULL
            else:
                assert outcome is Routed.DONE
                known.status, known.lease = Status.ROUTED, Lease.NONE
                known.plan, known.model, known.decided = plan, plan[0], True
                known.tell(("routed", plan[0]))
                known.lead()
                self.model.join(known, plan[0], front=False)
        self.checked()

    @move(weight=5, plan=st.sampled_from(PLANS), jobs=st.integers(1, 3))
    def take_and_route(self, plan: tuple[str, ...], jobs: int) -> None:
        for _ in range(jobs):
            before = len(self.decisions)
            self.take(1)
            if len(self.decisions) > before:
                self.route(0, plan, 1)

    # Workers.

    @move(
        weight=5,
        pick=pick,
        owner=st.sampled_from(("w1", "w2")),
        server=st.sampled_from(("", "http://s", "http://s", "http://t")),
        times=times,
    )
    def claim(self, pick: int, owner: str, server: str, times: int) -> None:
        longest_last = sorted(("fast", "tool"), key=lambda name: len(self.model.line(name)))
        self.claim_for(picked(longest_last, pick), owner, server, times)

    def claim_for(self, model: str, owner: str, server: str, times: int) -> None:
        self.wake(model)
        name = f"{owner}#{self.number()}"
        answers = [self.do(self.ledger.claim(model, owner, name, server)) for _ in range(times)]
        job = answers[0].job if answers[0] else None
        assert [a.job for a in answers if a] == ([job] * times if job else [])
        self.line_was_served(model, job)
        if job:
            known = self.model.jobs[job.id]
            assert known.model == model
            self.model.claimed(known, owner, server)
            self.is_as_known(job)
            self.attempts.append(Held(job, name, job.seq))
        self.checked()

    def is_as_known(self, job: Job) -> None:
        known = self.model.jobs[job.id]
        assert (job.status, job.attempt, job.seq) == (known.status, known.attempt, len(known.log))
        assert (job.generation, job.place) == (known.generation, known.place)
        assert (job.owner, job.model, job.plan) == (known.owner, known.model, known.plan)
        assert (job.streamed, job.released) == (known.streamed, known.released)

    @move(weight=2, pick=pick)
    def claim_as_before(self, pick: int) -> None:
        if not self.attempts:
            return
        held = self.attempt(pick)
        job = held.job
        again = self.do(self.ledger.claim(job.model, job.owner, held.claim, "http://s"))
        if self.model.jobs[job.id].runs_as(job.attempt):
            assert again
            self.is_as_known(again.job)
        else:
            assert again is None
        self.checked()

    @move(
        weight=5,
        pick=pick,
        words=st.integers(1, 3),
        restart=st.booleans(),
        wrong=st.sampled_from((0, 0, 0, -1, 1, 2)),
        times=times,
    )
    def append(self, pick: int, words: int, restart: bool, wrong: int, times: int) -> None:
        if not self.attempts:
            return
        held = self.attempt(pick)
        known = self.model.jobs[held.job.id]
        texts = [f"{held.job.attempt}.{self.number()}" for _ in range(words)]
        log = [("token", text) for text in texts]
        events = [part for text in texts for part in ("token", text_event(text, 1))]
        if restart:
            log = [("restarted", "why"), *log]
            events = [
                *(Kind.RESTARTED, event_data(Kind.RESTARTED, reason="why", model="m")),
                *events,
            ]
        write = Write(held.job, held.seq + wrong, self.number(), events)
        may = known.runs_as(held.job.attempt)
        for again in range(times):
            [result] = self.do(self.ledger.append([write]))
            if not may or (wrong and result < 0):
                assert result == -1
            elif wrong:  # it looks like a write that was repeated: it has changed nothing
                assert result == len(known.log) == write.seq + len(log)
            elif again:
                assert result == held.seq
            else:
                assert result == held.seq + len(log)
                known.tell(*log)
                known.place, known.streamed, known.lease = write.place, True, Lease.LIVE
                known.lead()
                held.seq = result
        self.checked()

    @move(weight=1, pick=pick)
    def renew(self, pick: int) -> None:
        if not self.attempts:
            return
        held = self.attempt(pick)
        known = self.model.jobs[held.job.id]
        assert self.do(self.ledger.renew(held.job)) == known.runs_as(held.job.attempt)
        if known.runs_as(held.job.attempt):
            known.lease = Lease.LIVE
        self.checked()

    @move(
        weight=2,
        pick=pick,
        status=st.sampled_from((Status.COMPLETED, Status.FAILED, Status.INCOMPLETE)),
        wrong=st.sampled_from((0, 0, 0, -1, 1)),
        times=times,
    )
    def finish(self, pick: int, status: Status, wrong: int, times: int) -> None:
        if not self.attempts:
            return
        held = self.attempt(pick)
        known = self.model.jobs[held.job.id]
        may = known.runs_as(held.job.attempt) and not wrong
        usage = (Kind.USAGE, event_data(Kind.USAGE))
        events = [*usage, status.value, event_data(Kind(status.value))]
        seq = held.seq + wrong
        repeats = ended_by(known, held.job.attempt, status, seq)
        for _ in range(times):
            ended = self.do(self.ledger.finish(held.job, seq, status, events, {"usage": {}}))
            assert ended == (may or repeats), known
        if may:
            self.model.end(known, status, ("usage", ""))
        self.checked()

    @move(
        weight=3,
        pick=pick,
        other=st.booleans(),
        free=st.booleans(),
        same=st.booleans(),
        pause_s=st.sampled_from((0.0, 0.0, float(LONG_S))),
        times=times,
    )
    def hand_over(
        self, pick: int, other: bool, free: bool, same: bool, pause_s: float, times: int
    ) -> None:
        if not self.attempts:
            return
        held = self.attempt(pick)
        job, known = held.job, self.model.jobs[held.job.id]
        step = (job.step + other) % len(job.plan)
        how = HandOver(step, "why", [], free=free, same_generation=same, pause_s=pause_s)
        may = known.runs_as(job.attempt)
        for again in range(times):
            assert self.do(self.ledger.hand_over(job, held.seq, how)) == (may and not again)
        if may:
            known.status, known.lease = Status.ROUTED, Lease.NONE
            stays = known.model == job.plan[step]
            known.model, known.moved, known.begun = job.plan[step], True, same
            known.released += free
            known.generation = known.generation if same else ""
            known.tell(("routed", known.model))
            known.lead()
            if pause_s:
                self.model.leave(known)
                known.paused = True
            else:
                self.model.join(known, known.model, front=stays)
        self.checked()

    # Routers, for jobs that wait where nobody asks the model.

    @move(weight=2, model=st.sampled_from(("fast", "tool")))
    def look_into_a_line(self, model: str) -> None:
        ids = self.do(self.ledger.line_of(model, 0, 3))
        assert ids == self.seen.lines[model][:3]
        self.waiting += self.do(self.ledger.summaries(ids))

    @move(weight=3, pick=pick, times=times)
    def divert(self, pick: int, times: int) -> None:
        """What was read of it may be long ago."""
        if not (waiting := [job for job in self.waiting if len(job.plan) > 1]):
            return
        job = picked(waiting, pick)
        known = self.model.jobs[job.id]
        how = HandOver(1 - job.plan.index(job.model), "why", [])
        other = job.plan[how.step]
        free = known.status is Status.ROUTED or (
            known.status is Status.RUNNING and known.lease is Lease.OVER
        )
        stands = known.line == job.model and len(known.log) == job.seq
        may = free and stands and len(self.model.line(other)) < QUEUE_JOBS
        for again in range(times):
            assert self.do(self.ledger.divert(job, how)) == (may and not again)
        if may:
            known.status, known.lease, known.generation = Status.ROUTED, Lease.NONE, ""
            known.model, known.moved = other, True
            known.tell(("routed", other))
            known.lead()
            self.model.join(known, other, front=False)
        self.checked()

    # Whoever does not run the job.

    @move(weight=1, pick=pick, times=times)
    def cancel(self, pick: int, times: int) -> None:
        if not self.model.jobs:
            return
        known = self.any_job(pick)
        for _ in range(times):
            may = not known.ended
            status = Status.CANCELLED if may else known.status
            told = self.do(self.ledger.cancel(known.id))
            assert told == (None if known.deleted else (may, status))
            if may:
                self.model.end(known, Status.CANCELLED)
        self.checked()

    @move(weight=2, pick=pick, goes=st.sampled_from(("cancel", "delete", "expire")))
    def a_leader_goes(self, pick: int, goes: str) -> None:
        if not (leaders := [job for job in self.unended() if job.followers]):
            return
        known = picked(leaders, pick)
        if goes == "delete":
            assert self.do(self.ledger.delete(known.id, known.caller))
            self.model.delete(known)
        elif goes == "cancel":
            assert self.do(self.ledger.cancel(known.id)) == (True, Status.CANCELLED)
            self.model.end(known, Status.CANCELLED)
        else:
            self.call("HSET", job_key(known.id), "deadline_at", PAST, "start_by", PAST)
            assert self.do(self.ledger.expire(known.id)) == (True, Status.EXPIRED)
            self.model.end(known, Status.EXPIRED)
        self.checked()

    @move(weight=1, pick=pick)
    def expire(self, pick: int) -> None:
        if not self.model.jobs:
            return
        known = self.any_job(pick)
        may = not known.ended and known.late
        status = Status.EXPIRED if may else known.status
        told = self.do(self.ledger.expire(known.id))
        assert told == (None if known.deleted else (may, status))
        if may:
            self.model.end(known, Status.EXPIRED)
        self.checked()

    @move(weight=2, pick=pick, even_ended=st.booleans(), times=times)
    def delete(self, pick: int, even_ended: bool, times: int) -> None:
        if not (jobs := [job for job in self.model.jobs.values() if even_ended or not job.ended]):
            return
        known = picked(jobs, pick)
        for _ in range(times):
            assert self.do(self.ledger.delete(known.id, known.caller)) == (not known.deleted)
            self.model.delete(known)
        self.checked()

    @move(weight=1, pick=pick, even_running=st.booleans())
    def fail(self, pick: int, even_running: bool) -> None:
        if not self.model.jobs:
            return
        known = self.any_job(pick)
        allowed = UNENDED if even_running else WAITING
        self.do(self.ledger.fail(known.id, {"code": "x"}, allowed))
        if known.status in allowed or known.lease is Lease.OVER:
            self.model.end(known, Status.FAILED)
        self.checked()

    @move(weight=1, pick=pick, after=st.integers(-1, 12))
    def read(self, pick: int, after: int) -> None:
        if not self.model.jobs:
            return
        known = self.any_job(pick)
        events = self.do(self.ledger.read(known.id, after))
        assert [event.seq for event in events] == list(range(after + 1, len(known.log)))
        kinds = [event.kind for event in events]
        assert kinds == [kind for kind, _ in known.log[after + 1 :]]

    # Webhooks.

    @move(weight=2, most=st.sampled_from((1, 2, 50)))
    def take_deliveries(self, most: int) -> None:
        due = {job.id for job in self.pending() if job.delivery_due}
        taken = self.do(self.outbox.take(most))
        assert {delivery.job_id for delivery in taken} <= due
        assert len(taken) == min(most, len(due))
        for delivery in taken:
            known = self.model.jobs[delivery.job_id]
            known.tries += 1
            known.delivery_due = False
            assert (delivery.attempt, delivery.status) == (known.tries, known.status)
            assert delivery.caller == known.caller
        self.tries += taken
        self.checked()

    @move(weight=3, pick=pick, state=st.sampled_from(tuple(State)), times=times)
    def settle_delivery(self, pick: int, state: State, times: int) -> None:
        if not self.tries:
            return
        delivery = picked(self.tries, pick)
        known = self.model.jobs[delivery.job_id]
        for _ in range(times):
            its_try = delivery.attempt == known.tries or state is State.DELIVERED
            may = known.delivery is State.PENDING and its_try
            assert self.do(self.outbox.settle(delivery, state, Answer(500), LONG_S)) == may
            if may:
                self.model.settled(known, state)
        self.checked()

    @move(weight=1, pick=pick)
    def a_delivery_is_due_again(self, pick: int) -> None:
        """Its pause is over, or the lease of a try whose process has died."""
        if not (jobs := self.pending()):
            return
        self.make_due(picked(jobs, pick))
        self.checked()

    def make_due(self, known: Known) -> None:
        known.delivery_due = True
        self.call("ZADD", DUE_WEBHOOKS, "XX", PAST, known.id)

    @move(weight=1, pick=pick)
    def retry_delivery(self, pick: int) -> None:
        if not self.model.jobs:
            return
        known = self.any_job(pick)
        may = None if known.deleted or not known.webhook else known.ended
        assert self.do(self.outbox.retry(known.id)) == may
        if may:
            self.model.retried(known)
        self.checked()

    @move(weight=1)
    def wake_a_deliverer(self) -> None:
        woken = self.do(self.outbox.wake())
        assert not woken or self.model.jobs[woken].delivery_due
        self.checked()

    # Time, and what is lost.

    @move(weight=2, pick=pick)
    def a_lease_runs_out(self, pick: int) -> None:
        if not (jobs := self.leased()):
            return
        known = picked(jobs, pick)
        self.let_lapse(known)
        self.checked()

    @move(weight=4, pick=pick, only_late=st.booleans())
    def a_holder_is_taken_for_lost(self, pick: int, only_late: bool) -> None:
        """Its job is in line again; where it was only late, it goes on all the same."""
        if not (jobs := self.leased()):
            return
        known = picked(jobs, pick)
        self.let_lapse(known)
        self.reap(1)
        for held in self.attempts:
            if only_late and known.id == held.job.id and known.runs_as(held.job.attempt):
                assert self.do(self.ledger.renew(held.job))
                known.lease = Lease.LIVE
        self.checked()

    def let_lapse(self, known: Known) -> None:
        """Until its lease is over, so that whatever was due before that is due as well."""
        known.lease = Lease.OVER
        if self.seen.due[known.id] <= int(self.seen.records[known.id]["lease_until"]):
            self.call("ZADD", DUE, "XX", PAST, known.id)
        self.call("HSET", job_key(known.id), "lease_until", PAST)

    @move(weight=1, pick=pick, start=st.booleans())
    def a_deadline_passes(self, pick: int, start: bool) -> None:
        if not (jobs := self.unended()):
            return
        known = picked(jobs, pick)
        if not start:
            self.call("HSET", job_key(known.id), "deadline_at", PAST)
            known.deadline_over = True
        self.call("HSET", job_key(known.id), "start_by", PAST)
        known.start_over = True
        if known.late:
            self.call("ZADD", DUE, "XX", PAST, known.id)
        self.checked()

    @move(weight=2, pick=pick)
    def a_pause_ends(self, pick: int) -> None:
        if not (jobs := self.paused()):
            return
        known = picked(jobs, pick)
        self.let_pause_end(known)
        self.checked()

    def let_pause_end(self, known: Known) -> None:
        known.pause_over = True
        self.call("ZADD", f"{DUE}:later", "XX", PAST, known.id)

    @move(weight=4, reapers=st.integers(1, 2))
    def reap(self, reapers: int) -> None:
        async def together() -> list[list[str]]:
            return await asyncio.gather(*(self.ledger.reap() for _ in range(reapers)))

        found = [job_id for ids in self.do(together()) for job_id in dict.fromkeys(ids)]
        assert sorted(found) == sorted(self.model.reaped(found))
        self.checked()

    @move(weight=1)
    def a_reaper_dies_at_once(self) -> None:
        """It has looked, but neither ended a job nor sent a message."""
        late = [job for job in self.unended() if job.late]
        lines = [waiting_key(queue) for queue in QUEUES]
        lists = [key for queue in QUEUES for key in queue_lists(queue)]
        args: list[str | int] = [JOBS_PREFIX, REAP_MOST, REAP_AGAIN_MS, LACKS_MS, 1, *lists]
        self.do(scripts.REAP(self.ledger.line, [DUE, *lines], args))
        for job in self.unended():
            lost = job.lease is Lease.OVER and not job.line and not job.late
            if lost or job.pause_over:
                self.model.back_in_line(job)
                self.model.lost[job.line] += 1
        for job in late:
            self.call("ZADD", DUE, "XX", PAST, job.id)
        self.checked()

    @move(weight=1, queue=st.sampled_from(QUEUES), every=st.booleans())
    def messages_are_lost(self, queue: str, every: bool) -> None:
        self.model.lost[queue] += self.take_messages(queue, 100 if every else 1)
        self.checked()

    @move(weight=1, queue=st.sampled_from(QUEUES))
    def a_line_has_lacked_messages_for_long(self, queue: str) -> None:
        self.model.reaped(self.do(self.ledger.reap()))
        self.checked()
        self.mend(queue)
        self.checked()

    # How it is done.

    def any_job(self, pick: int) -> Known:
        """A job; those that have not ended are the first choice."""
        return picked(sorted(self.model.jobs.values(), key=lambda job: not job.ended), pick)

    def routers_job(self, pick: int) -> tuple[str, Job]:
        """A job that a router has or had, with its claim; those undecided are the first choice."""
        jobs = self.model.jobs
        undecided = sorted(self.decisions, key=lambda d: jobs[d[1].id].status is Status.QUEUED)
        return picked(undecided, pick)

    def attempt(self, pick: int) -> Held:
        """An attempt; those that have their job are the first choice."""
        jobs = self.model.jobs
        by_right = sorted(self.attempts, key=lambda a: jobs[a.job.id].runs_as(a.job.attempt))
        return picked(by_right, pick)

    def take_messages(self, queue: str, count: int) -> int:
        taken = 0
        for key in queue_lists(queue):
            while taken < count and self.call("RPOP", key):
                taken += 1
        return taken

    def wake(self, queue: str) -> None:
        """A process takes a message, if there is one. (It asks for a job all the same.)"""
        self.take_messages(queue, 1)

    def line_was_served(self, queue: str, job: Job | None) -> None:
        """Whoever left the line did so in the order in which it stood."""
        after = self.call("ZRANGE", waiting_key(queue), 0, -1)
        assert job or not after
        assert after == self.model.served(queue, self.seen, job.id if job else None)

    def mend(self, queue: str) -> None:
        """Where a line is seen to lack messages, let that be long ago."""
        if self.call("HEXISTS", f"{waiting_key(queue)}:turns", "lacks_since"):
            self.call("HSET", f"{waiting_key(queue)}:turns", "lacks_since", PAST)
            self.do(self.ledger.reap())
        self.model.lost[queue] = 0

    def teardown(self) -> None:
        """Whoever holds a job has died; honest routers and workers bring all to their ends."""
        if not self.sound:
            return
        for _ in range(4 * len(self.model.jobs) + 4):
            if not self.unended():
                break
            self.time_passes()
            while self.wake_and_route():
                pass
            for model in ("fast", "tool"):
                while self.wake_and_answer(model):
                    pass
        assert self.unended() == []
        for known in self.pending():
            self.make_due(known)
        self.take_deliveries(1_000)
        for delivery in self.tries:
            self.do(self.outbox.settle(delivery, State.DELIVERED, Answer(200)))
        patterns = ("fleet:waiting*", "fleet:due*", "*:followers", "*:flight")
        left = [key for pattern in patterns for key in self.call("KEYS", pattern)]
        left = [key for key in left if not key.endswith(":looked")]
        assert left == []

    def time_passes(self) -> None:
        for known in self.leased():
            self.let_lapse(known)
        for known in self.paused():
            self.let_pause_end(known)
        self.model.reaped(self.do(self.ledger.reap()))
        self.checked()
        for queue in QUEUES:
            self.mend(queue)
        self.checked()

    def wake_and_route(self) -> bool:
        if not self.seen.messages[ROUTER_QUEUE]:
            return False
        before = len(self.decisions)
        self.take(1)
        if len(self.decisions) > before:
            for plan in PLANS:
                self.route(0, plan, 1)
        return True

    def wake_and_answer(self, model: str) -> bool:
        if not self.seen.messages[model]:
            return False
        before = len(self.attempts)
        self.claim_for(model, "w3", "", 1)
        if len(self.attempts) > before:
            self.append(0, 1, False, 0, 1)
            self.finish(0, Status.COMPLETED, 0, 1)
        return True


def picked(choice: Sequence[T], pick: int) -> T:
    return choice[-1 - pick % len(choice)]


def ended_by(known: Known, attempt: int, status: Status, seq: int) -> bool:
    """Whether a finish looks like the repetition of the one that ended the job. (A failure may
    have been somebody else's: whoever reports one does not ask whose it was.)
    """
    same = known.attempt == attempt and known.status is status and len(known.log) == seq + 2
    return same and not known.deleted


@pytest.mark.timeout(1_800)  # `HYPOTHESIS_PROFILE=long` takes minutes
def test_any_moves_of_anybody_keep_every_promise(redis_url: str) -> None:
    limits: Any = {"queue_jobs": QUEUE_JOBS, "caller_jobs": CALLER_JOBS}
    workers: Any = {"lease_s": LONG_S, "max_attempts": MAX_ATTEMPTS}
    cache: Any = {"followers": FOLLOWERS}
    settings = Settings(
        redis_url=redis_url, models=MODELS, limits=limits, workers=workers, cache=cache
    )
    line = connect(settings)
    dispatcher = Dispatcher(settings)
    ledger, outbox = Ledger(line, settings, dispatcher), Outbox(line, settings, dispatcher)
    loop = asyncio.new_event_loop()

    class Machine(LedgerMachine):
        def __init__(self) -> None:
            super().__init__(loop, ledger, outbox)

    try:
        run_state_machine_as_test(
            Machine,
            settings=bounds(
                max_examples=bounds().max_examples * 3 // 4, stateful_step_count=50, deadline=None
            ),
        )
    finally:
        loop.run_until_complete(line.aclose())
        loop.close()
