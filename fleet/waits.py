"""How long a new job will wait for a model. Pure.

A line is served by slots that each take the next job when they are done. If every job took the
same time, its turn would come like clockwork: with the slot that is done first, then the second,
then the first again. If knowing how long one has run said nothing of its end, any slot would be
as likely the next one, and a job would leave every so often. Real jobs are in between; so is the
prediction, by how much they vary.

What cannot be known is None: nobody works there, its server is left alone or loading, or nobody
has been seen to finish.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Pace:
    """What a job of a model takes, as seen lately."""

    #: Seconds from its claim to its end.
    mean_s: float
    #: Variance over the square of the mean: 0 means that all take the same time.
    spread: float = 0.0

    @classmethod
    def read(cls, told: str) -> "Pace":
        """From what `lua/finish.lua` writes: mean and variance in ms, count."""
        mean, variance, _ = map(float, told.split())
        return cls(mean / 1000, variance / mean**2 if mean else 0.0)


@dataclass(frozen=True, slots=True)
class Place:
    """What stands between a new job and a model."""

    #: Jobs in its line that will be served before this one.
    ahead: int = 0
    #: Streams that run there now.
    running: int = 0
    #: Seconds since the claims of the oldest of them.
    ages_s: Sequence[float] = ()


def wait_s(place: Place, slots: int, pace: Pace | None, more: float = 0.0) -> float | None:
    """Seconds until a job in that place begins; `more`: jobs that will come before it beside
    those in its line. None: not known.
    """
    if slots < 1:
        return None
    ahead = place.ahead + max(0, round(more))
    free = max(0, slots - place.running)
    if ahead < free:
        return 0.0
    if pace is None:
        return None
    chance = min(1.0, pace.spread)
    return (1 - chance) * _clockwork_s(ahead, slots, free, place.ages_s, pace.mean_s) + chance * (
        (ahead - free + 1) * pace.mean_s / slots
    )


def _clockwork_s(
    ahead: int, slots: int, free: int, ages_s: Sequence[float], mean_s: float
) -> float:
    """… if each job takes the mean: the slots' own remainders, in turn, round by round."""
    busy = slots - free
    # Of more streams than slots the oldest belong to workers that are gone; of those whose age
    # is not told we know that they are younger.
    ages = sorted(ages_s)[:busy]
    left = [min(mean_s, max(0.0, mean_s - age)) for age in ages]
    remainders = sorted([0.0] * free + left + [mean_s] * (busy - len(left)))
    rounds, turn = divmod(ahead, slots)
    return remainders[turn] + rounds * mean_s


@dataclass(frozen=True, slots=True)
class Look:
    """How the fleet does, beside who stands in line."""

    #: Streams that each model's living workers can run at once, as long as they ask its server.
    slots: Mapping[str, int] = field(default_factory=dict)
    paces: Mapping[str, Pace] = field(default_factory=dict)
    #: Where the last decisions went: `asked:model`, and how many of them.
    mix: Mapping[str, int] = field(default_factory=dict)
    #: Models that plans leave out: their servers are left alone, or their day's calls used up.
    shut: Collection[str] = ()

    def shares(self, asked: str, models: Iterable[str]) -> dict[str, float]:
        """How jobs that asked for this spread over these models; empty if none were seen."""
        counts = {name: self.mix.get(f"{asked}:{name}", 0) for name in models}
        total = sum(counts.values())
        return {name: n / total for name, n in counts.items() if n}

    def share(self, model: str) -> float:
        """The part of all jobs that goes to a model, whatever they ask for."""
        to_it = sum(n for what, n in self.mix.items() if what.rpartition(":")[2] == model)
        return to_it / sum(self.mix.values()) if to_it else 0.0


@dataclass(frozen=True, slots=True)
class Expected:
    """What a job has to expect when it is posted."""

    #: Seconds; None: not known.
    wait_s: float | None = None
    #: Jobs that will be served before it.
    ahead: int = 0


@dataclass(frozen=True, slots=True)
class View:
    """How long one job would wait for each model, at one moment."""

    look: Look = field(default_factory=Look)
    places: Mapping[str, Place] = field(default_factory=dict)
    #: Jobs that the router will decide before this one.
    undecided: int = 0

    def wait_s(self, model: str, sent: int = 0) -> float | None:
        """Seconds that it would wait for a model; `sent`: jobs sent there that nobody sees yet."""
        place = self.places.get(model)
        if place is None:
            return None
        slots, pace = self.look.slots.get(model, 0), self.look.paces.get(model)
        return wait_s(place, slots, pace, self._coming(model) + sent)

    def ahead(self, model: str) -> int:
        """Jobs that will be served before it there."""
        place = self.places.get(model, Place())
        return place.ahead + round(self._coming(model))

    def _coming(self, model: str) -> float:
        share = self.look.share(model) if self.look.mix else 1 / max(1, len(self.places))
        return self.undecided * share

    def expected(self, asked: str, models: Sequence[str]) -> Expected:
        """What it has to expect if the router does with it as with the last ones that asked for
        the same: half of them would wait no longer. `models`: those that may get it.
        """
        shares = self.look.shares(asked, models)
        if not shares and models:
            shares = dict.fromkeys(models, 1.0) if asked == AUTO else {models[0]: 1.0}
        waits = {name: self.wait_s(name) for name in shares}
        by_wait = sorted(shares, key=lambda name: inf if (w := waits[name]) is None else w)
        left = sum(shares.values()) / 2
        for name in by_wait:
            left -= shares[name]
            if left <= 1e-9:
                return Expected(waits[name], self.ahead(name))
        return Expected()
