"""An embedder that does not embed again what it has just embedded."""

import threading
from collections import OrderedDict

import numpy as np

from router.embedders import Embedder
from router.head import Vector

#: Texts: more than one process decides at once, few enough to be forgotten in seconds of use.
MOST = 64


class Recent:
    """Shadows, arms and the semantic cache look at a turn that the classifier has just read."""

    def __init__(self, embedder: Embedder) -> None:
        self.name = embedder.name
        self._embedder = embedder
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Vector] = OrderedDict()

    def embed(self, texts: list[str]) -> Vector:
        """One row for each text."""
        with self._lock:
            known = {text: self._kept[text] for text in texts if text in self._kept}
        unknown = [text for text in dict.fromkeys(texts) if text not in known]
        if unknown:
            known |= zip(unknown, self._embedder.embed(unknown), strict=True)
            self._keep({text: known[text] for text in unknown})
        return np.stack([known[text] for text in texts])

    def _keep(self, vectors: dict[str, Vector]) -> None:
        with self._lock:
            self._kept.update(vectors)
            while len(self._kept) > MOST:
                self._kept.popitem(last=False)
