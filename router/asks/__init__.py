"""Whether the words of a turn ask that Claude or GPT answer, or only name them. Pure.

`names` finds the names, `places` what stands beside each, `words` holds the word classes of
some thirty languages, `rules` says where an order, a wish or an address has the name, `against`
what speaks for a mere mention, and `signs` weighs the two.
"""

from router.asks.names import Maker, maker, names
from router.asks.places import SIDE_GIVEN, normalised
from router.asks.signs import SIGNS, asking_words, signs

__all__ = ["SIGNS", "around", "ask_signs", "asked_for_claude", "asked_maker", "mentions"]


def mentions(turn: str) -> bool:
    """Whether a turn names Claude, GPT, or the maker of one, in any usual spelling."""
    return any(names(normalised(turn)))


def asked_for_claude(turn: str) -> str:
    """The words with which a turn asks to be answered by Claude or GPT; empty if it does not.

    To name them is not to ask: the name must stand where an order, a wish or an address has
    it ("use Claude", "I want Claude to", "@claude"), and nothing may speak against it: a
    "not", a quotation, a family name ("Claude Monet"), a thing ("the Claude API").
    """
    return asking_words(normalised(turn)).strip(" \t\n.,;:!?-。，、！？")


def asked_maker(turn: str) -> Maker | None:
    """Whose model a turn asks for, as `asked_for_claude` understands it; None if for nobody's."""
    name = next(names(normalised(asked_for_claude(turn))), None)
    return maker(name) if name else None


def ask_signs(turn: str) -> tuple[bool, ...]:
    """Yes or no to each of `SIGNS`, for a learned model to weigh; all no without a name."""
    return signs(normalised(turn))


def around(turn: str) -> list[tuple[str, str]]:
    """The casefolded text left and right of each name, at most `SIDE_GIVEN` characters each."""
    text = normalised(turn)
    return [
        (
            text[max(0, name.start() - SIDE_GIVEN) : name.start()].casefold()[-SIDE_GIVEN:],
            text[name.end() : name.end() + SIDE_GIVEN].casefold()[:SIDE_GIVEN],
        )
        for name in names(text)
    ]
