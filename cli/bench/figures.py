"""From samples to figures. Pure."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from router.intervals import percentile

PERCENTILES = (50, 95, 99)


@dataclass(frozen=True, slots=True)
class Sample:
    """One request as its client saw it. Times in milliseconds from the start of its POST."""

    #: When each piece of the answer had been parsed.
    moments_ms: tuple[float, ...] = ()
    total_ms: float = 0.0
    tokens: int = 0
    #: What went wrong; empty: nothing.
    error: str = ""

    @property
    def gaps_ms(self) -> Iterable[float]:
        """Between one piece and the next."""
        return (b - a for a, b in pairwise(self.moments_ms))


@dataclass(slots=True)
class Tally:
    """The samples of one way, gathered over the rounds."""

    samples: list[Sample] = field(default_factory=list)
    elapsed_s: float = 0.0
    #: Processor time of this client.
    client_s: float = 0.0
    #: Processor time of the fleet's processes, by role.
    cpu_s: dict[str, float] = field(default_factory=dict)

    def add(self, other: "Tally") -> None:
        """Take in one more round."""
        self.samples += other.samples
        self.elapsed_s += other.elapsed_s
        self.client_s += other.client_s
        for role, seconds in other.cpu_s.items():
            self.cpu_s[role] = self.cpu_s.get(role, 0.0) + seconds

    @property
    def errors(self) -> list[str]:
        """What went wrong, one entry for each request that it went wrong for."""
        return [sample.error for sample in self.samples if sample.error]

    @property
    def good(self) -> list[Sample]:
        """Answers that came whole."""
        return [sample for sample in self.samples if not sample.error]

    @property
    def jobs_per_s(self) -> float:
        """Whole answers per second."""
        return len(self.good) / self.elapsed_s if self.elapsed_s else 0.0

    @property
    def tokens_per_s(self) -> float:
        """Tokens of whole answers per second."""
        tokens = sum(sample.tokens for sample in self.good)
        return tokens / self.elapsed_s if self.elapsed_s else 0.0


def spread(values: Iterable[float]) -> dict[str, float | None]:
    """The percentiles; null where there is nothing to measure."""
    measured = list(values)
    return {f"p{each}": rounded(percentile(measured, each)) for each in PERCENTILES}


def rounded(value: float, digits: int = 3) -> float | None:
    """For JSON, which has no nan."""
    return None if math.isnan(value) else round(value, digits)


def way_figures(tally: Tally) -> dict[str, Any]:
    """One way of one level."""
    good = tally.good
    return {
        "ttft_ms": spread(sample.moments_ms[0] for sample in good if sample.moments_ms),
        "total_ms": spread(sample.total_ms for sample in good),
        "gap_ms": spread(gap for sample in good for gap in sample.gaps_ms),
        "requests": len(tally.samples),
        "lost": len(tally.errors),
        "jobs_per_s": round(tally.jobs_per_s, 2),
        "client_cpu_ms_per_request": per_job(tally.client_s, tally),
    }


def level_figures(streams: int, direct: Tally, fleet: Tally) -> dict[str, Any]:
    """One level: both ways, and what the fleet adds."""
    ways = {"direct": way_figures(direct), "fleet": way_figures(fleet)}
    return {
        "streams": streams,
        **ways,
        "added_ms": {
            each: added(ways["fleet"]["ttft_ms"][each], ways["direct"]["ttft_ms"][each])
            for each in ("p50", "p95")
        },
        "errors": len(direct.errors) + len(fleet.errors),
        "cpu_ms_per_job": cpu_per_job(fleet),
    }


def crowd_figures(streams: int, without: Tally, among: Tally) -> dict[str, Any]:
    """One level without and with idle readers. `ratio` is that of the median first tokens."""
    ways = {"without": way_figures(without), "with": way_figures(among)}
    alone, crowded = (ways[way]["ttft_ms"]["p50"] for way in ("without", "with"))
    return {
        "streams": streams,
        **ways,
        "ratio": round(crowded / alone, 3) if alone and crowded is not None else None,
        "errors": len(without.errors) + len(among.errors),
        "cpu_ms_per_job": {"without": cpu_per_job(without), "with": cpu_per_job(among)},
    }


def throughput_figures(one_token: Tally, flat_out: Tally) -> dict[str, Any]:
    """What the fleet does when nothing holds it back."""
    return {
        "one_token_jobs_per_s": round(one_token.jobs_per_s, 1),
        "tokens_per_s": round(flat_out.tokens_per_s),
        "cpu_ms_per_one_token_job": cpu_per_job(one_token),
        "client_cpu_ms_per_one_token_job": per_job(one_token.client_s, one_token),
        "errors": len(one_token.errors) + len(flat_out.errors),
    }


def cpu_per_job(tally: Tally) -> dict[str, float | None]:
    """Processor time of each role for one job."""
    return {role: per_job(seconds, tally) for role, seconds in sorted(tally.cpu_s.items())}


def per_job(seconds: float, tally: Tally) -> float | None:
    """Milliseconds for one request."""
    return round(seconds * 1000 / len(tally.samples), 3) if tally.samples else None


def added(fleet: float | None, direct: float | None) -> float | None:
    """What the fleet adds to a figure."""
    return None if fleet is None or direct is None else round(fleet - direct, 3)


def count_errors(figures: Mapping[str, Any]) -> int:
    """All that went wrong in a whole run."""
    if crowd := figures.get("followers"):
        return int(crowd["lost"] + sum(level["errors"] for level in crowd["levels"]))
    if figures.get("waits"):
        return 0
    whole = sum(level["errors"] for level in figures["levels"])
    return int(whole + (figures["throughput"] or {}).get("errors", 0))
