"""The embedding classifier: a sentence embedding, and a small learned head on it."""

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fleet.errors import ConfigError
from fleet.routing import Router
from router import embedders, features, weights
from router.asks import asked_for_claude, mentions
from router.conversation import SHORT_CHARS, Conversation
from router.examples import DATA
from router.head import Head, Vector, with_ask_signs, with_signs
from router.keywords import UNSPOKEN, read
from router.verdict import Verdict

NAME = "embedding"
#: How much the weights of the words count beside the embedding.
WORDS = 0.5
#: From here on a turn counts as an ask for an external model.
ASKED = 0.45
#: A turn before it that is shorter does not tell what the talk is about.
TELLING_CHARS = 16


_LETTER = re.compile(r"[^\W_]")


@dataclass(frozen=True, slots=True)
class _Heard:
    """One text, embedded and read."""

    vector: Vector
    #: What the layers for routes and domains read.
    given: Vector
    scores: dict[str, float]


class EmbeddingClassifier:
    """Reads the last turn, and a short one together with the turn that it goes on from."""

    name = NAME

    def __init__(self, embedder: embedders.Embedder, head: Head, memory_turns: int = 3) -> None:
        """`memory_turns`: how many turns before the last one are looked at.

        Raises:
            ConfigError: the head was fitted for another embedder.
        """
        if head.embedder != embedder.name:
            raise ConfigError(
                f"the head is for the embedder {head.embedder!r}, the installed one is "
                f"{embedder.name!r}; fit it again with: fleet route fit"
            )
        self.version = head.version
        self.embedder: embedders.Embedder = embedder
        self._head = head
        self._memory_turns = memory_turns

    @property
    def routes(self) -> tuple[str, ...]:
        """The routes that the head knows, without `claude`."""
        return self._head.routes.labels

    def classify(self, conversation: Conversation) -> Verdict:
        """The verdict on the last turn, read in its conversation."""
        last = conversation.last
        if not _LETTER.search(last):
            return self._without_words()
        own = self._hear(last)
        scores = own.scores
        reasons = [f"the embedding says {_in_words(scores)}"]
        if before := self._goes_on_from(conversation):
            together = self._hear(f"{before} {last}").scores
            scores = {route: (score + together[route]) / 2 for route, score in scores.items()}
            reasons = [f"the embedding says {_in_words(scores)}, with the turn before it"]
        ask = self._ask(last, own.vector) if mentions(last) else 0.0
        scores = {route: score * (1 - ask) for route, score in scores.items()} | {"claude": ask}
        if ask >= ASKED:
            words = asked_for_claude(last)
            quoted = f"the words {words!r} ask" if words else "the words ask"
            reasons = [f"{quoted} for an external model ({ask:.2f})"]
        route = "claude" if ask >= ASKED else max(own.scores, key=lambda route: scores[route])
        domains = self._head.domains.scores(own.given)
        return Verdict(
            route,
            scores[route],
            tuple(reasons),
            NAME,
            {route: round(score, 4) for route, score in scores.items()},
            max(domains, key=lambda domain: domains[domain]),
            self.version,
        )

    def _without_words(self) -> Verdict:
        """A picture, a smile, nothing at all: most often small talk."""
        other = (1 - UNSPOKEN) / max(1, len(self.routes) - 1)
        scores = {route: UNSPOKEN if route == "fast" else other for route in self.routes}
        why = ("the turn has no words",)
        return Verdict("fast", UNSPOKEN, why, NAME, scores, "general", self.version)

    def _hear(self, text: str) -> _Heard:
        vector = self.embedder.embed([text])[0]
        reading = read(text)
        given = with_signs(vector, self._head.mean, features.signs(text, reading))
        return _Heard(vector, given, _with_words(self._head.routes.scores(given), reading.text))

    def _ask(self, turn: str, vector: Vector) -> float:
        given = with_ask_signs(vector, self._head.mean, turn)
        return self._head.asks.scores(given)["ask"]

    def _goes_on_from(self, conversation: Conversation) -> str:
        """The turn that tells what a short one is about; empty if it stands alone."""
        *earlier, last = conversation.user_turns or ("",)
        if len(last) > SHORT_CHARS:
            return ""
        near = earlier[::-1][: self._memory_turns]
        return next((turn for turn in near if len(turn) >= TELLING_CHARS), "".join(near[:1]))


def _with_words(scores: Mapping[str, float], text: str) -> dict[str, float]:
    """The scores with the weights of a folded text's words; those know no routes of one's own."""
    logits, known = weights.shipped().logits(text)
    if not known:
        return dict(scores)
    told = weights.shares(logits)
    unknown = max(told.values())
    joint = {
        route: math.log(max(score, 1e-6)) + WORDS * math.log(max(told.get(route, unknown), 1e-6))
        for route, score in scores.items()
    }
    return weights.shares(joint)


def _in_words(scores: dict[str, float]) -> str:
    best = sorted(scores, key=lambda route: -scores[route])[:2]
    return ", ".join(f"{route} {scores[route]:.2f}" for route in best)


def head_path(settings: Router, home: Path) -> Path | None:
    """The head that `fleet route fit` wrote; None if there is none and none is named."""
    if settings.head:
        return Path(settings.head)
    fitted = home / fitted_name(settings)
    return fitted if fitted.is_file() else None


def fitted_name(settings: Router) -> str:
    """The file that `fleet route fit` writes: one for each set of routes of one's own."""
    names = sorted(route.name for route in settings.routes)
    if not names:
        return "route-head.json"
    return f"route-head-{hashlib.sha256(' '.join(names).encode()).hexdigest()[:8]}.json"


def load(settings: Router, home: Path) -> EmbeddingClassifier:
    """Load the best embedder that is installed, and the head for it.

    Raises:
        ConfigError: nothing is installed, or the head cannot be used.
        ImportError, OSError, RuntimeError: an embedder does not work here.
    """
    best = embedders.best()
    path = head_path(settings, home)
    head = Head.read(path) if path else None
    name = head.embedder if head and head.embedder in embedders.installed() else best
    head = head or Head.read(DATA / f"head-{name}.json")
    return EmbeddingClassifier(embedders.load(name, settings.threads), head, settings.memory_turns)
