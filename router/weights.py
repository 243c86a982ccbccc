"""What each word speaks for: a table learned from the examples, read without any package. Pure.

It gives the rules an opinion where none of them speaks, and the embedding a second one.
"""

import json
import math
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from router.words import UNSPACED

PATH = Path(__file__).parent / "data" / "words.json"
#: Characters that are read, and words of them.
MOST_CHARS, MOST_WORDS = 400, 64
#: Letters of a word that count: what comes after is mostly an ending.
LETTERS = 12

#: A letter of these scripts is a word.
_LONE = f"{UNSPACED}\u0e01-\u0e7f"
_WORD = re.compile(rf"[^\W\d_{_LONE}]+(?:'[^\W\d_]+)?|\d+|[{_LONE}]")
#: Every such letter comes after this one; the alphabets before it.
_BEFORE_LONE = "\u0e00"


def terms(text: str) -> set[str]:
    """The words of a folded text and each two that stand together; any number is `#`."""
    found: set[str] = set()
    before = ""
    lone_before = False
    for word in _WORD.findall(text[:MOST_CHARS])[:MOST_WORDS]:
        if len(word) == 1 and word > _BEFORE_LONE:
            if before:
                found.add(before + word if lone_before else f"{before} {word}")
            before, lone_before = word, True
        else:
            here = "#" if word.isdigit() else word[:LETTERS]
            found.add(here)
            if before:
                found.add(f"{before} {here}")
            before, lone_before = here, False
    return found


@dataclass(frozen=True, slots=True)
class Weights:
    """The table: for each route a number for each term, and one to begin with."""

    routes: tuple[str, ...]
    bias: Sequence[float]
    of: Mapping[str, Sequence[float]]
    version: str = ""

    def logits(self, text: str) -> tuple[dict[str, float], list[str]]:
        """The log odds of each route for a folded text, and the terms that are known."""
        known = [term for term in terms(text) if term in self.of]
        scale = 1 / math.sqrt(len(known) or 1)
        rows = [self.of[term] for term in known]
        sums = [sum(column) for column in zip(*rows, strict=True)] or [0.0] * len(self.routes)
        found = (start + scale * total for start, total in zip(self.bias, sums, strict=True))
        return dict(zip(self.routes, found, strict=True)), known

    def loudest(self, known: Sequence[str], route: str, most: int = 3) -> list[str]:
        """The terms that speak most for a route, against the others."""
        at = self.routes.index(route)

        def lead(term: str) -> float:
            row = self.of[term]
            return 2 * row[at] - sum(row)

        return [term for term in sorted(known, key=lead, reverse=True)[:most] if lead(term) > 0]


def shares(logits: Mapping[str, float]) -> dict[str, float]:
    """Log odds as shares of one."""
    top = max(logits.values())
    odds = {route: math.exp(number - top) for route, number in logits.items()}
    total = sum(odds.values())
    return {route: number / total for route, number in odds.items()}


@cache
def shipped() -> Weights:
    """The table that comes with the fleet."""
    text = PATH.read_bytes()
    raw = json.loads(text)
    version = f"{zlib.crc32(text):08x}"
    return Weights(tuple(raw["routes"]), raw["bias"], raw["words"], version)
