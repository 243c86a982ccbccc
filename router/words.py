"""How the rules read a turn: which part of it, in which spelling. Pure."""

import re
import unicodedata

#: Characters read at the start and at the end of a turn: where people say what they want.
#: The rest of a long turn is mostly pasted text, whose words ask for nothing.
HEAD, TAIL = 400, 200
#: Letters of scripts that put no space between words: they end a Latin word as a space does.
UNSPACED = "぀-ヿ㐀-鿿가-힣"

_BLANKS = re.compile(r"\s+")


def both_ends(text: str, size: int) -> str:
    """At most `size` characters of a text: two thirds from its start, a third from its end."""
    if len(text) <= size:
        return text
    tail = (size - 1) // 3
    return f"{text[: size - 1 - tail]} {text[len(text) - tail :]}"


def excerpt(turn: str) -> str:
    """Where a turn says what it wants: all of a short one, both ends of a long one.

    Runs of blanks and line breaks become one: the rules need no more, and a page of empty
    lines would cost them its square in time. Of all blanks only the space is printable.
    """
    ends = turn if len(turn) <= HEAD + TAIL else f"{turn[:HEAD]}\n{turn[-TAIL:]}"
    if "  " not in ends and ends.isprintable():
        return ends
    return _BLANKS.sub(lambda run: "\n" if "\n" in run[0] else " ", ends)


def folded(turn: str) -> str:
    """The excerpt in one spelling: compatibility forms, case and apostrophes made equal."""
    text = excerpt(turn)
    if not text.isascii() and not unicodedata.is_normalized("NFKC", text):
        text = unicodedata.normalize("NFKC", text)
    return text.casefold().replace("’", "'")
