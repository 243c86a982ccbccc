"""What must be true of jobs, written from the promises and not from the scripts.

`Model` is told what was asked of the ledger and says what must come of it; `Seen` is
what then stands in Redis; `check` compares the two. Time is no part of the model: a
lease, a pause, a deadline is over once a test has set it into the past.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from fleet.cache.kept import Kept
from fleet.events import TERMINAL_KINDS
from fleet.job import MOVES, TERMINAL, Status
from fleet.line import Line
from fleet.moves.ends import REAP_AGAIN_MS
from fleet.moves.posts import Created
from fleet.names import (
    CACHE_COUNTS,
    DECISIONS,
    DUE,
    DUE_WEBHOOKS,
    ROUTER_QUEUE,
    WEBHOOKS_FAILED,
    WEBHOOKS_LOAD,
    cache_key,
    flight_key,
    job_key,
    jobs_index,
    log_key,
    queue_lists,
    waiting_key,
)
from fleet.records import pairs
from fleet.webhooks.delivery import State
from tests.conftest import is_permanent

QUEUE_JOBS = 6
#: Jobs that may follow one.
FOLLOWERS = 2
#: Routes whose answers are not given again.
LIVE = ("tool",)
CALLER_JOBS = 5
MAX_ATTEMPTS = 2


class Lease(Enum):
    """Whether somebody holds a job."""

    NONE = "none"
    LIVE = "live"
    OVER = "over"


@dataclass
class Known:
    """A job as it must stand."""

    id: str
    caller: str
    priority: int
    status: Status = Status.QUEUED
    #: kind and gist of each event that must be in the log; see `gist`.
    log: list[tuple[str, str]] = field(default_factory=list)
    plan: tuple[str, ...] = ()
    model: str = ""
    owner: str = ""
    #: Whether a router has decided on it itself.
    decided: bool = False
    takes: int = 0
    attempt: int = 0
    #: Whether an attempt has it, or had it until it was handed over in good order.
    begun: bool = False
    #: Whether it has come into its line after its admission.
    moved: bool = False
    released: int = 0
    lease: Lease = Lease.NONE
    #: The queue in whose line it stands; '' if in none.
    line: str = ""
    #: Whether it has come back into that line, and so stands before those that are new there.
    front: bool = False
    #: When it got in line, as a running number.
    joined: int = 0
    #: Jobs of each other caller that may be served before it at most; None: no bound.
    bound: int | None = None
    #: How many were, by caller.
    overtaken: Counter[str] = field(default_factory=Counter)
    paused: bool = False
    pause_over: bool = False
    deadline_over: bool = False
    start_over: bool = False
    streamed: bool = False
    server: str = ""
    generation: str = ""
    place: int = 0
    #: Whether somebody is to be told of its end.
    webhook: bool = False
    #: What has become of the telling; nothing before the end.
    delivery: State | None = None
    delivery_due: bool = False
    tries: int = 0
    deleted: bool = False
    #: What tells its question from others; None: its answer is for nobody else.
    ask: str | None = None
    #: Where its answer comes from instead of a model.
    cache: str = ""
    #: The job that gives its answer, and those to which it gives its own.
    leader: "Known | None" = field(default=None, repr=False)
    followers: "list[Known]" = field(default_factory=list, repr=False)

    @property
    def ended(self) -> bool:
        """Whether nothing may happen to it any more."""
        return self.status in TERMINAL

    @property
    def late(self) -> bool:
        """Whether its time is over: the time to begin it, or once begun, its deadline."""
        return self.deadline_over or (self.start_over and not self.begun)

    def runs_as(self, attempt: int) -> bool:
        """Whether this attempt has the job."""
        return self.status is Status.RUNNING and self.attempt == attempt

    def tell(self, *events: tuple[str, str]) -> None:
        """Its log says so, and that of those who follow it."""
        for job in (self, *self.followers):
            job.log += events

    def lead(self) -> None:
        """Those who follow it stand where it stands."""
        for job in self.followers:
            job.status, job.model, job.plan = self.status, self.model, self.plan
            job.begun, job.streamed = self.begun, self.streamed

    @property
    def screen(self) -> str:
        """The answer that a reader of its log has."""
        kinds = [kind for kind, _ in self.log]
        anew = len(kinds) - kinds[::-1].index("restarted") if "restarted" in kinds else 0
        return "".join(said for kind, said in self.log[anew:] if kind == "token")

    def last(self, kind: str) -> str:
        """What its log has said last of that."""
        return next((said for told, said in reversed(self.log) if told == kind), "")


@dataclass(frozen=True)
class Seen:
    """What stands in Redis."""

    now: int
    ttls: dict[str, int]
    records: dict[str, dict[str, str]]
    logs: dict[str, list[tuple[int, str, str]]]
    #: Ids in the order in which they will be served, for each queue.
    lines: dict[str, list[str]]
    messages: dict[str, int]
    due: dict[str, int]
    later: dict[str, int]
    load: dict[str, int]
    #: Deliveries by their next try, how many each caller has, and those that were given up.
    deliveries: dict[str, int]
    deliveries_load: dict[str, int]
    given_up: list[str]
    #: What the callers' lists of jobs hold.
    listed: list[str]
    #: The decision log: kind, job, and the status that an outcome tells.
    noted: list[tuple[str, str, str]]
    #: The entries of the cache by their keys, and how often they were of use.
    entries: dict[str, str]
    counts: dict[str, int]
    #: Who follows each job.
    followers: dict[str, list[str]]


async def look(line: Line, job_ids: Sequence[str], queues: Sequence[str]) -> Seen:
    """Read everything, in two round trips."""
    lists = [key for queue in queues for key in queue_lists(queue)]
    zsets = [DUE, f"{DUE}:later", DUE_WEBHOOKS]
    keys = await line.call("KEYS", "fleet:*")
    cached = [key for key in keys if key.startswith(cache_key("")) and key != CACHE_COUNTS]
    followed = [key for key in keys if key.endswith(":followers")]
    answers = iter(
        await line.calls(
            [
                ("TIME",),
                *(("HGETALL", job_key(job_id)) for job_id in job_ids),
                *(("XRANGE", log_key(job_id), "-", "+") for job_id in job_ids),
                *(("ZRANGE", waiting_key(queue), 0, -1) for queue in queues),
                *(("LLEN", key) for key in lists),
                *(("ZRANGE", key, 0, -1, "WITHSCORES") for key in zsets),
                *(("HGETALL", key) for key in (f"{DUE}:load", WEBHOOKS_LOAD)),
                ("ZRANGE", WEBHOOKS_FAILED, 0, -1),
                *(("ZRANGE", key, 0, -1) for key in keys if key.startswith(jobs_index(""))),
                ("XRANGE", DECISIONS, "-", "+"),
                *(("GET", key) for key in cached),
                ("HGETALL", CACHE_COUNTS),
                *(("LRANGE", key, 0, -1) for key in followed),
                *(("TTL", key) for key in keys),
            ]
        )
    )
    seconds, micros = next(answers)
    records = {job_id: pairs(next(answers)) for job_id in job_ids}
    logs = {
        job_id: [(int(at.split("-")[0]), e[1], e[3]) for at, e in next(answers)]
        for job_id in job_ids
    }
    lines = {queue: next(answers) for queue in queues}
    messages = {queue: sum(next(answers) for _ in queue_lists(queue)) for queue in queues}
    due, later, deliveries, load, deliveries_load = (
        {name: int(value) for name, value in pairs(next(answers)).items()} for _ in range(5)
    )
    given_up = next(answers)
    listed = [name for key in keys if key.startswith(jobs_index("")) for name in next(answers)]
    noted = [_noted(entry[1], json.loads(entry[3])) for _, entry in next(answers)]
    entries = {key: next(answers) for key in cached}
    counts = {name: int(value) for name, value in pairs(next(answers)).items()}
    followers = {key.split(":")[2]: next(answers) for key in followed}
    ttls = {key: next(answers) for key in keys}
    now = int(seconds) * 1000 + int(micros) // 1000
    return Seen(
        now, ttls, records, logs, lines, messages, due, later, load,
        deliveries, deliveries_load, given_up, listed, noted, entries, counts, followers,
    )  # fmt: skip


def _noted(kind: str, data: dict[str, str]) -> tuple[str, str, str]:
    return kind, data["job"], data.get("status", "")


def gist(kind: str, data: str) -> str:
    """What tells an event from others of its kind."""
    payload = json.loads(data)
    assert payload["type"] == kind
    told = {"token": "content", "started": "attempt", "routed": "model", "restarted": "reason"}
    return str(payload[told[kind]]) if kind in told else ""


def ask_of(kept: Kept) -> str:
    """The question of an entry."""
    return kept.key.removeprefix(cache_key(""))


class Model:
    """All jobs that were accepted."""

    def __init__(self, queues: Sequence[str]) -> None:
        self.queues = queues
        self.jobs: dict[str, Known] = {}
        #: The value that was kept under each idempotency key.
        self.kept: dict[str, str] = {}
        #: Messages that were lost, by queue, as long as the line there has not been mended.
        self.lost = Counter[str]()
        #: The job that has the answer to each question, and the one that is giving it.
        self.answers: dict[str, str] = {}
        self.flights: dict[str, str] = {}
        #: How questions that others may ask were answered.
        self.counts = Counter[str]()
        self._joins = 0
        #: Who has had a turn in a line (queue, priority, caller) since nobody stood there, and
        #: who left one without waiting for its turn.
        self._known_in_line: set[tuple[str, int, str]] = set()
        self._withdrew: set[tuple[str, int, str]] = set()

    def line(self, queue: str) -> list[Known]:
        """The jobs in a queue's line, in no order."""
        return [job for job in self.jobs.values() if job.line == queue]

    def load(self, caller: str) -> int:
        """How many of a caller's jobs have not ended."""
        return sum(job.caller == caller and not job.ended for job in self.jobs.values())

    def answer_to_post(
        self,
        caller: str,
        priority: int,
        candidates: Sequence[str],
        key: str | None,
        kept: Kept | None,
    ) -> Created:
        """What a post must be told that has found this of its answer."""
        if key in self.kept:
            earlier = self.jobs[self.kept[key].partition(" ")[0]]
            if not earlier.deleted:
                return Created(existing=self.kept[key], cache=earlier.cache)
        if self.source(kept):
            return Created(cache="hit")
        if self.load(caller) >= CALLER_JOBS:
            return Created(too_many=self.load(caller))
        if self.leader(kept, priority):
            return Created(cache="shared")
        undecided = len(self.line(ROUTER_QUEUE))
        shortest = max(undecided, min(len(self.line(model)) for model in candidates))
        if undecided >= QUEUE_JOBS:
            return Created(full=undecided)
        return Created(full=shortest) if shortest >= QUEUE_JOBS else Created()

    def source(self, kept: Kept | None) -> Known | None:
        """The job that has the answer, if it is still the one that was found."""
        if not kept or not kept.source or self.answers.get(ask_of(kept)) != kept.source:
            return None
        return self.jobs[kept.source]

    def leader(self, kept: Kept | None, priority: int) -> Known | None:
        """The job that is giving the answer, for one that would not come before it."""
        leader = self.jobs.get(self.flights.get(ask_of(kept), "")) if kept else None
        if leader is None or len(leader.followers) >= FOLLOWERS:
            return None
        return leader if leader.status is Status.RUNNING or leader.priority <= priority else None

    def posted(self, job: Known, kept: Kept | None, log: list[tuple[str, str]]) -> None:
        """A post was accepted; `log` is what the job's log says now."""
        self.jobs[job.id] = job
        job.ask = ask_of(kept) if kept else None
        job.log = [("queued", "")]
        if source := self.source(kept):
            self._hit(job, source, log)
        elif leader := self.leader(kept, job.priority):
            self._follow(job, leader, log)
        else:
            if job.ask:
                self.flights[job.ask] = job.id
            self.join(job, ROUTER_QUEUE, front=False)

    def _hit(self, job: Known, source: Known, log: list[tuple[str, str]]) -> None:
        kinds = [kind for kind, _ in log if kind != "token"]
        assert kinds == ["queued", "routed", "started", "usage", "completed"]
        job.log, job.cache, job.streamed = log[:-1], "hit", True
        assert job.screen == source.screen
        assert (job.last("routed"), job.last("started")) == (source.model, "0")
        self.end(job, Status.COMPLETED)

    def _follow(self, job: Known, leader: Known, log: list[tuple[str, str]]) -> None:
        """However it was told, it knows as much as the leader's readers."""
        job.log, job.cache, job.leader = log, "shared", leader
        assert log[0] == ("queued", "")
        assert job.screen == leader.screen
        for kind in ("routed", "started"):
            assert job.last(kind) == leader.last(kind)
        leader.followers.append(job)
        leader.lead()

    def join(self, job: Known, queue: str, *, front: bool = True) -> None:
        """A job gets in line; one that was served before, at the front."""
        self.leave(job)
        self._joins += 1
        job.paused = job.pause_over = False
        job.line, job.front, job.joined = queue, front, self._joins
        job.bound, job.overtaken = None, Counter()
        place = (queue, job.priority, job.caller)
        if front:
            return
        alone = not any(
            other is not job and self._same_rank(other, job) and other.caller == job.caller
            for other in self.line(queue)
        )
        if alone and place not in self._withdrew:
            # Whoever has had its turn in this round may have to wait for the others' turns in
            # this one and in the next.
            job.bound = 2 if place in self._known_in_line else 1
        self._known_in_line.add(place)

    def leave(self, job: Known, *, served: bool = False) -> None:
        """A job is in no line any more."""
        if not job.line:
            return
        queue, job.line = job.line, ""
        others = self.line(queue)
        if served and not job.front:
            for other in others:
                if not other.front and other.priority == job.priority:
                    other.overtaken[job.caller] += 1
        elif not job.front:
            self._withdrew.add((queue, job.priority, job.caller))
        if not others:
            self.lost[queue] = 0
            for places in (self._known_in_line, self._withdrew):
                places -= {place for place in places if place[0] == queue}

    def _same_rank(self, a: Known, b: Known) -> bool:
        return a.line == b.line and a.priority == b.priority and a.front == b.front

    def end(self, job: Known, status: Status, *more: tuple[str, str]) -> None:
        """A job ends."""
        was, queue = job.status, job.model or ROUTER_QUEUE
        self.leave(job)
        job.status, job.lease, job.paused = status, Lease.NONE, False
        job.log += [*more, (status.value, "")]
        if job.webhook:
            job.delivery, job.delivery_due = State.PENDING, True
        led, job.followers = job.followers, []
        flies = self.flights.get(job.ask or "") == job.id
        self._answered(job)
        if led and status in (Status.CANCELLED, Status.EXPIRED):
            self._regroup(led, was, queue)
            if flies and job.ask:
                self.flights[job.ask] = led[0].id
            return
        for follower in led:
            follower.leader = None
            self.end(follower, status, *more)

    def _answered(self, job: Known) -> None:
        """What an end means for those who ask the same."""
        if not job.ask:
            return
        if job.leader:
            job.leader.followers.remove(job)
            job.leader = None
        elif self.flights.get(job.ask) == job.id:
            del self.flights[job.ask]
        if job.status in (Status.COMPLETED, Status.INCOMPLETE):
            self.counts[job.cache or "miss"] += 1
        first = bool(job.plan) and job.model == job.plan[0]
        if job.status is Status.COMPLETED and not job.cache and first and job.model not in LIVE:
            self.answers[job.ask] = job.id

    def _regroup(self, led: list[Known], was: Status, queue: str) -> None:
        """The first of those who followed a job leads the others now, in its place."""
        heir, *others = led
        for job in led:
            job.leader = None if job is heir else heir
            if was is Status.RUNNING:
                job.status, job.begun = Status.ROUTED, job.streamed
                job.log.append(("routed", job.model))
        heir.cache, heir.followers, heir.moved = "", others, True
        self.join(heir, queue)

    def delete(self, job: Known) -> None:
        """A job is forgotten, whatever was going on with it."""
        if not job.ended:
            self.end(job, Status.CANCELLED)
        job.log, job.deleted = [], True
        if job.ask and self.answers.get(job.ask) == job.id:
            del self.answers[job.ask]
        job.delivery, job.delivery_due = None, False

    def settled(self, job: Known, state: State) -> None:
        """A try of a delivery is over."""
        if state is State.POSTPONED:
            job.tries -= 1
        else:
            job.delivery = state
        job.delivery_due = False

    def retried(self, job: Known) -> None:
        """A delivery is to be tried now, as if for the first time if it was over."""
        if job.delivery is not State.PENDING:
            job.tries = 0
        job.delivery, job.delivery_due = State.PENDING, True

    def served(self, queue: str, before: Seen, got: str | None) -> list[str]:
        """Jobs have left a line as their turn was, down to the one that was given to whoever
        asked; the others may not be run (any more). Gives the line that is left.
        """
        line = list(before.lines[queue])
        while line:
            job = self.jobs[line.pop(0)]
            self.leave(job, served=True)
            followers = list(job.followers)
            fresh = job.status is (Status.QUEUED if queue == ROUTER_QUEUE else Status.ROUTED)
            lost = job.status is Status.RUNNING and job.lease is Lease.OVER
            may_run = (fresh or lost) and not job.late and not self._poisoned(job)
            assert may_run == (job.id == got)
            if job.late and (fresh or lost):
                self.end(job, Status.EXPIRED)
            elif (fresh or lost) and self._poisoned(job):
                self.end(job, Status.FAILED)
            if followers and followers[0].line == queue:
                self._in_front(line, followers[0], before)
            if job.id == got:
                return line
        assert got is None
        return line

    def _in_front(self, line: list[str], heir: Known, before: Seen) -> None:
        """It takes its place among those at the front: the oldest first."""

        def rank(job: Known) -> tuple[int, bool, int, str]:
            made = int(before.records[job.id]["created_at"]) if job.front else 0
            return (job.priority, not job.front, made, job.id if job.front else "")

        ahead = [job_id for job_id in line if rank(self.jobs[job_id]) < rank(heir)]
        line.insert(len(ahead), heir.id)

    def _poisoned(self, job: Known) -> bool:
        if job.status is Status.QUEUED:
            return job.takes >= MAX_ATTEMPTS
        return job.attempt + 1 - job.released > MAX_ATTEMPTS

    def taken(self, job: Known) -> None:
        """A router has it."""
        job.takes += 1
        job.lease = Lease.LIVE

    def claimed(self, job: Known, owner: str, server: str) -> None:
        """A worker has it."""
        job.status, job.lease, job.owner = Status.RUNNING, Lease.LIVE, owner
        job.attempt += 1
        job.begun = True
        job.tell(("started", str(job.attempt)))
        job.lead()
        if not server or not job.generation or server != job.server:
            job.server, job.place = server, 0
            job.generation = f"{job.id}.{job.attempt}" if server else ""

    def reaped(self, found_in_order: Sequence[str]) -> set[str]:
        """Somebody has looked for what is due, and come upon these; the jobs for which
        something was.
        """
        found = set()
        order = {job_id: place for place, job_id in enumerate(found_in_order)}
        for job in sorted(self.jobs.values(), key=lambda job: order.get(job.id, -1)):
            lost = job.lease is Lease.OVER and not job.line
            if job.ended or not (job.late or lost or job.pause_over):
                continue
            found.add(job.id)
            if job.late:
                self.end(job, Status.EXPIRED)
            else:
                self.back_in_line(job)
        return found

    def back_in_line(self, job: Known) -> None:
        """The reaper puts a lost job to the front, one whose pause is over to its turn."""
        job.moved = True
        self.join(job, job.model or ROUTER_QUEUE, front=not job.pause_over)


