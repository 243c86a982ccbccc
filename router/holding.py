"""A conversation's memory: attack fast, release slowly. Pure.

A turn that needs more goes to the more capable model at once. A turn that seems to need less
stays where the conversation is, until the words are sure of it or have said so repeatedly: "commit
it" after a hard coding turn is no small talk. And where two routes score alike, the one whose
model has the conversation in its prompt cache is taken.
"""

from dataclasses import dataclass

from fleet.decision import Memory
from router.conversation import SHORT_CHARS, Conversation
from router.verdict import Verdict

#: From the least to the most; a route of one's own counts as the middle.
RANKS = {"fast": 0, "tool": 1, "large": 2}
#: A verdict for less that is at least so sure ends the hold at once.
SURE = 0.85
#: The same for a tool: the most capable model without one does not know today's weather.
SURE_OF_TOOL = 0.6
#: Turns for which a route is held against the words.
MOST_HELD = 2
#: Routes whose scores differ by less are alike.
ALIKE = 0.15


@dataclass(frozen=True, slots=True)
class Held:
    """The route after the conversation was heard."""

    route: str
    confidence: float
    #: Turns for which it was held so far; 0 if the words decide.
    turns: int = 0
    reason: str = ""


def hold(verdict: Verdict, memory: Memory | None, conversation: Conversation) -> Held:
    """The route of a turn, given the verdict on it and what is remembered.

    An external model is never held to: it answers the turns that ask for it.
    """
    own = Held(verdict.route, verdict.confidence)
    if memory is None or memory.route in ("", "claude", verdict.route) or verdict.route == "claude":
        return own
    score = verdict.scores.get(memory.route, 0.0)
    if verdict.confidence - score < ALIKE:
        why = f"the conversation was on {memory.route}, which scores alike"
        return Held(memory.route, verdict.confidence, reason=why)
    if RANKS.get(verdict.route, 1) >= RANKS.get(memory.route, 1):
        return own
    short = len(conversation.last) <= SHORT_CHARS
    sure = SURE_OF_TOOL if verdict.route == "tool" else SURE
    if not short or verdict.confidence >= sure or memory.held >= MOST_HELD:
        return own
    unsure = f"{verdict.route} {verdict.confidence:.2f}"
    why = f"the conversation stays on {memory.route}: {unsure} is not sure enough"
    return Held(memory.route, verdict.confidence, memory.held + 1, why)
