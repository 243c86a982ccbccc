"""A page of the book: what was called and spent on one day, by whom and at which model. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from fleet.callers import NANO
from fleet.catalogue import Catalogue, Model
from fleet.spend.day import Zone, days_in_month, in_words, month_until
from fleet.spend.settings import Spend

What = Literal["calls", "usd"]

#: The scope of everything together.
ALL = "all"
#: Of a day: before that, a forecast would be a guess from an hour or two.
TOO_EARLY = 0.25


def of_model(name: str) -> str:
    """The scope of one model."""
    return f"model:{name}"


def of_caller(name: str) -> str:
    """The scope of one key."""
    return f"caller:{name}"


@dataclass(frozen=True, slots=True)
class Figures:
    """What was spent in one scope. Money is in 10^-9 US dollars."""

    calls: int = 0
    nano: int = 0
    #: Set aside for calls under way.
    held: int = 0

    @property
    def usd(self) -> float:
        """US dollars spent."""
        return self.nano / NANO

    @property
    def held_usd(self) -> float:
        """US dollars set aside."""
        return self.held / NANO

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(self.calls + other.calls, self.nano + other.nano, self.held + other.held)


@dataclass(frozen=True, slots=True)
class Cap:
    """What may be spent in one scope in a day; 0: no bound."""

    scope: str
    calls: int = 0
    usd: float = 0.0
    #: Where it is set, for messages: of calls, of dollars.
    set_by: tuple[str, str] = ("", "")

    def full(self, figures: Figures) -> What | None:
        """Of what nothing is left, not even for the cheapest call; None: there is some of both."""
        if self.calls and figures.calls >= self.calls:
            return "calls"
        if self.usd and figures.nano + figures.held >= round(self.usd * NANO):
            return "usd"
        return None

    def told(self, what: What) -> str:
        """The cap in words: `the 100 calls of today (`calls_per_day` of 'claude')`."""
        amount = f"${self.usd:g}" if what == "usd" else f"{self.calls} calls"
        return f"the {amount} of today ({self.set_by[what == 'usd']})"


def cap_of_all(spend: Spend) -> Cap:
    """The cap over all models."""
    set_by = ("[spend] calls_per_day", "[spend] usd_per_day")
    return Cap(ALL, spend.calls_per_day, spend.usd_per_day, set_by)


def cap_of_model(model: Model) -> Cap:
    """The cap of one model."""
    set_by = (f"`calls_per_day` of {model.name!r}", f"`usd_per_day` of {model.name!r}")
    return Cap(of_model(model.name), model.calls_per_day, model.usd_per_day, set_by)


def cap_of_caller(name: str, calls: int, usd: float) -> Cap:
    """The cap of one key."""
    return Cap(of_caller(name), calls, usd, ("this key's calls", "this key's budget"))


@dataclass(frozen=True, slots=True)
class Hold:
    """What is asked to be set aside for one call."""

    #: `{job}.{attempt}`: asking twice for one sets nothing aside twice.
    id: str
    usd: float
    caps: Sequence[Cap]


@dataclass(frozen=True, slots=True)
class Sheet:
    """One day's page; several added up are a month's."""

    #: By scope, see `ALL`, `of_model`, `of_caller`.
    figures: Mapping[str, Figures] = field(default_factory=dict)

    @classmethod
    def read(cls, raw: Mapping[str, str]) -> "Sheet":
        """A page from the hash `fleet:book:{day}`: `{scope}:{calls|nano|held}`."""
        amounts: dict[str, dict[str, int]] = {}
        for name, value in raw.items():
            scope, _, what = name.rpartition(":")
            amounts.setdefault(scope, {})[what] = int(value)
        return cls({scope: Figures(**of_scope) for scope, of_scope in amounts.items()})

    def __getitem__(self, scope: str) -> Figures:
        return self.figures.get(scope, Figures())

    @property
    def callers(self) -> tuple[str, ...]:
        """Names of the keys that have spent something."""
        return tuple(sorted(self._names("caller:")))

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models that were called."""
        return tuple(sorted(self._names("model:")))

    def _names(self, prefix: str) -> Iterator[str]:
        return (scope.removeprefix(prefix) for scope in self.figures if scope.startswith(prefix))


@dataclass(frozen=True, slots=True)
class Today:
    """The page of today."""

    #: Redis' clock, in milliseconds.
    now: int
    #: Its number; see `fleet.spend.day`.
    day: int
    sheet: Sheet


def total(sheets: Iterable[Sheet]) -> Sheet:
    """Several pages as one."""
    sums: dict[str, Figures] = {}
    for sheet in sheets:
        for scope, figures in sheet.figures.items():
            sums[scope] = sums.get(scope, Figures()) + figures
    return Sheet(sums)


def used_up(sheet: Sheet, catalogue: Catalogue, spend: Spend) -> dict[str, str]:
    """The models that may not be called any more today, each with the reason."""
    found = {}
    for model in catalogue.enabled:
        for cap in (cap_of_model(model), cap_of_all(spend)) if model.paid else ():
            if what := cap.full(sheet[cap.scope]):
                found[model.name] = f"{cap.told(what)} are used up"
                break
    return found


def forecast_usd(month: Figures, zone: Zone, now_ms: float) -> float | None:
    """What the whole month will have cost if it goes on like the days so far, today by the part
    of it that is over; None in the first hours of a month.
    """
    today = zone.day(now_ms)
    days = len(month_until(today)) - 1 + zone.part_over(now_ms)
    return month.usd / days * days_in_month(today) if days >= TOO_EARLY else None


def turns(zone: Zone, now_ms: float) -> str:
    """When the day turns, in words."""
    return f"the day turns at midnight, {zone.name}, in {in_words(zone.left_s(now_ms))}"
