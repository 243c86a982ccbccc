"""An embedder that remembers what it has just embedded."""

import numpy as np
from numpy.typing import NDArray

from router.recent import MOST, Recent


class Counting:
    """Counts the texts that it embeds."""

    name = "counting"

    def __init__(self) -> None:
        self.texts: list[str] = []

    def embed(self, texts: list[str]) -> NDArray[np.float32]:
        self.texts += texts
        return np.array([[len(text), 1] for text in texts], np.float32)


def test_a_text_is_embedded_once() -> None:
    inner = Counting()
    recent = Recent(inner)
    first = recent.embed(["a", "bb", "a"])
    assert first.tolist() == [[1, 1], [2, 1], [1, 1]]
    assert recent.embed(["bb"]).tolist() == [[2, 1]]
    assert inner.texts == ["a", "bb"]


def test_only_the_latest_texts_are_kept() -> None:
    inner = Counting()
    recent = Recent(inner)
    for n in range(MOST + 1):
        recent.embed([str(n)])
    inner.texts.clear()
    recent.embed([str(MOST)])
    recent.embed(["0"])
    assert inner.texts == ["0"]
