"""Experiments: which arm a job falls into. Pure.

The draw is a hash, so a conversation (or a caller) stays in its arm, in every router process,
without anything being stored.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fleet.routing import Arm, Experiment


@dataclass(frozen=True, slots=True)
class Drawn:
    """An arm of an experiment."""

    experiment: str
    arm: Arm


def draw(
    experiments: Sequence[Experiment], conversation: str, caller: str, job: str
) -> Drawn | None:
    """The arm that decides a job; None where there is no experiment.

    A job takes part in one experiment. `conversation` may be empty: the job stands alone then.
    """
    if not experiments:
        return None
    number = int(_share("", conversation or job) * len(experiments))
    experiment = experiments[min(number, len(experiments) - 1)]
    unit = caller if experiment.by == "caller" else conversation or job
    arms = [arm for arm in experiment.arms if arm.weight > 0 and not arm.shadow]
    place = _share(experiment.name, unit) * sum(arm.weight for arm in arms)
    for arm in arms:
        place -= arm.weight
        if place < 0:
            return Drawn(experiment.name, arm)
    return Drawn(experiment.name, arms[-1])


def shadows(experiments: Sequence[Experiment]) -> Iterator[Drawn]:
    """The arms that score every job and decide none."""
    for experiment in experiments:
        for arm in experiment.arms:
            if arm.shadow:
                yield Drawn(experiment.name, arm)


def _share(name: str, unit: str) -> float:
    """A number from 0 up to 1 that looks drawn and stays the same."""
    digest = hashlib.sha256(f"{name}\0{unit}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8]) / 2**64
