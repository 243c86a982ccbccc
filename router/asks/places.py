"""What stands beside a name: the words left and right of it. Pure."""

import re
import unicodedata
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from router.asks import words
from router.asks.names import names
from router.words import excerpt

#: Characters read on each side of a name.
SIDE = 140
#: Characters on each side that a learned model is given.
SIDE_GIVEN = 48
#: Names looked at; more of them in one turn say nothing new.
MOST_NAMES = 8

_TOKEN = re.compile(
    r"[^\W\d_](?:[^\s\W]|['\-\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0900-\u0dff\u0e00-\u0e7f])*|\S|\n"
)
_SENTENCE_ENDS = ".!?\n。！？؟…"
_SENTENCE_END = re.compile(f"[{_SENTENCE_ENDS}]")
#: The danda ends a sentence where it is a token of its own: without a blank it stays with the word.
_DANDA = frozenset("।")
_CLAUSE_ENDS = frozenset(',:;()[]{}<>|—–-、，：；،؛"“”„«»「」『』=/')


class Place(NamedTuple):
    """A name in a text and the sentence around it."""

    text: str
    name: str
    #: The group of the pattern that found it.
    kind: str
    start: int
    end: int
    #: The words and marks of the sentence up to the name, and where each begins.
    before: list[str]
    before_starts: list[int]
    #: Those of its clause up to the name, and where each begins.
    ahead: list[str]
    ahead_starts: list[int]
    #: Those of the sentence after the name, and those of its clause.
    after: list[str]
    right: list[str]
    #: The characters beside it, casefolded.
    left_text: str
    right_text: str


def normalised(turn: str) -> str:
    """The excerpt in compatibility forms, with plain apostrophes; the case is kept."""
    return unicodedata.normalize("NFKC", excerpt(turn)).replace("’", "'")


def places(text: str) -> Iterator[Place]:
    """Each name of a normalised text with what stands around it; the first ones of many."""
    return (_place(text, name) for name in islice(names(text), MOST_NAMES))


def _place(text: str, name: re.Match[str]) -> Place:
    start, end = name.span()
    left, right = text[max(0, start - SIDE) : start], text[end : end + SIDE]
    sentence = left[max(map(left.rfind, _SENTENCE_ENDS)) + 1 :]
    found = list(_TOKEN.finditer(sentence))
    before = _words([token[0] for token in found])
    starts = [start - len(sentence) + token.start() for token in found]
    first = _after_last(_DANDA, before)
    before, starts = before[first:], starts[first:]
    first = _after_last(_CLAUSE_ENDS, before)
    stop = _SENTENCE_END.search(right)
    tokens = _TOKEN.findall(right, 0, stop.start() if stop else SIDE)
    after = _until(_DANDA, _words(tokens))
    return Place(
        text=text,
        name=name[0],
        kind=name.lastgroup or "",
        start=start,
        end=end,
        before=before,
        before_starts=starts,
        ahead=before[first:],
        ahead_starts=starts[first:],
        after=after,
        right=_until(_CLAUSE_ENDS, after),
        left_text=left.casefold(),
        right_text=right.casefold(),
    )


def _words(tokens: list[str]) -> list[str]:
    """Each token as the classes hold it: all are spelled at once."""
    if not tokens:
        return []
    spelled = words.spelled(" ".join(tokens)).split(" ")
    return [word.strip("'-") or token for word, token in zip(spelled, tokens, strict=True)]


def _until(marks: frozenset[str], said: list[str]) -> list[str]:
    """What is said before the first of these marks."""
    for at, word in enumerate(said):
        if word in marks:
            return said[:at]
    return said


def _after_last(marks: frozenset[str], said: list[str]) -> int:
    """Where what is said after the last of these marks begins."""
    for at in range(len(said), 0, -1):
        if said[at - 1] in marks:
            return at
    return 0