def check(model: Model, before: Seen, seen: Seen) -> None:
    """Whether Redis holds what it must, and nothing else."""
    for job in model.jobs.values():
        _check_record(job, before.records.get(job.id), seen.records[job.id])
        _check_log(job, seen.logs[job.id])
        _check_findable(job, seen)
    for queue in model.queues:
        _check_line(model, queue, seen.lines[queue])
        assert seen.messages[queue] + model.lost[queue] >= len(seen.lines[queue]), queue
    loads = Counter(job.caller for job in model.jobs.values() if not job.ended)
    assert seen.load == loads
    assert all(unended <= CALLER_JOBS for unended in seen.load.values())
    assert seen.due.keys() == {job.id for job in model.jobs.values() if not job.ended}
    assert seen.later.keys() == {job.id for job in model.jobs.values() if job.paused}
    _check_deliveries(model, seen)
    _check_deleted(model, seen)
    _check_noted(model, seen)
    _check_cache(model, seen)
    immortal = {key for key, ttl in seen.ttls.items() if ttl == -1}
    assert {key for key in immortal if not is_permanent(key)} == set()


def _check_deliveries(model: Model, seen: Seen) -> None:
    """Whether each end that is not told yet is due now or later, and counted for its caller."""
    pending = [job for job in model.jobs.values() if job.delivery is State.PENDING]
    assert seen.deliveries.keys() == {job.id for job in pending}
    assert seen.deliveries_load == Counter(job.caller for job in pending)
    for job in pending:
        assert (seen.deliveries[job.id] <= seen.now) == job.delivery_due
    given_up = {job.id for job in model.jobs.values() if job.delivery is State.FAILED}
    assert set(seen.given_up) == given_up


