"""What a job's log says in the end, for APIs that show it in another form. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from api import views
from fleet.errors import DeadlineExceeded, FleetError, JobCancelled, revived
from fleet.events import Answer, Event, Kind, fold


@dataclass(slots=True)
class Outcome:
    """A log so far, or to its end. Times are seconds since the epoch, 0 = not yet."""

    answer: Answer
    #: A terminal kind of event; empty while the job goes on.
    status: str = ""
    created_at: int = 0
    finished_at: int = 0
    #: The model that answers, and the head of an answer that says so.
    model: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    #: prompt_tokens, completion_tokens, total_tokens and the server's own `timings`.
    usage: dict[str, Any] = field(default_factory=dict)
    #: Why there is no whole answer; None: there is one, or one that was cut by its length.
    error: FleetError | None = None

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the conversation."""
        return int(self.usage.get("prompt_tokens") or 0)

    @property
    def completion_tokens(self) -> int:
        """Tokens of the answer."""
        return int(self.usage.get("completion_tokens") or 0)


def outcome(events: Sequence[Event]) -> Outcome:
    """Fold a log, from its first event on."""
    seen = Outcome(fold(events))
    for event in events:
        if event.kind == Kind.QUEUED:
            seen.created_at = event.payload()["at"] // 1000
        elif event.kind == Kind.ROUTED:
            seen.headers |= views.headers(event.payload())
            seen.model = event.payload()["model"]
        elif event.kind == Kind.STARTED:
            seen.model = event.payload().get("model") or seen.model
        elif event.kind == Kind.USAGE:
            seen.usage = event.payload()
        elif event.terminal:
            seen.status = event.kind
            seen.finished_at = event.payload()["at"] // 1000
            seen.error = failure(event)
    if seen.model:
        seen.headers["x-fleet-model"] = seen.model
    return seen


def failure(event: Event) -> FleetError | None:
    """Why a terminal event brought no answer; None: it did.

    The fleet has tried what there is, and a client that posts it again makes another job: the
    SDKs would, by the status alone, if the head did not forbid it.
    """
    error = _failure(event)
    if error:
        error.headers["x-should-retry"] = "false"
    return error


def _failure(event: Event) -> FleetError | None:
    if event.kind == Kind.CANCELLED:
        return JobCancelled()
    if event.kind == Kind.EXPIRED:
        return DeadlineExceeded(event.payload().get("message", ""))
    if event.kind == Kind.FAILED:
        return revived(event.payload().get("error") or {})
    return None
