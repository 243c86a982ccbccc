"""The decision on a job: which models answer it, in which order, and why; and what is
remembered of it for the conversation's next turn. Pure.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from fleet.job import known


@dataclass(frozen=True, slots=True)
class Decision:
    """Where a job goes, where it goes next if that fails, and who says so."""

    route: str
    #: The first model of the plan.
    model: str
    #: Names of models in the order in which they are tried.
    plan: tuple[str, ...]
    reasons: tuple[str, ...]
    #: From 0 (a guess) to 1 (the caller said so).
    confidence: float
    #: Who decided the route: `rules`, or the name of the classifier.
    classifier: str
    #: Version of that classifier; empty for rules.
    version: str = ""
    #: The classifier's second choice; empty if it was not asked or knows no other.
    runner_up: str = ""
    #: The classifier's score of each route, from 0 to 1; empty if it was not asked.
    scores: Mapping[str, float] = field(default_factory=dict)
    #: What the conversation is about: `code`, `creative` or `general`; empty if nobody looked.
    domain: str = ""
    #: The experiment that the job takes part in, and its arm; empty if none.
    experiment: str = ""
    arm: str = ""
    #: See `conversation_handle`; empty if the conversation is not remembered.
    conversation: str = ""
    #: Turns for which the conversation's route was held although the words asked for less.
    held: int = 0
    #: Milliseconds that the job is expected to wait for its model; None: not known.
    predicted_wait_ms: int | None = None
    #: Models that could answer and are not asked now: `{model, code, message}` each.
    left_out: tuple[dict[str, Any], ...] = ()
    #: Milliseconds that deciding took, Redis not counted.
    took_ms: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """All of it, as JSON can say it."""
        said = asdict(self).items()
        return {name: list(value) if isinstance(value, tuple) else value for name, value in said}

    def told(self) -> dict[str, Any]:
        """What readers of the job hear of it."""
        told = {
            "route": self.route,
            "model": self.model,
            "plan": self.plan,
            "reasons": self.reasons,
            "confidence": self.confidence,
            "classifier": self.classifier,
        }
        if self.predicted_wait_ms is not None:
            told["predicted_wait_s"] = self.predicted_wait_ms / 1000
        if self.experiment:
            told |= {"experiment": self.experiment, "arm": self.arm}
        return told

    def fields(self) -> list[str | int]:
        """What the job's record keeps of it: field, value, … as `Job.from_hash` reads them."""
        return [
            *("route", self.route),
            *("model", self.model),
            *("plan", json.dumps(self.plan)),
            *("step", self.plan.index(self.model)),
            *("reasons", json.dumps(self.reasons, ensure_ascii=False)),
            *("confidence", json.dumps(self.confidence)),
            *("classifier", self.classifier),
            *("version", self.version),
            *("runner_up", self.runner_up),
            *("scores", json.dumps(dict(self.scores))),
            *("domain", self.domain),
            *("experiment", self.experiment),
            *("arm", self.arm),
            *("conversation", self.conversation),
            *known("predicted_wait_ms", self.predicted_wait_ms),
            *(("left_out", json.dumps(self.left_out)) if self.left_out else ()),
        ]


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered of a conversation: its last decision, and who has answered."""

    route: str
    #: The model that answered last; before that, the one that was to answer.
    model: str
    confidence: float
    #: See `Decision.held`.
    held: int
    #: When it was decided, in ms of Redis' clock.
    at: int


def conversation_handle(caller: str, request: Mapping[str, Any], conversation_id: str = "") -> str:
    """What tells one conversation of a caller's from another: the same for each of its turns.

    It comes of the id that the caller gives, else of the system prompt and the first user
    turn: 32 hex characters, or none where there is neither id nor user turn.
    """
    if conversation_id:
        return _digest(caller, conversation_id)
    opening = []
    for message in request.get("messages") or ():
        role = message.get("role")
        if role in ("system", "developer", "user"):
            opening.append(message.get("content"))
        if role == "user":
            return _digest(caller, opening)
    return ""


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