def _check_deleted(model: Model, seen: Seen) -> None:
    """Whether callers find their jobs but for those that were deleted, of which no key is left."""
    assert sorted(seen.listed) == sorted(job.id for job in model.jobs.values() if not job.deleted)
    for job in model.jobs.values():
        assert not (job.deleted and any(job.id in key for key in seen.ttls)), job


def _check_cache(model: Model, seen: Seen) -> None:
    """Whether each answer can be found again, and whoever follows a job hears of all it says."""
    entries = {cache_key(ask): job_id for ask, job_id in model.answers.items()}
    flights = {flight_key(ask): job_id for ask, job_id in model.flights.items()}
    assert seen.entries == entries | flights
    counted = ("hit", "shared", "miss")
    assert {name: seen.counts.get(name, 0) for name in counted} == {
        name: model.counts[name] for name in counted
    }
    led = {job.id: [each.id for each in job.followers] for job in model.jobs.values()}
    assert seen.followers == {job_id: ids for job_id, ids in led.items() if ids}
    for job in model.jobs.values():
        record = seen.records[job.id]
        assert int(record.get("followers", 0)) == len(job.followers)
        assert record.get("leader") == (job.leader.id if job.leader else None)
        assert record.get("cache", "") == (job.cache if record else "")
        for follower in job.followers:
            assert (follower.screen, follower.status) == (job.screen, job.status)


