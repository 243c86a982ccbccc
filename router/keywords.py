"""The keyword classifier: a route from the words of the user's turns. Pure.

It needs nothing but the standard library, and every verdict says which words led to it.
The rules, first match wins:

1. an explicit ask for Claude or GPT in the last turn      -> claude
2. live data, or something to be done                      -> tool
3. careful reasoning, mathematics, a long turn             -> large
4. writing, explaining, plain questions, small talk        -> fast
5. nothing of these: what the turns before it spoke of, else fast

Beside the rule stand the words themselves, each with a learned weight: they decide where no
rule speaks, and may overrule one.
"""

import re
from dataclasses import dataclass

from fleet.tokens import estimate_tokens
from router import lexicon
from router.asks import asked_for_claude
from router.conversation import SHORT_CHARS, Conversation
from router.verdict import ROUTES, Verdict
from router.weights import Weights, shares
from router.weights import shipped as shipped_weights
from router.words import folded

NAME = "keywords"

#: Estimated tokens from which a turn counts as long.
LONG_TOKENS = 120
#: Where a verb stands that says what the whole turn is for.
OPENING_CHARS = 30
#: How sure one may be of a turn for which no rule speaks: most often it is small talk.
UNSPOKEN = 0.47
#: What a rule counts beside the weights of the words, in log odds; one that an earlier turn
#: has spoken, about which the words of a short turn know little.
RULE, EARLIER_RULE = 1.2, 3.0


@dataclass(frozen=True, slots=True)
class Reading:
    """What the lexicon finds in one turn."""

    present: re.Match[str] | None
    topic: re.Match[str] | None
    action: re.Match[str] | None
    reasoning: re.Match[str] | None
    mathematics: re.Match[str] | None
    make: re.Match[str] | None
    plain: re.Match[str] | None
    code: re.Match[str] | None
    creative: re.Match[str] | None
    #: Estimated tokens of the whole turn.
    tokens: int
    #: What was read, in one spelling.
    text: str

    @property
    def makes(self) -> bool:
        """Whether the turn opens with a verb of making or explaining."""
        return self.make is not None and self.make.start() <= OPENING_CHARS

    @property
    def domain(self) -> str:
        """`code`, `creative` or `general`."""
        return "code" if self.code else "creative" if self.creative else "general"


def read(turn: str) -> Reading:
    """Look for every kind of word in a turn."""
    text = folded(turn)
    found = lexicon.find(text)
    return Reading(
        present=found.get("present"),
        topic=found.get("topic"),
        action=found.get("action"),
        reasoning=found.get("reasoning"),
        mathematics=lexicon.MATHEMATICS.search(text),
        make=found.get("make"),
        plain=found.get("plain"),
        code=found.get("code"),
        creative=found.get("creative"),
        tokens=estimate_tokens(turn),
        text=text,
    )


class KeywordClassifier:
    """The rules above, as a classifier."""

    name = NAME

    def __init__(self, memory_turns: int = 3, weights: Weights | None = None) -> None:
        """`memory_turns`: how many turns before the last one are heard. `weights`: what the
        words speak for, if not what comes with the fleet; without routes, rules alone decide.
        """
        self._memory_turns = memory_turns
        self._weights = shipped_weights() if weights is None else weights
        self.version = f"3-{self._weights.version}"

    def classify(self, conversation: Conversation) -> Verdict:
        """The verdict on the last turn; the turns before it say what the talk is about."""
        turns = conversation.user_turns
        last = conversation.last
        judged, seen = _heard(last, turns[:-1][::-1][: self._memory_turns])
        if ask := asked_for_claude(last):
            scores = {route: score * 0.05 for route, score in _spread(judged).items()}
            scores["claude"] = 0.95
            judged = _Judgement("claude", 0.95, f"the words {ask!r} ask for an external model")
        elif self._weights.routes:
            judged, scores = self._weighed(seen.text, judged)
        else:
            scores = _spread(judged)
        return Verdict(
            judged.route, judged.confidence, (judged.why,), NAME, scores, seen.domain, self.version
        )

    def _weighed(self, text: str, judged: "_Judgement") -> "tuple[_Judgement, dict[str, float]]":
        """The rule's judgement, and what the words of the turn say to it."""
        logits, known = self._weights.logits(text)
        if not known:
            return judged, _spread(judged)
        logits[judged.route] += judged.weight
        scores = shares(logits)
        route = max(scores, key=lambda route: scores[route])
        why = judged.why
        if route != judged.route or not judged.weight:
            words = ", ".join(map(repr, self._weights.loudest(known, route)))
            why = f"the words {words} speak for {route}" if words else f"all in all, {route}"
        return _Judgement(route, scores[route], why), scores


def _heard(last: str, before: tuple[str, ...]) -> "tuple[_Judgement, Reading]":
    """The judgement on a turn, or what it inherits from the turns before it; its reading."""
    own, seen = _judge(last)
    if own is None or (own.route == "fast" and _follows_up(last)):
        for turn in before:
            earlier, _ = _judge(turn)
            if earlier and not (earlier.route == "fast" and _follows_up(turn)):
                why = f"goes on with an earlier turn: {earlier.why}"
                sure = earlier.confidence * 0.8
                return _Judgement(earlier.route, sure, why, EARLIER_RULE), seen
    return own or _Judgement("fast", UNSPOKEN, "no rule speaks for it", 0.0), seen


@dataclass(frozen=True, slots=True)
class _Judgement:
    route: str
    #: How often the rule is right.
    confidence: float
    why: str
    #: What it counts beside the words.
    weight: float = RULE


def _spread(judged: _Judgement) -> dict[str, float]:
    """The rest of the certainty is spread over the other routes."""
    others = [route for route in ROUTES if route not in (judged.route, "claude")]
    scores = {route: (1 - judged.confidence) / len(others) for route in others}
    return scores | {judged.route: judged.confidence}


def _follows_up(turn: str) -> bool:
    return len(turn) <= SHORT_CHARS and bool(lexicon.FOLLOW_UP.match(folded(turn)))


def _judge(turn: str) -> tuple[_Judgement | None, Reading]:
    """The first rule that speaks for one turn."""
    seen = read(turn)
    if found := seen.present or (not seen.makes and seen.topic):
        return _Judgement("tool", 0.8, _quote(found, "live data")), seen
    if not seen.makes and (found := seen.action):
        return _Judgement("tool", 0.8, _quote(found, "something to be done")), seen
    if found := seen.reasoning:
        return _Judgement("large", 0.8, _quote(found, "careful reasoning")), seen
    if seen.mathematics:
        return _Judgement("large", 0.85, "it has mathematical notation"), seen
    if seen.tokens >= LONG_TOKENS:
        return _Judgement("large", 0.85, f"the turn is long: about {seen.tokens} tokens"), seen
    if found := seen.make or seen.plain:
        return _Judgement("fast", 0.6, _quote(found, "something simple")), seen
    return None, seen


def _quote(found: re.Match[str], what: str) -> str:
    words = found[0].strip()
    several = " " in words
    return f"the word{'s' * several} {words!r} ask{'s' * (not several)} for {what}"
