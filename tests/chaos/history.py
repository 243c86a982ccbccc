"""What a run leaves behind: jobs as asked, as read back and as followed, and the faults."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

TERMINAL = frozenset({"completed", "failed", "cancelled", "expired", "incomplete"})


class Entry(NamedTuple):
    """One event of a job: its number, its kind, its data."""

    seq: int
    kind: str
    data: dict[str, Any]


class Seen(NamedTuple):
    """One event as a reader got it, with the time of its arrival (seconds since the epoch)."""

    at: float
    entry: Entry


@dataclass(frozen=True)
class Order:
    """One job as the load asks for it; what is right for it is known before it is posted."""

    number: int
    #: Its Idempotency-Key; the job carries it in its metadata, too.
    key: str
    #: The body of the post.
    body: dict[str, Any]
    #: The whole answer of the fake model.
    text: str
    #: Seconds until its deadline.
    deadline_s: float
    #: Whether the deadline is so short that it may well pass.
    hurried: bool = False
    #: Whether the answer is longer than its `max_tokens`.
    capped: bool = False
    #: Seconds after the 202 at which the load cancels it.
    cancel_after: float | None = None
    #: How it is read meanwhile: not at all, `steady` or `erratic` (leaves and comes back).
    reader: str = ""
    #: Whether a webhook is to be told of its end.
    webhook: bool = False
    #: Whether it is asked twice at once, at temperature 0: one answer may serve both.
    doubled: bool = False


@dataclass
class Reading:
    """What one reader has recorded."""

    steady: bool
    seen: list[Seen] = field(default_factory=list)
    #: Times that it came back with Last-Event-ID.
    comebacks: int = 0
    #: A reply that no reader should get: a status, or an event that it has no use for.
    refused: str = ""

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The events alone."""
        return tuple(seen.entry for seen in self.seen)


class Shown(NamedTuple):
    """A job as the API shows it in the end."""

    status: str
    attempt: int
    content: str
    created_at: int
    finished_at: int | None
    error: dict[str, Any] | None = None
    tried: tuple[dict[str, Any], ...] = ()
    #: Where its answer came from: `miss` is a model.
    cache: str = ""


class Stored(NamedTuple):
    """A job as Redis holds it in the end."""

    status: str
    attempt: int
    log: tuple[Entry, ...]


class Telling(NamedTuple):
    """One post to the receiver of webhooks."""

    event_id: str
    body: str


@dataclass(frozen=True)
class Job:
    """Everything that is known about one accepted job."""

    id: str
    order: Order
    #: Seconds since the epoch at which the 202 came.
    accepted_at: float
    #: None: the API knows no such job (any more).
    shown: Shown | None
    #: None: Redis holds no such job (any more).
    stored: Stored | None
    readings: tuple[Reading, ...] = ()
    #: The status that the answer to the cancel told.
    cancel_answer: str = ""
    #: What the system itself can say about a job that did not end.
    remark: str = ""


@dataclass(frozen=True)
class Fault:
    """One fault that was done, in seconds since the epoch."""

    name: str
    victim: str
    began: float
    ended: float
    #: The process that was hit, if it was one.
    pid: int = 0
    #: The job whose message was taken, if one was.
    job_id: str = ""

    def overlaps(self, start: float, end: float, lasting: float = 0) -> bool:
        """Whether it, or what it left for so many seconds, falls into that time."""
        return self.began <= end and self.ended + lasting >= start


@dataclass(frozen=True)
class History:
    """All that the verifier looks at."""

    jobs: tuple[Job, ...]
    faults: tuple[Fault, ...]
    #: The store's job ids with the key in the metadata of each, to find what nobody asked for.
    listed: tuple[tuple[str, str], ...] = ()
    #: Posts that were neither accepted nor to be tried again: key and answer.
    refused: tuple[tuple[str, str], ...] = ()
    #: What the receiver of webhooks was told.
    told: tuple[Telling, ...] = ()
    #: Anything else that must not be, as sentences.
    remarks: tuple[str, ...] = ()
    #: When the harness itself stood still, so that its clock says nothing.
    stalls: tuple[Fault, ...] = ()
    max_attempts: int = 5
    lease_s: float = 2.0
    #: Streams at once of one worker.
    slots: int = 8
    #: Whether the system keeps a log per job in Redis that can be read.
    has_log: bool = True
