"""The decision log, put together: what was decided on a job, and what came of it. Pure.

An entry has a kind and a JSON object: `decision` (of the router), `outcome` (however the job has
ended), `cost` (what it had cost, where that was known only later), `feedback` (of its caller),
`shadow` (what an arm that decides nothing would have said). Nobody's question or answer is in it.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from fleet.decision import Decision


class Entry(NamedTuple):
    """One entry as it stands in the log. `at` is in ms of Redis' clock."""

    at: int
    kind: str
    data: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job has ended. None stands for what never was, or what no server has told."""

    #: When, in ms of Redis' clock; the other times count from the job's making.
    at: int
    status: str
    model: str | None
    route: str | None
    #: Until a worker has begun it, until the first token, until the end.
    wait_ms: int | None
    first_token_ms: int | None
    total_ms: int | None
    prompt_tokens: int | None
    completion_tokens: int | None
    attempt: int
    #: Failures of models on the way.
    failed_over: int
    experiment: str | None
    arm: str | None
    #: US dollars; None: not known, or its model has no price.
    cost_usd: float | None = None
    #: Where the answer came from instead of a model; see `Job.cache`.
    cache: str | None = None
    #: How long the job was expected to wait.
    predicted_wait_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """What a job had cost in the end, where its calls went on after it."""

    cost_usd: float


@dataclass(frozen=True, slots=True)
class Feedback:
    """What the caller has said of a job: the route that it needed, or how good its answer was."""

    at: int
    route: str | None
    rating: int | None
    comment: str | None


@dataclass(frozen=True, slots=True)
class Shadow:
    """What an arm that decides nothing would have said."""

    experiment: str
    arm: str
    route: str
    confidence: float
    took_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row(Decision):
    """A decision, and what came of it. `as_dict` gives all of it for a line of JSON."""

    job: str
    #: When it was decided, in ms of Redis' clock.
    at: int
    caller: str
    #: None: the job has not ended.
    outcome: Outcome | None = None
    #: The last one counts.
    feedback: tuple[Feedback, ...] = ()
    shadows: tuple[Shadow, ...] = ()


@dataclass(frozen=True, slots=True)
class Undecided:
    """The end of a job that no decision stands beside: a cache had its answer, it ended before it
    was routed, or its decision is older than what was read."""

    job: str
    outcome: Outcome
    feedback: tuple[Feedback, ...] = ()


class Joined(NamedTuple):
    """The rows, oldest first, and how many entries could not be read."""

    rows: list[Row]
    unread: int
    undecided: list[Undecided]


_READ: dict[str, TypeAdapter[Any]] = {
    "decision": TypeAdapter(Row),
    "outcome": TypeAdapter(Outcome),
    "cost": TypeAdapter(Cost),
    "feedback": TypeAdapter(Feedback),
    "shadow": TypeAdapter(Shadow),
}


def join(entries: Iterable[Entry]) -> Joined:
    """Put the entries of each job together, whatever their order.

    Of a job whose decision is not among them there is the end alone, with what was said of it.
    An entry of another version that cannot be read is counted.
    """
    said: dict[str, dict[str, list[Any]]] = {}
    unread = 0
    for entry in entries:
        try:
            data = json.loads(entry.data)
            job = str(data["job"])
            value = _READ[entry.kind].validate_python(data)
        except (KeyError, TypeError, ValueError):
            unread += 1
        else:
            said.setdefault(job, {}).setdefault(entry.kind, []).append(value)
    rows = [_row(of_job) for of_job in said.values() if "decision" in of_job]
    undecided = [
        Undecided(job, outcome, _feedback(of_job))
        for job, of_job in said.items()
        if "decision" not in of_job and (outcome := _outcome(of_job))
    ]
    return Joined(sorted(rows, key=lambda row: row.at), unread, undecided)


def _row(said: dict[str, list[Any]]) -> Row:
    shadows = {(shadow.experiment, shadow.arm): shadow for shadow in said.get("shadow", ())}
    decision: Row = said["decision"][0]
    return replace(
        decision,
        outcome=_outcome(said),
        feedback=_feedback(said),
        shadows=tuple(shadows.values()),
    )


def _outcome(said: dict[str, list[Any]]) -> Outcome | None:
    outcome: Outcome | None = said.get("outcome", [None])[0]
    costs = [cost.cost_usd for cost in said.get("cost", ())]
    return replace(outcome, cost_usd=max(costs)) if outcome and costs else outcome


def _feedback(said: dict[str, list[Any]]) -> tuple[Feedback, ...]:
    return tuple(sorted(said.get("feedback", ()), key=lambda one: one.at))
