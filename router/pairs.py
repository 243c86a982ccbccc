"""Pairs of questions of which it is known whether one answer will do for both. Pure."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fleet.errors import ConfigError
from router.jsonl import values


@dataclass(frozen=True, slots=True)
class Pair:
    """Two questions."""

    a: str
    b: str
    #: Whether one answer will do for both.
    same: bool = False


@dataclass(frozen=True, slots=True)
class Judged:
    """A pair, and what the semantic cache makes of it."""

    pair: Pair
    similarity: float
    #: See `router.similar.why_not`.
    why_not: str

    def matches(self, threshold: float) -> bool:
        """Whether one would get the other's answer."""
        return not self.why_not and self.similarity >= threshold


@dataclass(frozen=True, slots=True)
class Tally:
    """What a threshold comes to."""

    threshold: float
    #: Matches of pairs that are the same, and of others.
    right: int
    wrong: int
    #: Pairs that are the same.
    same: int

    @property
    def precision(self) -> float | None:
        """The part of the matches that is right; None without any."""
        matches = self.right + self.wrong
        return self.right / matches if matches else None

    def as_dict(self) -> dict[str, Any]:
        """All of it, as JSON can say it."""
        return asdict(self) | {"precision": self.precision}


def tally(judged: Sequence[Judged], threshold: float) -> Tally:
    """Count the matches at a threshold."""
    matches = [each.pair.same for each in judged if each.matches(threshold)]
    same = sum(each.pair.same for each in judged)
    return Tally(threshold, sum(matches), len(matches) - sum(matches), same)


def pairs(file: Path) -> list[Pair]:
    """Read lines of `{a, b, same}`; other fields are for people.

    Raises:
        ConfigError: the file cannot be read, or a line is not of that form; it names the line.
    """
    form = '{"a": "…", "b": "…", "same": true}'
    return [_pair(where, value) for where, value in values(file, form)]


def _pair(where: str, value: Any) -> Pair:
    match value:
        case {"a": str(a), "b": str(b), "same": bool(same)}:
            return Pair(a, b, same)
    raise ConfigError(f"{where}: give `a` and `b`, two texts, and `same`, true or false")
