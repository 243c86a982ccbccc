"""The learned head: from an embedding and some signs to a route, a domain, an ask.

Three softmax regressions over one vector: the embedding less its mean, and the signs of
`router.features` (for asks, those of `router.asks`) at a scale of their own. Some tens of
kilobytes, in one JSON file; numpy is all it takes to run.
"""

import base64
import hashlib
import json
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleet.errors import ConfigError
from router import features
from router.asks import SIGNS, around, ask_signs

Vector = NDArray[np.float32]

FORMAT = 1
#: What the signs count beside an embedding, whose numbers are small.
SCALE = 0.2
ASK_SCALE, AROUND_SCALE = 0.2, 0.6
#: The signs of an ask that are weighed. The first one, the verdict of the rules, is not: they
#: were written on the same lines, so a fit would trust them more than they deserve.
ASK_SIGNS = SIGNS[1:]
#: Numbers that stand for the letters around a name.
AROUND = 2_048


@dataclass(frozen=True)
class Layer:
    """One softmax regression: labels, and a column of weights and a bias for each."""

    labels: tuple[str, ...]
    weights: Vector
    bias: Vector

    def scores(self, given: Vector) -> dict[str, float]:
        """The probability of each label."""
        logits = given @ self.weights + self.bias
        odds = np.exp(logits - logits.max())
        return dict(zip(self.labels, (odds / odds.sum()).tolist(), strict=True))

    def as_dict(self) -> dict[str, Any]:
        """For the file."""
        return {
            "labels": list(self.labels),
            "weights": _packed(self.weights),
            "bias": [round(float(one), 5) for one in self.bias],
        }

    @classmethod
    def from_dict(cls, raw: dict[str, Any], rows: int) -> "Layer":
        """Read it from the file."""
        labels = tuple(raw["labels"])
        weights = _unpacked(raw["weights"]).reshape(rows, len(labels))
        return cls(labels, weights, np.array(raw["bias"], np.float32).reshape(len(labels)))


@dataclass(frozen=True)
class Head:
    """Everything that was learned, for vectors of one embedder."""

    embedder: str
    mean: Vector
    routes: Layer
    domains: Layer
    asks: Layer
    #: What it was fitted on, and how well it did: for people.
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """Changes with the weights."""
        digest = hashlib.sha256(self.routes.weights.tobytes() + self.asks.weights.tobytes())
        return f"{self.embedder}-{digest.hexdigest()[:8]}"

    def save(self, path: Path) -> None:
        """Write the file; who reads it meanwhile sees the old one or the new one."""
        raw = {
            "format": FORMAT,
            "embedder": self.embedder,
            "signs": list(features.NAMES),
            "ask_signs": list(ASK_SIGNS),
            "mean": _packed(self.mean),
            "routes": self.routes.as_dict(),
            "domains": self.domains.as_dict(),
            "asks": self.asks.as_dict(),
            "notes": self.notes,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.new")
        beside.write_text(json.dumps(raw, ensure_ascii=False, indent=1), encoding="utf-8")
        beside.replace(path)

    @classmethod
    def read(cls, path: Path) -> "Head":
        """Read a file that `save` wrote.

        Raises:
            ConfigError: it cannot be read, or belongs to another version of the fleet.
        """
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            if raw["format"] != FORMAT or raw["signs"] != list(features.NAMES):
                raise ValueError("it is of another version")
            if raw["ask_signs"] != list(ASK_SIGNS):
                raise ValueError("it is of another version")
            mean = _unpacked(raw["mean"])
            signs = mean.size + len(features.NAMES)
            return cls(
                embedder=raw["embedder"],
                mean=mean,
                routes=Layer.from_dict(raw["routes"], signs),
                domains=Layer.from_dict(raw["domains"], signs),
                asks=Layer.from_dict(raw["asks"], mean.size + AROUND + len(ASK_SIGNS)),
                notes=raw["notes"],
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{path}: not a head that can be used: {error}; make one with: fleet route fit"
            ) from None


def with_signs(vector: Vector, mean: Vector, signs: list[float]) -> Vector:
    """What the heads for routes and domains read."""
    return np.concatenate([vector - mean, SCALE * np.array(signs, np.float32)])


def with_ask_signs(vector: Vector, mean: Vector, turn: str) -> Vector:
    """What the head for asks reads of a turn that holds a name."""
    signs = np.array(ask_signs(turn)[1:], np.float32)
    return np.concatenate([vector - mean, AROUND_SCALE * _letters(turn), ASK_SCALE * signs])


def _letters(turn: str) -> Vector:
    """The letters and words beside the names in a turn, hashed; length 1 or 0."""
    seen: set[str] = set()
    for left, right in around(turn):
        for side, text, words in (
            ("l", left[-12:], left.split()[-6:][::-1]),
            ("r", right[:12], right.split()[:6]),
        ):
            seen.update(f"{side} {word}" for word in words)
            seen.update(f"{side}{n} {word}" for n, word in enumerate(words[:2]))
            seen.add(f"{side}+ {' '.join(words[:2])}")
            for size in (2, 3, 4):
                seen.update(f"{side}.{text[i : i + size]}" for i in range(len(text) - size + 1))
    row = np.zeros(AROUND, np.float32)
    for gram in seen:
        row[zlib.crc32(gram.encode("utf-8", "surrogatepass")) % AROUND] = 1
    return row / max(1.0, float(np.linalg.norm(row)))


def _packed(numbers: Vector) -> str:
    return base64.b64encode(numbers.astype("<f2").tobytes()).decode()


def _unpacked(text: str) -> Vector:
    numbers = np.frombuffer(base64.b64decode(text), "<f2").astype(np.float32)
    if not np.isfinite(numbers).all():
        raise ValueError("it holds what is no number")
    return numbers