def _check_record(job: Known, old: dict[str, str] | None, record: dict[str, str]) -> None:
    if job.deleted:
        assert record == {}
        return
    status = Status(record["status"])
    assert (status, int(record["attempt"])) == (job.status, job.attempt)
    if old:
        was = Status(old["status"])
        assert status is was or status in MOVES[was]
        assert int(record["attempt"]) >= int(old["attempt"])
    assert int(record["seq"]) == len(job.log)
    assert record.get("owner", "") == (job.owner if status is Status.RUNNING else "")
    assert record.get("generation", "") == job.generation
    assert int(record.get("place", 0)) == job.place
    assert record.get("streamed") == ("1" if job.streamed else None)


def _check_noted(model: Model, seen: Seen) -> None:
    """Whether each decision and each end stands in the decision log, and stands there once."""
    jobs = model.jobs.values()
    decided = Counter(("decision", job.id, "") for job in jobs if job.decided)
    ended = Counter(("outcome", job.id, job.status.value) for job in jobs if job.ended)
    assert Counter(seen.noted) == decided + ended


def _check_log(job: Known, log: list[tuple[int, str, str]]) -> None:
    assert [seq for seq, _, _ in log] == list(range(len(log)))
    kinds = [kind for _, kind, _ in log]
    ends = [place for place, kind in enumerate(kinds) if kind in TERMINAL_KINDS]
    assert ends == ([len(log) - 1] if job.ended and not job.deleted else [])
    assert [(kind, gist(kind, data)) for _, kind, data in log] == job.log


