"""What a classifier says, and what a classifier is. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from router.conversation import Conversation

#: The routes that ship with a classifier, from the least to the most capable model.
ROUTES = ("fast", "tool", "large", "claude")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a classifier makes of a conversation."""

    route: str
    #: From 0 (a guess) to 1.
    confidence: float
    reasons: tuple[str, ...]
    classifier: str
    #: The score of each route that the classifier knows, from 0 to 1.
    scores: Mapping[str, float] = field(default_factory=dict)
    #: What the talk is about: `code`, `creative` or `general`; empty if nobody looked.
    domain: str = ""
    version: str = ""

    @property
    def runner_up(self) -> str:
        """The second choice; empty if there is none."""
        others = {route: score for route, score in self.scores.items() if route != self.route}
        best = max(others, key=lambda route: others[route], default="")
        return best if best and others[best] > 0 else ""


class Classifier(Protocol):
    """Finds the route of a conversation.

    `classify` may be called from several threads. What it raises is no reason for a job to
    fail: the next classifier is asked.
    """

    name: str
    #: Changes whenever the same words may get another verdict.
    version: str

    def classify(self, conversation: Conversation) -> Verdict:
        """The verdict on the last turn, read in its conversation."""
        ...
