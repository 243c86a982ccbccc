"""What the native API's answers look like, for the document at `/openapi.json`. Pure."""

from typing import Any, Literal

from pydantic import BaseModel

from fleet.job import Status


class Urls(BaseModel):
    """Where a job is looked at, followed and cancelled."""

    self: str
    events: str
    cancel: str


class Accepted(BaseModel):
    """A job that was made."""

    id: str
    object: Literal["job"]
    status: Status
    #: Jobs that will be served before it.
    queue_position: int
    #: Seconds until its model begins with it; null: not known.
    predicted_wait_s: float | None
    urls: Urls


class JobSummary(BaseModel):
    """A job without its words. Times in ms since the epoch, null = not yet."""

    id: str
    object: Literal["job"]
    status: Status
    asked_model: str
    model: str | None
    route: str | None
    plan: list[str]
    reasons: list[str]
    confidence: float | None
    classifier: str | None
    runner_up: str | None
    domain: str | None
    experiment: str | None
    arm: str | None
    attempt: int
    priority: int
    created_at: int
    routed_at: int | None
    started_at: int | None
    first_token_at: int | None
    finished_at: int | None
    deadline_at: int
    predicted_wait_s: float | None
    tried: list[dict[str, Any]]
    usage: dict[str, Any] | None
    #: US dollars; null: not known, or its model has no price.
    cost_usd: float | None
    #: What the same tokens would have cost at `[report] compare_with`.
    claude_cost_usd: float | None
    cache: dict[str, Any]
    error: dict[str, Any] | None
    metadata: dict[str, str]


class JobShown(JobSummary):
    """A job with its answer so far, and what its caller has said of it."""

    answer: dict[str, Any]
    finish_reason: str | None
    attempts: list[dict[str, Any]]
    feedback: dict[str, Any] | None


class JobList(BaseModel):
    """The caller's jobs, newest first."""

    object: Literal["list"]
    jobs: list[JobSummary]
    #: Continues the list, as `after`; null at its end.
    next: str | None


class JobStatus(BaseModel):
    """Where a job stands."""

    id: str
    object: Literal["job"]
    status: Status


class JobDeleted(BaseModel):
    """A job that was forgotten."""

    id: str
    object: Literal["job"]
    deleted: bool


class FeedbackTaken(BaseModel):
    """What was said of a job."""

    id: str
    object: Literal["job.feedback"]
    route: str | None
    rating: int | None
    comment: str | None


class HealthShown(BaseModel):
    """How the whole fleet is; without a key the status alone."""

    status: Literal["ok", "degraded", "down"]
    version: str = ""
    redis: str = ""
    router: dict[str, Any] = {}
    models: dict[str, dict[str, Any]] = {}
    #: See `fleet.cache.finding.counts`.
    cache: dict[str, int] = {}
    problems: list[str] = []


class ReadyShown(BaseModel):
    """Whether this process takes jobs."""

    status: Literal["ready", "not ready"]
    reason: str = ""
