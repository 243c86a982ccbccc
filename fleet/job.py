"""The job record, its states and the moves between them."""

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Self


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

TERMINAL = frozenset(
    {Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.EXPIRED, Status.INCOMPLETE}
)

#: Terminal states absorb: they have no way out.
MOVES: Mapping[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.ROUTED, Status.CANCELLED, Status.EXPIRED, Status.FAILED}),
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


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it stands in Redis. Times are milliseconds of Redis' own clock; 0 = not yet."""

    #: Fields of the hash but the request, which may be large; `status` first.
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
    #: Models that failed so far: `{model, attempt, code, message}` each.
    tried: tuple[dict[str, Any], ...] = ()
    usage: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Whether the job is in a terminal state."""
        return self.status in TERMINAL

    @classmethod
    def from_hash(cls, job_id: str, raw: Mapping[str, str]) -> Self:
        """Read a record from the strings of its hash."""
        number = {name: int(raw.get(name) or 0) for name in _NUMBERS}
        return cls(
            id=job_id,
            status=Status(raw["status"]),
            request=json.loads(raw["request"]),
            asked_model=raw.get("asked_model", "auto"),
            caller=raw.get("caller", ""),
            model=raw.get("model", ""),
            route=raw.get("route", ""),
            plan=tuple(json.loads(raw.get("plan") or "[]")),
            reasons=tuple(json.loads(raw.get("reasons") or "[]")),
            owner=raw.get("owner", ""),
            streamed=raw.get("streamed") == "1",
            generation=raw.get("generation", ""),
            restart_reason=raw.get("restart_reason", ""),
            tried=tuple(json.loads(raw.get("tried") or "[]")),
            usage=json.loads(raw["usage"]) if raw.get("usage") else None,
            error=json.loads(raw["error"]) if raw.get("error") else None,
            metadata=json.loads(raw.get("metadata") or "{}"),
            **number,
        )

    @classmethod
    def from_summary(cls, job_id: str, values: Sequence[str | None]) -> Self:
        """Read a record, without the request, from the values of the fields `SUMMARY`."""
        named = zip(cls.SUMMARY, values, strict=True)
        raw = {name: value for name, value in named if value is not None}
        return cls.from_hash(job_id, {**raw, "request": "{}"})


_WORDS = (
    "status",
    "asked_model",
    "caller",
    "model",
    "route",
    "plan",
    "reasons",
    "owner",
    "streamed",
    "generation",
    "restart_reason",
    "tried",
    "usage",
    "error",
    "metadata",
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
)

Job.SUMMARY = (*_WORDS, *_NUMBERS)
