"""Embeddings as text that Redis keeps, and which of them are near to one."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from router.head import Vector

#: Digits of a job's id, before its vector.
ID_DIGITS = 32
#: Sizes of numbers in a record: a byte is near enough, a cosine is off by 0.003 at most.
_LARGEST = 127


@dataclass(frozen=True, slots=True)
class Near:
    """A question that was asked before."""

    #: The digits of its job's id.
    digits: str
    #: The cosine of the angle between both embeddings.
    similarity: float


def record(digits: str, vector: Vector) -> str:
    """What is kept of a question: as long for each vector of one length."""
    largest = max(float(np.abs(vector).max()), 1e-9)
    small = np.rint(vector * (_LARGEST / largest)).astype(np.int8)
    return digits + base64.b64encode(small.tobytes()).decode()


def nearest(records: str, vector: Vector, threshold: float, most: int) -> Sequence[Near]:
    """The nearest questions that are no farther than `threshold`, the nearest first.

    `records` stand one after the other, as `record` writes them. Of equally near ones the last
    comes first. What has another form is passed over whole.
    """
    size = len(record("0" * ID_DIGITS, vector))
    if not records or len(records) % size:
        return ()
    kept = [records[at : at + size] for at in range(0, len(records), size)]
    packed = b"".join(base64.b64decode(one[ID_DIGITS:]) for one in kept)
    rows = np.frombuffer(packed, np.int8).reshape(len(kept), -1).astype(np.float32)
    cosines = (rows @ vector) / np.maximum(np.linalg.norm(rows, axis=1), 1e-9)
    best = np.lexsort((-np.arange(len(kept)), -cosines))[:most]
    found = [Near(kept[n][:ID_DIGITS], round(float(cosines[n]), 4)) for n in best]
    return [near for near in found if near.similarity >= threshold]
