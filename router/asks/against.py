"""What speaks against an ask at a name. Pure."""

import re
from collections.abc import Callable, Collection
from typing import Final

from router.asks import phrases, words
from router.asks.places import Place

#: Rules weak enough to be wrong where the name is what something is said of.
_WEAK = frozenset({"worked", "bare", "verb after", "not you", "opinion"})
#: Rules that a name inside of what is to be made takes in.
_FOOLED = frozenset(
    {"ordered", "with the name", "let", "unspaced", "handed over", "wished", "opinion", "task for"}
)
#: Rules that a message to a person takes in.
_OF_PERSONS = frozenset({"ordered", "handed over", "let", "wished", "verb after", "unspaced"})

_QUOTED = re.compile(
    r"\"[^\"]{1,300}\"|„[^“”\"]{1,300}[“”\"]|“[^”]{1,300}”|«[^»]{1,300}»|「[^」]{1,300}」"
    r"|『[^』]{1,300}』|‘[^’]{1,300}’|`[^`]{1,300}`|'(?<!\w')(?=\S)[^'\n]{3,200}(?<=\S)'(?!\w)"
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
_HOW_DO_YOU_SAY = re.compile(
    r"\W*(?:how (?:do|would|can) (?:i|you|we) (?:say|spell|pronounce)|wie (?:sagt|heißt|schreibt)"
    r"|comment (?:dit|dire|écrit)|cómo se (?:dice|escribe)|come si (?:dice|scrive)|como se diz"
    r"|hoe (?:zeg|schrijf)|jak (?:się mówi|powiedzieć)|как (?:сказать|перевести)|jak se řekne)"
)
_IN_CODE_BEHIND = re.compile(r"\.\w|\(|_|/")
_IN_CODE_BEFORE = re.compile(r"[\w)]\.$")
_FIRST_WORD = re.compile(r"\W*(\w+)")
_OPENS_A_QUOTE = re.compile(r"[:：\"“„«]")
#: What behind "Claude from" or "Claude at" speaks of no home.
_MODEL_OR_TIME = frozenset({"anthropic", "openai", "least", "once"})
_THIS_ONE = re.compile(r"[这這那该此]\w?$|この$|이 ?$|นี้$")


def quoted(place: Place) -> bool:
    """Whether the name stands in quotation marks, with something else."""
    quotes = (quote.span() for quote in _QUOTED.finditer(place.text))
    return any(first < place.start and place.end < last for first, last in quotes)


def of_a_person(place: Place) -> bool:
    """Whether the name is that of a person: it has a family name, a title, a home."""
    if place.kind not in ("claude", "clod", "other"):
        return False
    after = place.after
    return bool(
        (_FAMILY_BEHIND.match(place.text, place.end) and not place.name.isupper())
        or _FAMILY_BEFORE.search(place.left_text)
        or words.PERSON.any(place.before[-2:])
        or (after and after[0] in ("from", "at") and not _MODEL_OR_TIME.intersection(after[1:3]))
    )


def negated(place: Place) -> bool:
    """Whether a "not" stands before the name in its clause, or right behind it."""
    behind = place.right[:4]
    ends = (at for at, word in enumerate(behind) if word in words.PART_BEGINS)
    behind = behind[: next(ends, 4)]
    ahead = place.ahead[-5:]
    joins = (at for at, word in enumerate(ahead[::-1]) if word in words.JOINING)
    ahead = ahead[len(ahead) - next(joins, len(ahead)) :]
    asks_why_not = place.ahead[:2] == ["why", "not"]
    no = words.NEGATION.any(ahead) and not asks_why_not
    return no or words.NOT_BEHIND.any(behind)


def reported(place: Place) -> bool:
    """Whether the name is the subject of something said or done before."""
    return words.REPORT.any(place.right[:2])


def of_a_thing(place: Place) -> bool:
    """Whether the name belongs to a thing: "Claude API", "ChatGPT Plus"."""
    return words.THING.any(place.right[:1])


def messaged(place: Place) -> bool:
    """Whether a message goes to a Claude who is a person."""
    if place.kind in ("gpt", "maker", "makers"):
        return False
    after, before = place.after[:2], place.before[-6:]
    ready = words.DEMONSTRATIVE.any(before)
    return (
        (words.MESSAGE.any(before) and not ready)
        or words.MESSAGE.any(after)
        or after[:1] == ["know"]
    )


def in_code(place: Place) -> bool:
    """Whether the name is a piece of code or of an address."""
    behind = _IN_CODE_BEHIND.match(place.right_text)
    return bool(behind or _IN_CODE_BEFORE.search(place.left_text))


def part_of_what_is_made(place: Place) -> bool:
    """Whether software or a text is to be made before the name comes."""
    if not place.before:
        return False
    text = place.left_text[place.before_starts[0] - place.start :]
    if not (made := phrases.MADE.search(text)) or _THIS_ONE.search(text[: made.start()]):
        return False
    return not words.DEMONSTRATIVE.any(text[: made.start()].split()[-2:])


def of_words(place: Place) -> bool:
    """Whether the turn asks about words, and the name is one of them."""
    head = place.text[: place.start].casefold()
    first = _FIRST_WORD.match(head)
    about = (first and first[1] in words.ABOUT_WORDS) or _HOW_DO_YOU_SAY.match(head)
    return bool(about) and _OPENS_A_QUOTE.search(head) is not None


_AGAINST: Final[dict[str, Callable[[Place], bool]]] = {
    "quoted": quoted,
    "person": of_a_person,
    "negated": negated,
    "thing": of_a_thing,
    "message": messaged,
    "code": in_code,
    "reported": reported,
    "made": part_of_what_is_made,
    "words": of_words,
}
#: The rules that each of these silences; the others silence all.
_SILENCES = {"reported": _WEAK, "made": _FOOLED, "message": _OF_PERSONS}


def against(place: Place) -> frozenset[str]:
    """What speaks against an ask at a name, by its labels."""
    return frozenset([label for label, holds in _AGAINST.items() if holds(place)])


def silenced(rule: str, labels: Collection[str]) -> bool:
    """Whether what speaks against an ask outweighs the rule."""
    return all_silenced(labels) or any(rule in _SILENCES[label] for label in labels)


def all_silenced(labels: Collection[str]) -> bool:
    """Whether what speaks against an ask outweighs every rule."""
    return any(label not in _SILENCES for label in labels)
