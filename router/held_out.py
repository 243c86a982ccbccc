"""How good a learned head is on what it was not learned from.

Whole sources are held out, one after the other: queries of one source resemble each other, so
a head that has seen some of them does better on the rest than on anything new. What a
configuration gives is held out an example at a time, since it is one source alone.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from router.embedding import ASKED
from router.examples import Example
from router.fit import GIVEN, Lesson, Progress
from router.head import Layer

#: Times that a head is learned at most for the examples that were given.
MOST_FOLDS = 10


@dataclass(frozen=True, slots=True)
class HeldOut:
    """An example, and the route that a head gave it that was learned without it."""

    example: Example
    route: str

    @property
    def right(self) -> bool:
        """Whether it is its own."""
        return self.route == self.example.route


@dataclass(frozen=True, slots=True)
class Recall:
    """How many of a route's examples were found, and which were taken for others."""

    route: str
    n: int
    recall: float
    #: How often each other route was given.
    taken_for: Mapping[str, int]
    #: The examples that were missed, each with the route that it was given.
    missed: tuple[tuple[str, str], ...]

    @property
    def mostly_missed(self) -> bool:
        """Whether more than half were taken for others."""
        return self.recall < 0.5


def source_of(example: Example) -> str:
    """What is held out as one: a public set, or a file of our own."""
    return example.file if example.source == "ours" else example.source


def by_source(lesson: Lesson, progress: Progress | None = None) -> list[HeldOut]:
    """The shipped examples, each judged by a head that has seen nothing of its source."""
    shipped = [n for n, e in enumerate(lesson.examples) if e.source not in GIVEN]
    folds = _grouped(shipped, lambda n: source_of(lesson.examples[n]))
    return _judged(lesson, folds, progress)


def one_by_one(lesson: Lesson, progress: Progress | None = None) -> list[HeldOut]:
    """The given examples, each judged by a head that has not seen it.

    Of a route with more than `MOST_FOLDS` examples, some are held out together.
    """
    folds: dict[int, list[int]] = {}
    places: Counter[str] = Counter()
    for n, example in enumerate(lesson.examples):
        if example.source in GIVEN and example.source != "description":
            folds.setdefault(places[example.route] % MOST_FOLDS, []).append(n)
            places[example.route] += 1
    return _judged(lesson, list(folds.values()), progress)


def accuracy(found: Sequence[HeldOut]) -> float:
    """The part that was given its own route."""
    return sum(each.right for each in found) / len(found)


def by_its_source(found: Iterable[HeldOut]) -> dict[str, list[HeldOut]]:
    """The judged examples of each source."""
    groups: dict[str, list[HeldOut]] = {}
    for each in found:
        groups.setdefault(source_of(each.example), []).append(each)
    return groups


def recalls(found: Iterable[HeldOut]) -> list[Recall]:
    """What came of the examples of each route."""
    groups: dict[str, list[HeldOut]] = {}
    for each in found:
        groups.setdefault(each.example.route, []).append(each)
    return [_recall(route, group) for route, group in groups.items()]


def _recall(route: str, group: Sequence[HeldOut]) -> Recall:
    missed = [each for each in group if not each.right]
    return Recall(
        route,
        len(group),
        round(accuracy(group), 4),
        dict(Counter(each.route for each in missed).most_common()),
        tuple((each.example.query, each.route) for each in missed),
    )


def _grouped(numbers: Iterable[int], by: Callable[[int], str]) -> list[list[int]]:
    groups: dict[str, list[int]] = {}
    for n in numbers:
        groups.setdefault(by(n), []).append(n)
    return list(groups.values())


def _judged(
    lesson: Lesson, folds: Sequence[Sequence[int]], progress: Progress | None
) -> list[HeldOut]:
    """Learn without each fold, and judge it. Folds share the processors."""
    found = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, fold in enumerate(pool.map(partial(_judged_fold, lesson), folds), 1):
            found += fold
            if progress:
                progress(done, len(folds))
    return found


def _judged_fold(lesson: Lesson, fold: Sequence[int]) -> list[HeldOut]:
    held = set(fold)
    rest = [n for n in range(len(lesson.examples)) if n not in held]
    routes = lesson.routes_layer(rest)
    asks = lesson.asks_layer(rest) if held.intersection(lesson.asks) else None
    return [HeldOut(lesson.examples[n], _route(lesson, n, routes, asks)) for n in fold]


def _route(lesson: Lesson, n: int, routes: Layer, asks: Layer | None) -> str:
    """The route of one example, as `EmbeddingClassifier` finds it."""
    if asks and n in lesson.asks and asks.scores(lesson.asks[n]).get("ask", 0.0) >= ASKED:
        return "claude"
    scores = routes.scores(lesson.rows[n])
    return max(scores, key=lambda route: scores[route])
