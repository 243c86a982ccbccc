"""The job record, its states and the moves between them."""

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple, Self

from fleet.cache.kept import Kept


class Status(StrEnum):
    """Where a job stands. The scripts in `lua/` allow exactly the moves in `MOVES`."""

    QUEUED = "queued"
    ROUTED = "routed"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    INCOMPLETE = "incomplete"


_ID = re.compile(r"job_[0-9a-f]{32}")
#: What each API calls a job: its own prefix before the same 32 digits.
PREFIXES = {"jobs": "job_", "chat": "chatcmpl-", "responses": "resp_", "messages": "msg_"}

TERMINAL = frozenset(
    {Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.EXPIRED, Status.INCOMPLETE}
)

#: Terminal states absorb: they have no way out. From `queued` to `completed` goes what the cache
#: answers.
MOVES: Mapping[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset(
        {Status.ROUTED, Status.COMPLETED, Status.CANCELLED, Status.EXPIRED, Status.FAILED}
    ),
    Status.ROUTED: frozenset({Status.RUNNING, Status.CANCELLED, Status.EXPIRED, Status.FAILED}),
    Status.RUNNING: frozenset({Status.ROUTED, Status.RUNNING, *TERMINAL}),
    **{status: frozenset() for status in TERMINAL},
}


def new_job_id() -> str:
    """A fresh id with 128 random bits: who does not know it cannot guess it."""
    return f"job_{secrets.token_hex(16)}"


def is_job_id(text: str) -> bool:
    """Whether it has the form of our ids; only such a text may become part of a key."""
    return _ID.fullmatch(text) is not None


def named_for(api: str, job_id: str) -> str:
    """What an API calls a job."""
    return PREFIXES[api] + job_id.removeprefix("job_")


def job_id_of(text: str) -> str | None:
    """The job that any API's name for it means; None if it is no such name."""
    for prefix in PREFIXES.values():
        if text.startswith(prefix) and is_job_id(job_id := "job_" + text.removeprefix(prefix)):
            return job_id
    return None


