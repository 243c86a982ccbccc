"""The table by which the two-model system was chosen, filled from real use. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cli.bench.report import shown
from cli.wording import dollars, stars
from router.work import Work


class Line(NamedTuple):
    """One metric: what it is here, and what was expected of two models, Llama 8B and Qwen 32B."""

    metric: str
    here: str
    expected: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What the settings and the disk know of the fleet."""

    #: Names of the enabled models.
    local: Sequence[str]
    external: Sequence[str]
    #: Bytes of the weights of all local models together; None: not all of them are known.
    weights: int | None

    @property
    def memory(self) -> str:
        """Of the servers there is only the size of what they load."""
        return "not known" if self.weights is None else f"{self.weights / 1e9:.2f} GB of weights"


def comparison(found: Work, facts: Facts) -> Iterator[Line]:
    """Its lines; complexity and time of setting up are not measured."""
    models = " + ".join((*facts.local, *(f"({name})" for name in facts.external)))
    average = found.overall.average_s
    rated = stars(found.overall.rating, found.overall.ratings)
    cost = f"{dollars(found.month_usd)}/month, at the rate of the last {found.seen_h:.1f} h"
    yield Line("Models", models, "Llama 8B + Qwen 32B")
    yield Line("Memory", facts.memory, "23 GB")
    yield Line("Avg response", "–" if average is None else f"{shown(average)} s", "4-6 s")
    yield Line("Quality", rated if found.overall.ratings else "no ratings yet", "★★★★☆")
    yield Line("Cost", cost, "$0/month")
