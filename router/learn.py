"""Makes what ships: the vectors of the examples, the head, the table of words.

    python -m router.learn

To be run whenever `data/examples` or the signs change; takes a minute or two.
"""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from functools import partial

import numpy as np

from router import embedders, fit, weights
from router.examples import DATA, Example, shipped
from router.fit import Matrix, weights_of
from router.weights import Weights, terms
from router.words import folded

#: Examples that a term must stand in to be kept.
RARE = 3
#: Strength of the ridge.
RIDGE = 1 / 3
ROUNDS = 400


def learn_words(examples: Sequence[Example]) -> Weights:
    """Softmax regression over the terms of the examples, by accelerated gradient steps.

    (Nesterov, 1983; the length of a step from the largest eigenvalue, by power iteration.)
    """
    plain = [example for example in examples if example.route != "claude"]
    found = [terms(folded(example.query)) for example in plain]
    count = Counter(term for each in found for term in each)
    kept = sorted(term for term, times in count.items() if times >= RARE)
    index = {term: n for n, term in enumerate(kept)}
    given = np.zeros((len(plain), len(kept) + 1), np.float32)
    given[:, -1] = 1
    for row, each in zip(given, found, strict=True):
        known = [index[term] for term in each if term in index]
        row[known] = 1 / max(1, len(known)) ** 0.5
    routes = tuple(dict.fromkeys(example.route for example in plain))
    target = np.zeros((len(plain), len(routes)), np.float32)
    target[np.arange(len(plain)), [routes.index(example.route) for example in plain]] = 1
    solved = _descend(given, target, weights_of(plain))
    rounded = {term: [round(float(x), 2) for x in solved[n]] for term, n in index.items()}
    return Weights(routes, [round(float(x), 3) for x in solved[-1]], rounded)


def _descend(given: np.ndarray, target: np.ndarray, counts: Matrix) -> Matrix:
    weighed = given * counts[:, None].astype(np.float32)
    vector = np.ones(given.shape[1], np.float32)
    for _ in range(30):
        vector = weighed.T @ (given @ vector)
        largest = float(np.linalg.norm(vector))
        vector /= largest
    ridge = np.full((given.shape[1], 1), RIDGE, np.float32)
    ridge[-1] = 0
    step = 1 / (largest / 2 + RIDGE)
    solved = ahead = np.zeros((given.shape[1], target.shape[1]), np.float32)
    for n in range(ROUNDS):
        logits = given @ ahead
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        odds /= odds.sum(axis=1, keepdims=True)
        new = ahead - step * (weighed.T @ (odds - target) + ridge * ahead)
        ahead = new + n / (n + 3) * (new - solved)
        solved = new
    return np.asarray(solved, np.float64)


def main() -> None:
    """Write everything into `data/`."""
    examples = shipped()
    table = learn_words(examples)
    raw = {"routes": table.routes, "bias": table.bias, "words": table.of}
    weights.PATH.write_text(
        json.dumps(raw, ensure_ascii=False, separators=(",", ":")), encoding="utf-8"
    )
    sys.stderr.write(f"words: {len(table.of)}\n")
    for name in embedders.installed():
        material = fit.prepare(examples, embedders.load(name), partial(_tell, name))
        if name == "e5":
            fit.store_vectors(material, name)
        head = fit.fit(fit.Lesson(material), name)
        head.save(DATA / f"head-{name}.json")
        sys.stderr.write(f"{name}: {head.version}, {len(examples)} examples\n")


def _tell(name: str, done: int, of: int) -> None:
    if done % 100 == 0 or done == of:
        sys.stderr.write(f"\r{name}: {done} of {of} embedded" + "\n" * (done == of))


if __name__ == "__main__":
    main()
