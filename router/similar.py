"""Whether two questions may share an answer, whatever their embeddings say. Pure.

An embedding tells what a question is about, and not what it asks: to multilingual-e5-small
"convert JSON to YAML" is nearer to "convert YAML to JSON" than to most of its paraphrases. So
two questions must say the same beside words of form (`router.forms`): the same numbers, names,
negations, quoted words and code, in one order. docs/cache-semantic.md has the figures.
"""

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass

from router import forms
from router.keywords import read

#: Characters of a question that is compared: a longer one is hardly ever asked again.
MOST_CHARS = 2_000
#: So many terms may be turned round: "in Python, sort a list", "sort a list in Python".
FEWEST_TURNED = 3

#: Code, and words in quotes of several kinds.
_VERBATIM = re.compile(
    r"```.*?```|`[^`]+`|\"[^\"]+\"|[“„][^“”]+[“”]|«[^»]+»|「[^」]+」|『[^』]+』|(?<!\w)'[^']+'(?!\w)",
    re.DOTALL,
)
#: Stands where they stood.
_TAKEN_OUT = "\u2423"

#: Scripts without spaces: a letter is a term.
_LONE = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_TERM = re.compile(
    rf"[{_LONE}]|\d+(?:[.,:]\d+)*|[^\W{_LONE}]+(?:['._-][^\W{_LONE}]+)*|"
    # A factorial, a sign, and whatever is no mark of a sentence.
    r"(?<=\d)!|[-−](?=\s*\d)|[^\w\s.,;:?!¿¡\"'`“”„«»。，、！？；：…–—-]"
)
_NOT = re.compile(r"(?:(?<=\w)n't|(?<!\w)(?:cannot|can't))(?!\w)")


@dataclass(frozen=True, slots=True)
class Said:
    """What a question says beside words of form."""

    terms: tuple[str, ...]
    #: Quoted words and code, letter by letter.
    verbatim: tuple[str, ...]
    polite: tuple[str, ...]


def said(text: str) -> Said:
    """Read a question."""
    text = unicodedata.normalize("NFC", text)
    verbatim = (" ".join(found[0].split()) for found in _VERBATIM.finditer(text))
    unquoted = tuple(each if each[0] == "`" else each[1:-1] for each in verbatim)
    text = _spaced(_VERBATIM.sub(f" {_TAKEN_OUT} ", text).casefold().replace("’", "'"))
    polite = tuple(forms.POLITE.findall(text))
    return Said(_terms(_spaced(forms.POLITE.sub(" ", text))), unquoted, polite)


def _spaced(text: str) -> str:
    return " ".join(text.split())


def why_not(one: str, other: str) -> str:
    """Why two questions may not share an answer; empty if they may."""
    if max(len(one), len(other)) > MOST_CHARS:
        return f"a question of more than {MOST_CHARS} characters is not compared"
    if asks_for_live_data(one) or asks_for_live_data(other):
        return "the answer changes with the time"
    a, b = said(one), said(other)
    if not a.terms:
        return "there are no words to compare"
    if a.verbatim != b.verbatim:
        return "quoted words or code differ"
    if a.polite and b.polite and a.polite != b.polite:
        return "the words of politeness differ"
    if only := _only(a.terms, b.terms):
        return f"only one of them says {', '.join(map(repr, only))}"
    return "" if _turned(_fixed(a.terms), _fixed(b.terms)) else "the words stand in another order"


def asks_for_live_data(text: str) -> bool:
    """Whether a question is about the present: what is true now may not be so in a minute."""
    return read(text).present is not None


def _terms(text: str) -> tuple[str, ...]:
    text = _opened(_NOT.sub(lambda found: " not" if found[0] == "n't" else "can not", text))
    asks = (forms.YES_NO,) if forms.ASKS_YES_NO.search(text) else ()
    text = forms.BETWEEN.sub(_sorted, text)
    for frame, instead in forms.FRAMES:
        text = frame.sub(instead, text)
    for phrase, instead in forms.UNSPACED_FRAMES:
        text = text.replace(phrase, instead)
    terms = _TERM.findall(forms.UNSPACED.sub(" ", text))
    return (*asks, *(term for term in terms if term not in forms.EMPTY))


def _opened(text: str) -> str:
    for _ in range(forms.OPENINGS_MOST):
        before = text
        for opening in forms.OPENINGS:
            if found := opening.match(text):
                text = text[found.end() :]
        if text == before:
            break
    return text


def _sorted(found: re.Match[str]) -> str:
    between, one, joined, other = found.groups()
    return " ".join((between, min(one, other), joined, max(one, other)))


def _only(one: tuple[str, ...], other: tuple[str, ...]) -> list[str]:
    """The words that one of them has, or has more often."""
    counts, others = Counter(one), Counter(other)
    return sorted((counts - others) + (others - counts))


def _fixed(terms: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(term for term in terms if term not in forms.MOVABLE and term != forms.YES_NO)


def _turned(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    if one == other:
        return True
    if len(one) < FEWEST_TURNED:
        return False
    movable = [n for n in range(1, len(one)) if {one[0], one[n]} & forms.PREPOSITIONS]
    return any((*one[n:], *one[:n]) == other for n in movable)
