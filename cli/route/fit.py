"""`fleet route fit`: learns the head of the embedding classifier, and says how good it is."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from cli.lines import printable
from cli.route import reading
from cli.route.progress import progress
from cli.route.report import percent
from cli.route.tables import cut, titled
from cli.screen import err, out, print_json
from fleet.errors import ConfigError, FleetFault
from fleet.home import home
from fleet.settings import Settings
from router import embedders, held_out
from router.embedding import fitted_name
from router.examples import Example, of_routes, shipped
from router.fit import GIVEN, Lesson, fit, prepare
from router.head import Head
from router.held_out import HeldOut, Recall
from router.verdict import ROUTES

#: Examples that a warning names.
SHOWN_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the caller asked for."""

    embedder: str
    #: How far back feedback counts; None: not at all.
    feedback_ms: int | None
    #: The file to write; None: where a router looks for it.
    out: Path | None


@dataclass(frozen=True, slots=True)
class Fitted:
    """What was learned, and how good it is on what it was not learned from."""

    path: str
    embedder: str
    version: str
    examples: int
    #: How many of them the configuration and feedback gave.
    given: int
    #: Examples of each route.
    routes: Mapping[str, int]
    seconds: float
    #: The part of the shipped examples that is found by leaving one source out.
    accuracy: float
    per_source: Mapping[str, float]
    per_route: Sequence[Recall]
    #: The given examples, each held out.
    own: Sequence[Recall]

    def as_dict(self) -> dict[str, Any]:
        """All of it, as JSON can say it."""
        figures = ("n", "recall", "taken_for")
        per_route = {
            each.route: {name: getattr(each, name) for name in figures} for each in self.per_route
        }
        own = {each.route: asdict(each) for each in self.own}
        return {**asdict(self), "per_route": per_route, "own": own}


def run(settings: Settings, wanted: Wanted, as_json: bool) -> None:
    """Learn, judge, write, show.

    Raises:
        ConfigError: the embedding does not work here.
        FleetFault: the file cannot be written.
        StoreUnavailable: feedback is wanted, and Redis does not answer.
    """
    found = learned(settings, wanted)
    for warning in warnings(found.own):
        err.print(printable(warning), style="yellow", markup=False, soft_wrap=True)
    if as_json:
        print_json(found.as_dict())
        return
    for part in drawn(found):
        out.print(part, soft_wrap=isinstance(part, Text))


def learned(settings: Settings, wanted: Wanted) -> Fitted:
    """Learn from everything there is, and write the file."""
    began = time.perf_counter()
    examples = [*shipped(), *of_routes(settings.router.routes)]
    if wanted.feedback_ms is not None:
        examples += from_feedback(settings, wanted.feedback_ms)
    embedder = _loaded(wanted.embedder, settings.router.threads)
    with progress("Embedding") as tell:
        lesson = Lesson(prepare(examples, embedder, tell))
    with progress("Holding out sources") as tell:
        of_sources = held_out.by_source(lesson, tell)
    with progress("Holding out examples") as tell:
        own = held_out.recalls(held_out.one_by_one(lesson, tell))
    accuracy = round(held_out.accuracy(of_sources), 4)
    head = fit(lesson, wanted.embedder, {"accuracy_by_leaving_one_source_out": accuracy})
    path = wanted.out or Path(settings.router.head or home() / fitted_name(settings.router))
    try:
        head.save(path)
    except OSError as error:
        raise FleetFault(
            f"{path} cannot be written: {error.strerror}; name another: --out"
        ) from None
    return Fitted(
        path=str(path),
        embedder=wanted.embedder,
        version=Head.read(path).version,
        examples=len(examples),
        given=sum(example.source in GIVEN for example in examples),
        routes=dict(Counter(example.route for example in examples)),
        seconds=round(time.perf_counter() - began, 1),
        accuracy=accuracy,
        per_source=_accuracies(held_out.by_its_source(of_sources)),
        per_route=held_out.recalls(of_sources),
        own=own,
    )


def from_feedback(settings: Settings, window_ms: int) -> Iterator[Example]:
    """The texts whose route a caller has corrected; of one text, the last word counts."""
    known = {*ROUTES, *(route.name for route in settings.router.routes)}
    strangers: Counter[str] = Counter()
    for text, route in dict(reading.named_texts(settings, window_ms)).items():
        if route in known:
            yield Example(text, route, source="feedback")
        else:
            strangers[route] += 1
    for route, n in strangers.items():
        told = f"Left out {n} texts of feedback: there is no route {route!r} in [router]"
        err.print(printable(told), style="yellow", markup=False, soft_wrap=True)


def warnings(own: Iterable[Recall]) -> Iterator[str]:
    """The routes whose examples are mostly taken for another's."""
    for each in own:
        if each.mostly_missed:
            other, n = next(iter(each.taken_for.items()))
            texts = [cut(text) for text, route in each.missed if route == other]
            shown = ", ".join(f'"{text}"' for text in texts[:SHOWN_EXAMPLES])
            yield (
                f"Of the {each.n} examples of {each.route!r}, held out one by one, {n} are taken "
                f"for {other!r}: {shown}; give more examples, or such as differ more from {other!r}"
            )


def drawn(found: Fitted) -> Iterator[RenderableType]:
    """What was learned, part by part. Pure."""
    yours = f", {found.given:,} of them yours" if found.given else ""
    yield Text(
        f"{found.examples:,} examples{yours}, learned in {found.seconds} s: {found.path}",
        style="bold",
    )
    yield route_table(found.routes, found.per_route)
    yield Text(f"Accuracy by leaving one source out: {percent(found.accuracy)}")
    for each in found.own:
        hits = round(each.recall * each.n)
        yield Text(
            printable(f"Yours, held out one by one: {hits} of {each.n} of {each.route} found")
        )
    yield Text("A router reads it at its start: restart one that runs.")


def route_table(counts: Mapping[str, int], recalls: Iterable[Recall]) -> Table:
    """The examples of each route, and what became of those that were held out."""
    table = titled("Routes", "route")
    for column in ("examples", "found when left out"):
        table.add_column(column, justify="right")
    table.add_column("else taken for")
    by_route = {each.route: each for each in recalls}
    for route, n in counts.items():
        each = by_route.get(route)
        taken = ", ".join(f"{other} {m:,}" for other, m in each.taken_for.items()) if each else ""
        share = percent(each.recall if each else None)
        table.add_row(printable(route), f"{n:,}", share, printable(taken))
    return table


def _loaded(name: str, threads: int) -> embedders.Embedder:
    try:
        return embedders.load(name, threads)
    except (ImportError, OSError, RuntimeError) as error:
        raise ConfigError(f"the embedding {name!r} does not work here: {error}") from None


def _accuracies(groups: Mapping[str, Sequence[HeldOut]]) -> dict[str, float]:
    return {name: round(held_out.accuracy(group), 4) for name, group in groups.items()}
