"""How good a head is on what it has not seen: by made-up vectors."""

from collections.abc import Sequence

import numpy as np
import pytest

from router.examples import Example, of_routes
from router.fit import Lesson, Material, softmax_regression
from router.held_out import HeldOut, accuracy, by_its_source, by_source, one_by_one, recalls

DRAW = np.random.default_rng(1)
PLACES = {"fast": 0, "tool": 1, "recipes": 2}


def lesson(examples: Sequence[Example], looks_like: Sequence[str]) -> Lesson:
    """Vectors near the axis of the route that each example looks like."""
    vectors = DRAW.normal(0, 0.05, (len(examples), 8))
    for row, route in zip(vectors, looks_like, strict=True):
        row[PLACES[route]] += 1
    return Lesson(Material(tuple(examples), vectors.astype(np.float32)))


def queries(route: str, source: str, n: int = 6) -> list[Example]:
    return [Example(f"{source} {route} {m}", route, source=source) for m in range(n)]


def test_a_source_is_judged_without_what_it_alone_says() -> None:
    honest = [*queries("fast", "a", 40), *queries("tool", "a", 40), *queries("fast", "b")]
    contrary = queries("tool", "c")
    looks = [*(e.route for e in honest), *("fast" for _ in contrary)]
    found = by_source(lesson([*honest, *contrary], looks))
    sources = {name: accuracy(group) for name, group in by_its_source(found).items()}
    assert (sources["b"], sources["c"]) == (1.0, 0.0)
    assert [each.example for each in found] == [*honest, *contrary]


def test_our_own_examples_are_held_out_by_their_file() -> None:
    example = Example("hi", "fast", file="english")
    assert list(by_its_source([HeldOut(example, "fast")])) == ["english"]


def test_given_examples_are_held_out_one_by_one_and_the_others_stay() -> None:
    shipped = [*queries("fast", "a", 20), *queries("tool", "b", 20)]
    own = queries("recipes", "configuration", 12)
    told = [Example("What to cook", "recipes", source="description")]
    examples = [*shipped, *own, *told]
    looks = [e.route for e in examples]
    looks[-2] = "tool"
    seen: list[tuple[int, int]] = []
    found = one_by_one(lesson(examples, looks), lambda done, of: seen.append((done, of)))
    assert {each.example for each in found} == set(own)
    assert seen[-1] == (10, 10)
    [recall] = recalls(found)
    assert (recall.route, recall.n, recall.taken_for) == ("recipes", 12, {"tool": 1})
    assert recall.missed == ((own[-1].query, "tool"),)
    assert not recall.mostly_missed


def test_without_given_examples_there_is_nothing_to_hold_out() -> None:
    assert one_by_one(lesson(queries("fast", "a"), ["fast"] * 6)) == []


def test_a_description_stands_beside_the_examples() -> None:
    from fleet.routing import Route

    route = Route(name="recipes", description="What to cook", examples=("a", "b", "c"))
    assert [(e.query, e.source) for e in of_routes([route])] == [
        ("a", "configuration"),
        ("b", "configuration"),
        ("c", "configuration"),
        ("What to cook", "description"),
    ]


@pytest.mark.parametrize("classes", [2, 3])
def test_more_columns_than_rows_make_no_difference(classes: int) -> None:
    given = DRAW.normal(size=(6, 9))
    labels = np.arange(6) % classes
    few = softmax_regression(given, labels, classes, np.ones(6), 0.3, tolerance=1e-8)
    twice, halves = np.vstack([given, given]), np.full(12, 0.5)
    many = softmax_regression(
        twice, np.concatenate([labels, labels]), classes, halves, 0.3, tolerance=1e-8
    )
    assert np.abs(few - many).max() < 1e-5