def known(field: str, value: int | None) -> tuple[str | int, ...]:
    """A field and its value, as a record keeps them; nothing of what is not known."""
    return () if value is None else (field, value)


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job that is to be made. See `Job` for the fields that both have."""

    id: str
    #: What a backend reads; see `JobRequest.for_model`.
    request: dict[str, Any]
    caller: str
    #: The models of which one must have room in its line.
    candidates: Sequence[str]
    deadline_s: float
    asked_model: str = "auto"
    priority: int = 3
    metadata: dict[str, str] = field(default_factory=dict)
    start_timeout_s: float | None = None
    conversation_id: str = ""
    #: The hashed Idempotency-Key, and the value to keep under it.
    idempotency: tuple[str, str] | None = None
    api: str = "jobs"
    form: dict[str, Any] | None = None
    allowed: tuple[str, ...] = ()
    keep_s: int = 0
    #: URL that is told of its end.
    webhook: str = ""
    #: Unended jobs that the caller may have; 0: `[limits] caller_jobs`.
    concurrent: int = 0
    #: Requests and tokens that the caller has in a minute; 0: no limit.
    rpm: int = 0
    tpm: int = 0
    #: Tokens that the job may take, prompt and answer.
    tokens: int = 0
    #: US dollars, and calls of models that cost some, that the caller has in a day; 0: no limit,
    #: or nothing here costs any.
    budget_usd: float = 0.0
    paid_calls: int = 0
    #: Names of the models that may answer when these are spent; empty: none.
    free: tuple[str, ...] = ()
    #: What there is of the answer already; None: it is not looked for, nor kept.
    cache: Kept | None = None
    #: `wait`, `overflow` or `reject`; empty: as the settings say.
    if_busy: str = ""
    #: Every model would keep it waiting for too long, and it is to be refused then.
    too_busy: bool = False
    predicted_wait_ms: int | None = None

    @property
    def start_within_s(self) -> float:
        """Seconds after which nobody is to begin it any more."""
        return min(self.start_timeout_s or self.deadline_s, self.deadline_s)

    def fields(self) -> list[str | int]:
        """What the record keeps of it, beside what the script writes: field, value, …"""
        return [
            *("request", json.dumps(self.request, separators=(",", ":"))),
            *("asked_model", self.asked_model),
            *("metadata", json.dumps(self.metadata)),
            *("conversation_id", self.conversation_id),
            *("api", self.api),
            *("form", json.dumps(self.form, separators=(",", ":"))),
            *("allowed", json.dumps(self.allowed)),
            *("keep_s", self.keep_s),
            *(("budget_usd", self.budget_usd) if self.budget_usd else ()),
            *(("paid_calls", self.paid_calls) if self.paid_calls else ()),
            *(("if_busy", self.if_busy) if self.if_busy else ()),
            *known("predicted_wait_ms", self.predicted_wait_ms),
        ]


class Glance(NamedTuple):
    """Where a job stands: its status, the number of its next event, whose it is, and where it
    was sent (empty, None: not yet).
    """

    status: Status
    seq: int
    caller: str
    route: str
    model: str
    confidence: float | None
    #: Where the answer comes from instead of a model; see `Job.cache`.
    cache: str


@dataclass(frozen=True, slots=True)
class HandOver:
    """Where a job goes that leaves its attempt, or its line, and why."""

    #: Index into its plan.
    step: int
    reason: str
    #: What has failed so far; see `Job.tried`.
    tried: Sequence[dict[str, Any]]
    #: Whether the attempt does not count towards `max_attempts`.
    free: bool = True
    #: Whether the model server goes on meanwhile, so that the next attempt may resume.
    same_generation: bool = False
    #: Whether this attempt has brought text.
    begun: bool = False
    #: Seconds until the next try.
    pause_s: float = 0.0
    rounds: int = 0

    def fields(self, model: str) -> list[str | int]:
        """What the record says of a job that goes to that model: field, value, …"""
        return [
            *("model", model),
            *("step", self.step),
            *("rounds", self.rounds),
            *("tried", json.dumps(self.tried)),
            *("restart_reason", self.reason),
        ]


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it stands in Redis. Times are milliseconds of Redis' own clock; 0 = not yet."""

    #: Fields of the hash but those that hold the caller's words; `status` first.
    SUMMARY: ClassVar[tuple[str, ...]] = ()

    id: str
    status: Status
    #: What the caller asked for: `messages`, sampling fields, `tools`. See `fleet.request`.
    request: dict[str, Any]
    #: `auto`, or the catalogue name or role the caller named.
    asked_model: str = "auto"
    #: Name of the API key that posted it.
    caller: str = ""
    #: The model whose queue the job is in, or that answers it.
    model: str = ""
    route: str = ""
    plan: tuple[str, ...] = ()
    #: Index into `plan` of `model`.
    step: int = 0
    reasons: tuple[str, ...] = ()
    #: The rest of the decision, as `fleet.decision.Decision` has it; None: not routed yet.
    confidence: float | None = None
    classifier: str = ""
    version: str = ""
    runner_up: str = ""
    scores: dict[str, float] = field(default_factory=dict)
    domain: str = ""
    experiment: str = ""
    arm: str = ""
    conversation: str = ""
    #: What the caller calls the conversation; empty if it has no name for it.
    conversation_id: str = ""
    #: Fencing token: grows by one with every claim.
    attempt: int = 0
    owner: str = ""
    #: Next sequence number of the log.
    seq: int = 0
    #: Whether the current answer has tokens in the log.
    streamed: bool = False
    priority: int = 3
    created_at: int = 0
    routed_at: int = 0
    started_at: int = 0
    first_token_at: int = 0
    finished_at: int = 0
    deadline_at: int = 0
    #: When a job that nobody has begun is given up: its start timeout, or its deadline.
    start_by: int = 0
    #: Claims that do not count towards `max_attempts`: a hand-over, a server that was away.
    released: int = 0
    #: Rounds through the plan in which every model failed.
    rounds: int = 0
    #: What the model server calls the present generation; empty if it cannot be resumed.
    generation: str = ""
    #: Bytes of that generation's stream whose pieces are in the log.
    place: int = 0
    #: Why the text so far will be dropped, when the attempt before ended in good order.
    restart_reason: str = ""
    #: Models that failed so far: `{model, attempt, code, message}` each; `at` and `took_ms` where a
    #: worker had the job, and what a server told beside that: `needs` (tokens), `retry_after_s`.
    tried: tuple[dict[str, Any], ...] = ()
    #: Models that could answer, and that the plan leaves out because they were not to be asked
    #: then: `{model, code, message}` each.
    left_out: tuple[dict[str, Any], ...] = ()
    usage: dict[str, Any] | None = None
    #: US dollars that its calls cost, also those that broke off; None: none is known to have cost
    #: any, or to have a price.
    cost_usd: float | None = None
    #: US dollars that its caller has in a day, and calls that cost some, where there is a limit.
    budget_usd: float | None = None
    paid_calls: int | None = None
    #: Where the answer came from instead of a model: `hit`, `semantic` or `shared`; empty: a model.
    cache: str = ""
    #: Milliseconds that it was expected to wait: when it was posted (the 202 says that one), and
    #: from then on, more exactly, when the router had chosen its model. None: not known.
    predicted_wait_ms: int | None = None
    #: The cache's entry for its answer; empty: it is neither looked for there, nor kept.
    cache_key: str = ""
    #: Where `cache` is `semantic`: the job whose answer it got, and how near their questions are.
    similar_to: str = ""
    similarity: float | None = None
    #: `wait`, `overflow` or `reject`, where its model would keep it waiting; empty: as the
    #: settings say.
    if_busy: str = ""
    error: dict[str, Any] | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    #: What the caller has said of it: `{route, rating, comment}`.
    feedback: dict[str, Any] | None = None
    #: By which API it came: `jobs`, `chat`, `responses`, `messages`.
    api: str = "jobs"
    #: What that API needs to show the job in its own form; holds the caller's words.
    form: dict[str, Any] | None = None
    #: Names of the models that may answer; empty: all of them.
    allowed: tuple[str, ...] = ()
    #: Seconds that it is kept after its end; 0: `[store] retention_s`.
    keep_s: int = 0
    #: URL that is told of its end; may hold the caller's secrets.
    webhook: str = ""
    #: `pending`, `delivered` or `failed`; empty without a webhook.
    webhook_state: str = ""
    #: Tries so far, and what the last one came to: the answer's status, or what kept it away.
    webhook_attempts: int = 0
    webhook_status: int = 0
    webhook_error: str = ""
    #: When it is tried next; 0: the job has not ended, or there is no next time.
    webhook_next_at: int = 0

    @property
    def ended(self) -> bool:
        """Whether the job is in a terminal state."""
        return self.status in TERMINAL

    @property
    def stored(self) -> bool:
        """Whether its caller wants to find it again later (`store` of Responses)."""
        return not self.keep_s

    @classmethod
    def from_hash(cls, job_id: str, raw: Mapping[str, str]) -> Self:
        """Read a record from the strings of its hash."""
        plain: dict[str, Any] = {name: raw.get(name, "") for name in _WORDS}
        plain |= {name: int(raw.get(name) or 0) for name in _NUMBERS}
        plain |= {name: tuple(json.loads(raw.get(name) or "[]")) for name in _LISTS}
        plain |= {name: json.loads(raw.get(name) or "{}") for name in _TABLES}
        plain |= {name: json.loads(raw.get(name) or "null") for name in _MAYBE}
        return cls(
            id=job_id,
            status=Status(raw["status"]),
            request=json.loads(raw["request"]),
            asked_model=raw.get("asked_model", "auto"),
            streamed=raw.get("streamed") == "1",
            **plain,
        )

    @classmethod
    def from_summary(cls, job_id: str, values: Sequence[str | None]) -> Self:
        """Read a record, without the request, from the values of the fields `SUMMARY`."""
        named = zip(cls.SUMMARY, values, strict=True)
        raw = {name: value for name, value in named if value is not None}
        return cls.from_hash(job_id, {**raw, "request": "{}"})


