"""What stands beside a name: the words left and right of it, and whose name it is. Pure."""

import re
import unicodedata
from dataclasses import dataclass

from router.asks import words
from router.asks.names import NAMES, ROUGHLY
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
_SENTENCE_ENDS = frozenset(".!?\n。！？।؟…")
_CLAUSE_ENDS = frozenset(',:;()[]{}<>|—–-、，：；،؛"“”„«»「」『』=/')
_QUOTED = re.compile(
    r"\"[^\"]{1,300}\"|„[^“”\"]{1,300}[“”\"]|“[^”]{1,300}”|«[^»]{1,300}»|「[^」]{1,300}」"
    r"|『[^』]{1,300}』|‘[^’]{1,300}’|`[^`]{1,300}`|(?<!\w)'(?=\S)[^'\n]{3,200}(?<=\S)'(?!\w)"
)
#: A family name behind the first one, or a second first name before it.
_FAMILY_BEHIND = re.compile(
    r"[ \-·・](?!(?i:opus|sonnet|haiku|api|model|please|pls)\b)(?-i:[A-ZÀ-ÞА-Я][a-zà-ÿа-яёіїєőű]+)"
    r"|[·・‧]\w|莫奈|-\w"
    r"|\s(?i:monet|debussy|shannon|rains|mckay|van |l[eé]vi|giroux|lorrain|fran[cç]ois|juncker"
    r"|cahun|speed|chabrol|berri|lelouch|bernard|makélélé|makelele|puel|モネ|모네|드뷔시|моне|дебюсс)",
)
_FAMILY_BEFORE = re.compile(
    r"(?<!\w)(?:jean|marie|pierre|reine|saint|st|жан|chez|ジャン)[- ]?[=・]?$", re.I
)


@dataclass(frozen=True, slots=True)
class Token:
    """A word as the classes hold it, or a mark; `start` is its place in the text."""

    word: str
    start: int


@dataclass(frozen=True, slots=True)
class Place:
    """A name in a text and the sentence around it."""

    name: str
    #: The group of the pattern that found it.
    kind: str
    start: int
    end: int
    #: The sentence up to the name, and after it.
    before: tuple[Token, ...]
    after: tuple[Token, ...]
    #: The clause up to the name, its words alone, and the words of the clause after it.
    left: list[Token]
    ahead: list[str]
    right: list[str]
    #: The characters beside it, casefolded.
    left_text: str
    right_text: str
    quoted: bool
    person: bool


def normalised(turn: str) -> str:
    """The excerpt in compatibility forms, with plain apostrophes; the case is kept."""
    return unicodedata.normalize("NFKC", excerpt(turn)).replace("’", "'")


def may_name(text: str) -> bool:
    """Whether a look at the names is worth its time."""
    return bool(ROUGHLY.search(text.casefold()))


def places(text: str) -> list[Place]:
    """Each name of a normalised text with what stands around it; the first ones of many."""
    if not may_name(text):
        return []
    quotes = [found.span() for found in _QUOTED.finditer(text)]
    found = []
    for name in NAMES.finditer(text):
        found.append(_place(text, name, quotes))
        if len(found) == MOST_NAMES:
            break
    return found


def _place(text: str, name: re.Match[str], quotes: list[tuple[int, int]]) -> Place:
    start, end = name.span()
    left, right = text[max(0, start - SIDE) : start], text[end : end + SIDE]
    before = _sentence(_tokens(left, max(0, start - SIDE))[::-1])[::-1]
    after = _sentence(_tokens(right, end))
    clause = _until_clause(before[::-1])[::-1]
    return Place(
        name=name[0],
        kind=name.lastgroup or "",
        start=start,
        end=end,
        before=tuple(before),
        after=tuple(after),
        left=clause,
        ahead=[token.word for token in clause],
        right=[token.word for token in _until_clause(after)],
        left_text=left.casefold(),
        right_text=right.casefold(),
        quoted=any(first < start and end < last for first, last in quotes),
        person=_is_person(name, left, right, before, after),
    )


def _is_person(
    name: re.Match[str], left: str, right: str, before: list[Token], after: list[Token]
) -> bool:
    if name.lastgroup not in ("claude", "clod", "other"):
        return False
    near = [token.word for token in before[-2:]]
    return bool(
        (_FAMILY_BEHIND.match(right) and not name[0].isupper())
        or _FAMILY_BEFORE.search(left)
        or words.PERSON.any(near)
        or (after and after[0].word in ("from", "at") and _no_model(after))
    )


def _no_model(after: list[Token]) -> bool:
    return not any(token.word in ("anthropic", "openai", "least", "once") for token in after[1:3])


def _tokens(text: str, offset: int) -> list[Token]:
    return [
        Token(words.spelled(found[0]).strip("'-") or found[0], offset + found.start())
        for found in _TOKEN.finditer(text)
        if found[0]
    ]


def _sentence(tokens: list[Token]) -> list[Token]:
    ends = (at for at, token in enumerate(tokens) if token.word in _SENTENCE_ENDS)
    return tokens[: next(ends, len(tokens))]


def _until_clause(tokens: list[Token]) -> list[Token]:
    ends = (at for at, token in enumerate(tokens) if token.word in _CLAUSE_ENDS)
    return tokens[: next(ends, len(tokens))]
