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

_IN_CODE_BEHIND = re.compile(r"\.\w|\(|_|/")
_IN_CODE_BEFORE = re.compile(r"[\w)]\.$")
_THIS_ONE = re.compile(r"[这這那该此]\w?$|この$|이 ?$|นี้$")


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
    after = [token.word for token in place.after[:2]]
    before = [token.word for token in place.before[-6:]]
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
    text = place.left_text[place.before[0].start - place.start :]
    if not (made := phrases.MADE.search(text)) or _THIS_ONE.search(text[: made.start()]):
        return False
    return not words.DEMONSTRATIVE.any(text[: made.start()].split()[-2:])


AGAINST: Final[dict[str, Callable[[Place], bool]]] = {
    "quoted": lambda place: place.quoted,
    "person": lambda place: place.person,
    "negated": negated,
    "thing": of_a_thing,
    "message": messaged,
    "code": in_code,
    "reported": reported,
    "made": part_of_what_is_made,
}
#: The rules that each of these silences; where none stand, all.
_SILENCES = {"reported": _WEAK, "made": _FOOLED, "message": _OF_PERSONS}


def silenced(rule: str, against: Collection[str]) -> bool:
    """Whether what speaks against an ask outweighs the rule."""
    return any(label not in _SILENCES or rule in _SILENCES[label] for label in against)
