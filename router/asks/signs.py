"""Yes-or-no signs of an ask, which a learned model may weigh. Pure."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from router.asks import words
from router.asks.against import AGAINST, silenced
from router.asks.places import Place, places
from router.asks.rules import RULES

_IS_IT_YOU = re.compile(
    r"\b(?:are|r) (?:you|u)\b|\bbist du|\b(?:es-tu|tu es|êtes-vous|eres|sei|és"
    r"|você é|ben je|ben jij"
    r"|jesteś|är du|er du|jsi|oletko|te vagy|ești|kamu itu|apakah kamu|bạn là|είσαι)\b"
    r"|^(?:ты|ти|sen|אתה|هل أنت|क्या तुम|क्या आप)\b|你是|あなたは|(?:너|넌|당신)은? |เธอคือ|คุณคือ"
)
_DETECTION = re.compile(
    r"\bdetect|erkenn|détect|\brilev|wykry|распозн|розпізн|upptäck"
    r"|written by (?:an? )?(?:ai|machine)"
    r""
    r"|ai[- ](?:generated|written|text)|plagiar|plagiat"
)
_HOW_DO_YOU_SAY = re.compile(
    r"\W*(?:how (?:do|would|can) (?:i|you|we) (?:say|spell|pronounce)|wie (?:sagt|heißt|schreibt)"
    r"|comment (?:dit|dire|écrit)|cómo se (?:dice|escribe)|come si (?:dice|scrive)|como se diz"
    r"|hoe (?:zeg|schrijf)|jak (?:się mówi|powiedzieć)|как (?:сказать|перевести)|jak se řekne)"
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What the rules make of one name."""

    place: Place
    #: Labels of the rules that found an ask here, whatever speaks against it.
    rules: frozenset[str]
    #: What speaks against an ask here.
    against: frozenset[str]
    #: Where the words that ask begin; None if nothing asks.
    start: int | None


def readings(text: str) -> list[Reading]:
    """Each name of a normalised text as the rules read it."""
    return [_reading(place, text) for place in places(text)]


def _reading(place: Place, text: str) -> Reading:
    starts = {label: start for label, rule in RULES.items() if (start := rule(place)) is not None}
    against = frozenset(label for label, holds in AGAINST.items() if holds(place))
    if _of_words(place, text):
        against |= {"words"}
    heard = [start for label, start in starts.items() if not silenced(label, against)]
    return Reading(place, frozenset(starts), against, heard[0] if heard else None)


def _of_words(place: Place, text: str) -> bool:
    """Whether the turn asks about words, and the name is one of them."""
    head = text[: place.start].casefold()
    first = re.match(r"\W*(\w+)", head)
    about = _HOW_DO_YOU_SAY.match(head) or (first and first[1] in words.ABOUT_WORDS)
    return bool(about) and re.search(r"[:：\"“„«]", head) is not None


def _is_any(*labels: str) -> Callable[[list[Reading], str], bool]:
    return lambda read, text: any(not one.rules.isdisjoint(labels) for one in read)


def _has(*labels: str) -> Callable[[list[Reading], str], bool]:
    return lambda read, text: any(not one.against.isdisjoint(labels) for one in read)


def _asks_about(read: list[Reading], text: str) -> bool:
    return any(one.place.before and one.place.before[0].word in words.QUESTION for one in read)


def _greets(read: list[Reading], text: str) -> bool:
    return any(token.word in words.GREETING for one in read for token in one.place.before[:2])


#: Each sign by its name: what of a turn with a name in it makes it true.
_SIGNS: Final[dict[str, Callable[[list[Reading], str], bool]]] = {
    "the rules hear an ask": lambda read, text: any(one.start is not None for one in read),
    "name at the start": lambda read, text: read[0].place.start < 3,
    "name at the end": lambda read, text: len(text.rstrip(" .!?")) - read[-1].place.end < 2,
    "ordered": _is_any("ordered", "verb after", "unspaced"),
    "handed over": _is_any("handed over", "named again"),
    "let or wished": _is_any("let", "wished"),
    "with or via": _is_any("with the name"),
    "work, opinion or task of the name": _is_any("worked", "opinion", "task for"),
    "addressed or alone": _is_any("addressed", "bare"),
    "not the one spoken to": _is_any("not you"),
    "negated": _has("negated"),
    "reported": _has("reported"),
    "quoted or spoken of as words": _has("quoted", "words"),
    "question about it": _asks_about,
    "a thing of it, or code": _has("thing", "code"),
    "a person or a message": _has("person", "message"),
    "part of what is made": _has("made"),
    "greeted": _greets,
    "is it you": lambda read, text: _IS_IT_YOU.search(text.casefold()) is not None,
    "detection": lambda read, text: _DETECTION.search(text.casefold()) is not None,
    "several names": lambda read, text: len(read) > 1,
}
SIGNS: Final = tuple(_SIGNS)


def signs(text: str) -> tuple[bool, ...]:
    """The signs of a normalised text, in the order of `SIGNS`; none without a name."""
    read = readings(text)
    return tuple(bool(read) and sign(read, text) for sign in _SIGNS.values())
