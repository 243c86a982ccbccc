"""The decision on a job: which models answer it, in which order, and why. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


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
    #: Handle of the conversation; empty if it has none.
    conversation: str = ""
    #: Milliseconds that deciding took, Redis not counted.
    took_ms: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """All of it, as JSON can say it."""
        return asdict(self) | {"plan": list(self.plan), "reasons": list(self.reasons)}