_WORDS = (
    "api",
    "cache",
    "cache_key",
    "caller",
    "if_busy",
    "model",
    "route",
    "classifier",
    "version",
    "runner_up",
    "domain",
    "experiment",
    "arm",
    "conversation",
    "conversation_id",
    "owner",
    "generation",
    "restart_reason",
    "similar_to",
    "webhook",
    "webhook_state",
    "webhook_error",
)
_NUMBERS = (
    "step",
    "attempt",
    "seq",
    "priority",
    "created_at",
    "routed_at",
    "started_at",
    "first_token_at",
    "finished_at",
    "deadline_at",
    "start_by",
    "released",
    "rounds",
    "place",
    "keep_s",
    "webhook_attempts",
    "webhook_status",
    "webhook_next_at",
)
_LISTS = ("plan", "reasons", "tried", "left_out", "allowed")
_TABLES = ("scores", "metadata")
_MAYBE = (
    "confidence",
    "usage",
    "cost_usd",
    "budget_usd",
    "paid_calls",
    "predicted_wait_ms",
    "similarity",
    "error",
    "feedback",
    "form",
)
#: Fields that may hold the caller's words, beside the request.
_SPOKEN = ("feedback", "form", "webhook")

Job.SUMMARY = (
    *("status", "asked_model", "streamed"),
    *(name for name in (*_WORDS, *_NUMBERS, *_LISTS, *_TABLES, *_MAYBE) if name not in _SPOKEN),
)