def _check_findable(job: Known, seen: Seen) -> None:
    """Whether somebody will come upon a job that has not ended, now or when its time comes."""
    if job.ended:
        return
    record, due = seen.records[job.id], seen.due[job.id]
    latest = int(record["deadline_at" if job.begun else "start_by"])
    assert due <= max(latest, seen.now + REAP_AGAIN_MS)
    if job.line or job.paused or job.late or job.leader:
        return
    lease = int(record["lease_until"])
    assert due <= lease
    assert (lease > seen.now) == (job.lease is Lease.LIVE)


def _check_line(model: Model, queue: str, ids: list[str]) -> None:
    assert set(ids) == {job.id for job in model.line(queue)}
    order = [model.jobs[job_id] for job_id in ids]
    assert [job.priority for job in order] == sorted(job.priority for job in order)
    assert sum(not job.front and not job.moved for job in order) <= QUEUE_JOBS
    for place, job in enumerate(order):
        ahead = [other for other in order[:place] if other.priority == job.priority]
        if job.front:
            assert all(other.front for other in ahead)
            continue
        new = [other for other in ahead if not other.front]
        assert all(other.joined < job.joined for other in new if other.caller == job.caller)
        if job.bound is not None:
            before = job.overtaken + Counter(other.caller for other in new)
            assert all(jobs <= job.bound for jobs in before.values()), (job, before)
