"""Learning a head from examples: softmax regression with a ridge, in numpy alone.

Random splits flatter such a head by six to ten points, since queries of one source resemble
each other; `router.held_out` holds out whole sources instead. Method and figures: docs/routing.md.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router import features
from router.asks import mentions
from router.embedders import Embedder
from router.examples import DATA, Example
from router.head import Head, Layer, Vector, with_ask_signs, with_signs
from router.keywords import read

Matrix = NDArray[np.float64]

#: Strength of the ridge: one divided by scikit-learn's `C`.
RIDGE, ASK_RIDGE = 1 / 3, 1 / 10
#: The most that all queries of one public source count together: each has a style of its own.
SOURCE_WEIGHT = 60.0
#: What one query of a public source counts at most, and one that names Claude or GPT.
PUBLIC_WEIGHT, NAMED_WEIGHT = 0.5, 0.5
#: What a route of a configuration counts at least, however few its examples are.
OWN_WEIGHT = 300.0
#: Added to a route's logit: a query that needs a tool fails without one, while a middle
#: model answers well enough what the largest would answer better.
LEAN = {"tool": 0.3, "large": -0.2}
#: Sources of examples that the user gave.
GIVEN = frozenset({"configuration", "description", "feedback"})

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Material:
    """Examples with their vectors: one row for each."""

    examples: tuple[Example, ...]
    vectors: Vector


def prepare(
    examples: Sequence[Example], embedder: Embedder, progress: Progress | None = None
) -> Material:
    """Embed the examples. Those that come with the fleet are embedded already."""
    vectors = stored_vectors(embedder.name)
    keys = [_key(example.query) for example in examples]
    missing = [n for n, key in enumerate(keys) if key not in vectors]
    for done, n in enumerate(missing, 1):
        vectors[keys[n]] = embedder.embed([examples[n].query])[0]
        if progress:
            progress(done, len(missing))
    return Material(tuple(examples), np.stack([vectors[key] for key in keys]))


class Lesson:
    """Examples as the layers of a head read them; a layer may be learned from some of them."""

    def __init__(self, material: Material) -> None:
        examples, vectors = material.examples, material.vectors
        self.examples = examples
        self.mean: Vector = vectors.mean(axis=0)
        #: A row for each example: what the layers for routes and domains read.
        self.rows = np.stack(
            [
                with_signs(vector, self.mean, features.signs(e.query, read(e.query)))
                for e, vector in zip(examples, vectors, strict=True)
            ]
        )
        #: Of each example that asks or names somebody: what the layer for asks reads.
        self.asks = {
            n: with_ask_signs(vectors[n], self.mean, e.query)
            for n, e in enumerate(examples)
            if e.route == "claude" or mentions(e.query)
        }

    def routes_layer(self, chosen: Sequence[int]) -> Layer:
        """Learn routes, `claude` left out, from the examples with these numbers."""
        plain = [n for n in chosen if self.examples[n].route != "claude"]
        examples = [self.examples[n] for n in plain]
        labels = [e.route for e in examples]
        layer = _layer(self.rows[plain], labels, weights_of(examples), RIDGE)
        lean = np.array([LEAN.get(label, 0.0) for label in layer.labels], np.float32)
        return Layer(layer.labels, layer.weights, layer.bias + lean)

    def domains_layer(self, chosen: Sequence[int]) -> Layer:
        """Learn domains from those of these examples that say theirs."""
        told = [n for n in chosen if self.examples[n].domain]
        labels = [self.examples[n].domain for n in told]
        return _layer(self.rows[told], labels, np.ones(len(told)), RIDGE)

    def asks_layer(self, chosen: Sequence[int]) -> Layer:
        """Learn asks from those of these examples that ask or name somebody."""
        named = [n for n in chosen if n in self.asks]
        labels = ["ask" if self.examples[n].route == "claude" else "mention" for n in named]
        given = np.stack([self.asks[n] for n in named])
        return _layer(given, labels, np.ones(len(named)), ASK_RIDGE)


def fit(lesson: Lesson, embedder: str, notes: dict[str, Any] | None = None) -> Head:
    """Learn a head. Takes about a second for 5,000 examples."""
    every = range(len(lesson.examples))
    counted = {
        "examples": len(lesson.examples),
        "routes": dict(Counter(e.route for e in lesson.examples)),
    }
    return Head(
        embedder,
        lesson.mean,
        lesson.routes_layer(every),
        lesson.domains_layer(every),
        lesson.asks_layer(every),
        {**counted, **(notes or {})},
    )


def weights_of(examples: Sequence[Example]) -> Matrix:
    """What each example counts."""
    per_source = Counter(e.source for e in examples)
    per_own_route = Counter(e.route for e in examples if e.source in GIVEN)

    def weight(example: Example) -> float:
        if example.source in GIVEN:
            return max(1.0, OWN_WEIGHT / per_own_route[example.route])
        if example.source != "ours":
            return min(PUBLIC_WEIGHT, SOURCE_WEIGHT / per_source[example.source])
        return NAMED_WEIGHT if mentions(example.query) else 1.0

    return np.array([weight(example) for example in examples])


def _layer(given: Vector, labels: Sequence[str], weights: Matrix, ridge: float) -> Layer:
    names = tuple(dict.fromkeys(labels))
    index = {name: n for n, name in enumerate(names)}
    found = softmax_regression(
        given.astype(np.float64),
        np.array([index[label] for label in labels]),
        len(names),
        weights,
        ridge,
    )
    return Layer(names, found[:-1].astype(np.float32), found[-1].astype(np.float32))


def softmax_regression(
    given: Matrix,
    labels: NDArray[np.int_],
    classes: int,
    weights: Matrix,
    ridge: float,
    *,
    tolerance: float = 1e-4,
    rounds: int = 2_000,
) -> Matrix:
    """The weights that make the labels likeliest: (columns + 1, classes), the bias last.

    Each step solves with a fixed bound of the Hessian (Böhning, "Multinomial logistic
    regression algorithm", 1992), so that one factorisation serves all of them; momentum is
    dropped whenever the step turns back (O'Donoghue and Candès, 2015).
    """
    rows, columns = given.shape
    if columns > rows:
        # The weights lie in the span of the rows, so as many columns are enough.
        span, turned = np.linalg.qr(given.T)
        few = softmax_regression(
            turned.T, labels, classes, weights, ridge, tolerance=tolerance, rounds=rounds
        )
        return np.vstack([span @ few[:-1], few[-1:]])
    full = np.hstack([given, np.ones((rows, 1))])
    target = np.zeros((rows, classes))
    target[np.arange(rows), labels] = 1
    penalty = np.full((columns + 1, 1), ridge)
    penalty[-1] = 1e-6  # the bias is free
    bound = np.linalg.inv(full.T @ (full * weights[:, None]) / 2 + np.diag(penalty[:, 0]))
    found: Matrix = np.zeros((columns + 1, classes))
    ahead = found
    speed = 1.0
    for _ in range(rounds):
        logits = full @ ahead
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        odds /= odds.sum(axis=1, keepdims=True)
        slope = full.T @ ((odds - target) * weights[:, None]) + penalty * ahead
        step = bound @ slope
        new: Matrix = ahead - step
        if np.abs(step).max() < tolerance:
            return new
        turned_back = float((slope * (new - found)).sum()) > 0
        faster = 1.0 if turned_back else (1 + (1 + 4 * speed**2) ** 0.5) / 2
        ahead = new if turned_back else new + (speed - 1) / faster * (new - found)
        found, speed = new, faster
    return found


def stored_vectors(embedder: str) -> dict[str, Vector]:
    """The vectors that come with the fleet, by what `_key` makes of a text."""
    path = DATA / f"vectors-{embedder}.npz"
    if not path.is_file():
        return {}
    with np.load(path) as raw:
        rows = raw["rows"].astype(np.float32) * raw["scales"].astype(np.float32)[:, None]
        keys: list[str] = raw["keys"].tolist()
        vectors: dict[str, Vector] = dict(zip(keys, rows, strict=True))
        return vectors


def store_vectors(material: Material, embedder: str, path: Path | None = None) -> None:
    """Write the vectors of examples, a byte for each number."""
    scales = np.abs(material.vectors).max(axis=1) / 127
    rows = np.round(material.vectors / scales[:, None]).astype(np.int8)
    keys = np.array([_key(example.query) for example in material.examples])
    np.savez_compressed(
        path or DATA / f"vectors-{embedder}.npz",
        keys=keys,
        rows=rows,
        scales=scales.astype(np.float32),
    )


def _key(query: str) -> str:
    return hashlib.sha256(query.encode("utf-8", "surrogatepass")).hexdigest()[:16]
