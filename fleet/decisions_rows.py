"""The rows of the decision log: a decision, how its job ended, what was said about it. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended. None stands for what never was."""

    status: str
    #: The model that answered, or was the last to try.
    model: str | None = None
    route: str | None = None
    wait_ms: int | None = None
    first_token_ms: int | None = None
    total_ms: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    attempt: int | None = None
    #: How often the job went from one model to the next.
    failed_over: int = 0


@dataclass(frozen=True, slots=True)
class Feedback:
    """What somebody said about a decision."""

    #: The route that would have been right.
    route: str | None
    rating: int | None
    comment: str
    #: Milliseconds of Redis' clock.
    at: int


@dataclass(frozen=True, slots=True)
class Shadow:
    """What an arm that decides nothing would have said."""

    experiment: str
    arm: str
    route: str
    confidence: float
    took_ms: float


@dataclass(frozen=True, slots=True)
class Row:
    """One job in the decision log."""

    job: str
    #: When it was decided, in milliseconds of Redis' clock.
    at: int
    caller: str
    route: str
    model: str
    plan: tuple[str, ...]
    confidence: float
    runner_up: str
    scores: Mapping[str, float]
    reasons: tuple[str, ...]
    classifier: str
    version: str
    domain: str
    experiment: str
    arm: str
    took_ms: float
    conversation: str
    #: None: it has not ended.
    outcome: Outcome | None = None
    #: The latest last.
    feedback: tuple[Feedback, ...] = field(default=())
    shadows: tuple[Shadow, ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """All of it, as JSON can say it."""
        return asdict(self)
