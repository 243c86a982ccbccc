"""Classifiers one after the other: each stands in for the one before it."""

import logging
import threading
from collections.abc import Sequence
from dataclasses import replace

from fleet.errors import FleetError
from router.asks import mentions
from router.conversation import Conversation
from router.keywords import KeywordClassifier
from router.verdict import Classifier, Verdict

#: Held out, such verdicts of the words are right as often as those of the embedding (0.91).
QUICK_SURE = 0.9
#: Of fewer characters nobody can be sure.
QUICK_CHARS = 6

log = logging.getLogger(__name__)


class Failures:
    """What went wrong with classifiers, for `/health`. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: dict[str, str] = {}

    def note(self, name: str, error: Exception, *, reading: bool = False) -> str:
        """Remember why a classifier could not speak. Returns it in words.

        What a package raises while `reading` somebody's words may quote them: then only the
        kind of error is told.
        """
        kind = type(error).__name__
        why = error.message if isinstance(error, FleetError) else f"{kind}: {error}"
        if reading and not isinstance(error, FleetError):
            why = kind
        with self._lock:
            known = self._last.get(name)
            self._last[name] = why
        if known != why:
            log.warning("classifier %s: %s", name, why)
        return why

    def healed(self, name: str) -> None:
        """It spoke again."""
        with self._lock:
            self._last.pop(name, None)

    def as_dict(self) -> dict[str, str]:
        """The classifiers that do not work now, and why."""
        with self._lock:
            return dict(self._last)


class Cascade:
    """Asks the first classifier; where it fails, the next; keywords never do.

    `quick`, if there is one, is asked before them about a conversation's first turn: where it
    is surer than `QUICK_SURE`, its word is as good as theirs and costs a hundredth. `asks` is
    asked before members that know no ask for Claude, where a turn names it. Where the
    verdict is less sure than `threshold`, `second` gets a look, if there is one.
    """

    name = "cascade"

    def __init__(
        self,
        members: Sequence[Classifier],
        failures: Failures,
        *,
        quick: Classifier | None = None,
        asks: Classifier | None = None,
        second: Classifier | None = None,
        threshold: float = 0.0,
    ) -> None:
        self._members = tuple(members)
        self._floor = KeywordClassifier()
        self._failures = failures
        self._quick = quick
        self._asks = asks
        self._second = second
        self._threshold = threshold

    @property
    def version(self) -> str:
        """The version of the first member."""
        return next((member.version for member in self._members), self._floor.version)

    def classify(self, conversation: Conversation) -> Verdict:
        """The first verdict there is. Raises nothing."""
        if verdict := self._at_once(conversation):
            return verdict
        notes: list[str] = []
        verdict = self._first(conversation, notes)
        if self._second and verdict.route != "claude" and verdict.confidence < self._threshold:
            found = self._ask(self._second, conversation, notes)
            if found:
                notes += verdict.reasons
                verdict = replace(found, domain=verdict.domain)
        return replace(verdict, reasons=(*verdict.reasons, *notes)) if notes else verdict

    def _at_once(self, conversation: Conversation) -> Verdict | None:
        last = conversation.last
        alone = len(conversation.user_turns) == 1 and len(last) >= QUICK_CHARS
        if self._quick is None or not alone or mentions(last):
            return None
        verdict = self._quick.classify(conversation)
        return verdict if verdict.confidence >= QUICK_SURE else None

    def _first(self, conversation: Conversation, notes: list[str]) -> Verdict:
        if self._asks and mentions(conversation.last):
            asked = self._ask(self._asks, conversation, notes)
            if asked and asked.route == "claude":
                return asked
        for member in self._members:
            if verdict := self._ask(member, conversation, notes):
                return verdict
        return self._floor.classify(conversation)

    def _ask(
        self, member: Classifier, conversation: Conversation, notes: list[str]
    ) -> Verdict | None:
        try:
            verdict = member.classify(conversation)
        except Exception as error:  # noqa: BLE001 - whatever it is, the job must go on
            why = self._failures.note(member.name, error, reading=True)
            notes.append(f"{member.name} failed: {why}")
            return None
        self._failures.healed(member.name)
        return verdict
