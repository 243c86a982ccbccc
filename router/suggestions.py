"""What the router might learn from jobs whose right route somebody has named. Pure."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fleet.routing import FEWEST_EXAMPLES
from router.words import excerpt

#: A word seen less often says nothing.
FEWEST_TEXTS = 2
MOST_WORDS = 10
MOST_EXAMPLES = 50
#: Standard errors that a word's log-odds must lie above none: one-sided 90 %.
SURE = 1.28
#: Added to each cell, so that a word which the others never say has finite odds
#: (Haldane 1956, Anscombe 1956).
PRIOR = 0.5

_WORD = re.compile(r"[^\W\d_][\w'’-]*")


@dataclass(frozen=True, slots=True)
class Keyword:
    """A word that tells a route from the others."""

    word: str
    #: Texts of the route that have it, and of the others.
    here: int
    elsewhere: int
    #: Logarithm of how much likelier the word is here.
    log_odds: float


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What would bring more of the right questions to one route."""

    route: str
    keywords: tuple[Keyword, ...]
    examples: tuple[str, ...]

    @property
    def toml(self) -> str:
        """A `[[router.routes]]` table to paste; empty while there are too few examples."""
        if len(self.examples) < FEWEST_EXAMPLES:
            return ""
        return f"{self._head}examples = [\n{self.lines}]\n"

    @property
    def lines(self) -> str:
        """The examples as they stand between the brackets of such a table."""
        return "".join(f"    {_quoted(example)},\n" for example in self.examples)

    @property
    def _head(self) -> str:
        about = f"Questions like those that were sent to {self.route!r} by feedback."
        return f"[[router.routes]]\nname = {_quoted(self.route)}\ndescription = {_quoted(about)}\n"

    def as_dict(self) -> dict[str, Any]:
        """All of it, as JSON can say it."""
        return asdict(self) | {"toml": self.toml}


def suggest(named: Iterable[tuple[str, str]]) -> tuple[Suggestion, ...]:
    """Keywords and examples for each route, from texts with the route that was right for each.

    A word is suggested by its log-odds here against everywhere else, each text counted once.
    A word that all routes use has even odds, so no list of stop-words is needed; with texts
    of one route alone there is nothing to tell it from, and no word is suggested.
    """
    texts: dict[str, dict[str, None]] = {}
    for text, route in named:
        if shown := " ".join(excerpt(text).split()):
            texts.setdefault(route, {})[shown] = None
    words = {route: [_words(text) for text in own] for route, own in texts.items()}
    return tuple(
        Suggestion(
            route,
            _keywords(
                words[route], [w for other, ws in words.items() if other != route for w in ws]
            ),
            tuple(texts[route])[:MOST_EXAMPLES],
        )
        for route in sorted(texts)
    )


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.casefold()))


def _keywords(
    here: Sequence[Iterable[str]], others: Sequence[Iterable[str]]
) -> tuple[Keyword, ...]:
    if not others:
        return ()
    counts, elsewhere = (Counter(w for ws in texts for w in ws) for texts in (here, others))
    found = []
    for word, count in counts.items():
        odds, error = _log_odds(count, len(here), elsewhere[word], len(others))
        if count >= FEWEST_TEXTS and odds > SURE * error:
            surely = odds / error
            found.append((surely, Keyword(word, count, elsewhere[word], round(odds, 3))))
    found.sort(key=lambda each: (-each[0], each[1].word))
    return tuple(keyword for _, keyword in found[:MOST_WORDS])


def _log_odds(here: int, of_here: int, there: int, of_there: int) -> tuple[float, float]:
    """The logarithm of the odds ratio, and its standard error (Woolf 1955)."""
    cells = [each + PRIOR for each in (here, of_here - here, there, of_there - there)]
    odds = math.log(cells[0] / cells[1]) - math.log(cells[2] / cells[3])
    return odds, math.sqrt(sum(1 / cell for cell in cells))


def _quoted(text: str) -> str:
    """A TOML string: JSON's, but for DEL and for halves of surrogate pairs."""
    whole = text.encode("utf-8", "replace").decode()
    return json.dumps(whole, ensure_ascii=False).replace("\x7f", "\\u007f")
