"""The attempts at a job, as its log tells of them. Pure.

A worker that is lost says nothing: its attempt is over when the next one begins.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from fleet.errors import TooManyAttempts
from fleet.events import Event, Kind

LOST = "its worker was lost"


@dataclass(slots=True)
class Attempt:
    """One claim of a job by a worker. Times are ms of Redis' clock."""

    attempt: int
    model: str
    worker: str
    started_at: int
    #: None: it goes on, or nobody has noticed yet that its worker is lost.
    ended_at: int | None = None
    #: A terminal kind of event, `handed over` or `lost`.
    ended: str | None = None
    #: Why it did not bring a whole answer.
    reason: str | None = None

    def end(self, at: int, how: str, reason: str | None) -> None:
        """It is over."""
        self.ended_at, self.ended, self.reason = at, how, reason


def attempts(events: Iterable[Event]) -> list[dict[str, Any]]:
    """`{attempt, model, worker, started_at, ended_at, ended, reason}` of each, in order."""
    found: list[Attempt] = []
    for event in events:
        if event.kind == Kind.TOKEN:
            continue
        told = event.payload()
        open_one = found[-1] if found and found[-1].ended is None else None
        if open_one:
            _hear(open_one, event, told)
        if event.kind == Kind.STARTED and told["attempt"]:  # 0: the cache, no model was asked
            found.append(Attempt(told["attempt"], told["model"], told["worker"], told["at"]))
    return [asdict(attempt) for attempt in found]


def _hear(attempt: Attempt, event: Event, told: dict[str, Any]) -> None:
    """What an event says of the attempt that goes on."""
    if event.kind == Kind.STARTED or _given_up(told):
        attempt.end(told["at"], "lost", LOST)
    elif event.kind == Kind.ROUTED:
        attempt.end(told["at"], told.get("ended", "failed"), next(iter(told["reasons"]), None))
    elif event.terminal:
        attempt.end(told["at"], event.kind, _why(attempt, told))


def _given_up(told: dict[str, Any]) -> bool:
    """Whether the job ended because its workers died: the last of them said nothing."""
    return bool((told.get("error") or {}).get("code") == TooManyAttempts.code)


def _why(attempt: Attempt, told: dict[str, Any]) -> str | None:
    own = [f["message"] for f in told.get("tried") or () if f["attempt"] == attempt.attempt]
    said = own or [told.get("reason") or told.get("message")]
    return said[-1] or (told.get("error") or {}).get("message")
