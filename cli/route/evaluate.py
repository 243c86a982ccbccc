"""`fleet route eval`: lines whose route is known, decided and compared."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from cli.lines import printable
from cli.route.progress import progress
from cli.route.report import percent
from cli.route.tables import titled
from cli.screen import err, out, print_json
from fleet.errors import ConfigError
from fleet.routing import Classifier as Name
from fleet.settings import Settings
from router import evaluation, policy
from router.classifiers import Classifiers
from router.evaluation import SHORT_CHARS, Figures, Judged, RouteFigures, Share
from router.examples import Labelled, labelled
from router.policy import Manner, Setting
from router.replay import Classify, Turn, every_route, replay
from router.verdict import ROUTES

#: Lines that are decided once before anything is timed.
WARM_UP = 20


@dataclass(frozen=True, slots=True)
class Ran:
    """Who decided."""

    #: As the settings call it.
    classifier: str
    version: str
    #: Names the vectors; empty if no embedding took part.
    embedder: str
    #: Lines by the classifier whose verdict it was.
    verdicts: Mapping[str, int]
    #: What did not work, and why.
    failed: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """All of it, as JSON can say it."""
        return {
            "classifier": self.classifier,
            "version": self.version,
            "embedder": self.embedder,
            "verdicts": dict(self.verdicts),
            "failed": dict(self.failed),
        }


def run(
    settings: Settings, file: Path, name: Name | None, least: float | None, as_json: bool
) -> int:
    """Read, decide, sum up, show. Gives the exit code: 1 if the accuracy is below `least`.

    Raises:
        ConfigError: the file cannot be used (the message names the line), or no model is
            named for the `llm` classifier.
    """
    if name == "llm" and not settings.router.llm:
        raise ConfigError("--classifier llm: name the model that is asked, in [router] llm")
    if name:
        router = settings.router.model_copy(update={"classifier": name})
        settings = settings.model_copy(update={"router": router})
    lines = labelled(file)
    warn_of_strangers(lines, settings)
    judged, ran = judge(lines, settings)
    figures = evaluation.score(judged)
    if as_json:
        print_json({**figures.as_dict(), **ran.as_dict()})
    else:
        for part in drawn(figures, ran):
            out.print(part, soft_wrap=isinstance(part, Text))
    missed = least is not None and figures.accuracy < least
    if missed:
        err.print(f"The accuracy is below --min-accuracy {least}", style="red")
    return int(missed)


def warn_of_strangers(lines: Sequence[Labelled], settings: Settings) -> None:
    """Name the routes of lines that no classifier can give."""
    known = {*ROUTES, *(route.name for route in settings.router.routes)}
    counts = Counter(route for line in lines for route in line.routes if route not in known)
    for route, n in counts.items():
        text = f"No classifier knows the route {route!r} of {n} lines; they count as wrong"
        err.print(printable(text), style="yellow", markup=False, soft_wrap=True)


def judge(lines: Sequence[Labelled], settings: Settings) -> tuple[list[Judged], Ran]:
    """Decide each line as a router of these settings would if it had a model for every route."""
    router = settings.router
    classifiers = Classifiers(settings)
    chain = classifiers.chain(router.classifier)
    catalogue = every_route([*ROUTES, *(route.name for route in router.routes)])
    setting = Setting(catalogue, Manner(router.threshold, router.unsure_route))
    remembers = router.conversation_s > 0
    verdicts: Counter[str] = Counter()
    judged = []
    for line in lines[:WARM_UP]:
        _last_turn(chain.classify, line, setting, remembers)
    with progress("Deciding") as tell:
        for done, line in enumerate(lines, 1):
            turn = _last_turn(chain.classify, line, setting, remembers)
            verdicts[turn.verdict.classifier if turn.verdict else policy.RULES] += 1
            judged.append(Judged(line, turn.decision.route, _if_sure(turn, setting), turn.took_ms))
            tell(done, len(lines))
    embedding = classifiers.embedding if router.classifier != "keywords" else None
    embedder = embedding.embedder.name if embedding else ""
    failed = classifiers.failures.as_dict()
    return judged, Ran(router.classifier, chain.version, embedder, verdicts, failed)


def _last_turn(classify: Classify, line: Labelled, setting: Setting, remembers: bool) -> Turn:
    return replay(classify, {"messages": line.messages}, setting, remembers=remembers)[-1]


def _if_sure(turn: Turn, setting: Setting) -> str:
    """The route that a threshold of 0 would have given."""
    sure = replace(setting, manner=Manner(), memory=turn.memory)
    return policy.decide(turn.seen, turn.verdict, sure).route


def drawn(figures: Figures, ran: Ran) -> Iterator[RenderableType]:
    """The whole evaluation, part by part. Pure."""
    accuracy, macro = percent(figures.accuracy), f"{figures.macro_f1:.3f}"
    yield Text(f"{figures.n:,} lines: accuracy {accuracy}, macro-F1 {macro}", style="bold")
    yield Text(ran_line(ran))
    for name, why in ran.failed.items():
        yield Text(printable(f"{name} failed: {why}"), style="red")
    yield route_table(figures.per_route)
    yield confusion_table(figures.confusion)
    for what, shares in (
        ("source", figures.per_source),
        ("language", figures.per_lang),
        ("kind", figures.per_kind),
    ):
        if shares:
            yield share_table(what, shares)
    yield Text(unsure_line(figures))
    yield Text(time_line(figures))


def ran_line(ran: Ran) -> str:
    """Who decided, and how often each."""
    shares = ", ".join(f"{name} {n:,}" for name, n in ran.verdicts.items())
    embedder = f", embedder {ran.embedder}" if ran.embedder else ""
    return f"Classifier {ran.classifier} ({ran.version}{embedder}); verdicts by: {shares}"


def route_table(routes: Mapping[str, RouteFigures]) -> Table:
    """How well each route was found."""
    table = titled("Routes", "route")
    for column in ("precision", "recall", "F1", "n"):
        table.add_column(column, justify="right")
    for name, each in routes.items():
        ratios = (f"{ratio:.3f}" for ratio in (each.precision, each.recall, each.f1))
        table.add_row(printable(name), *ratios, f"{each.n:,}")
    return table


def confusion_table(confusion: Mapping[str, Mapping[str, int]]) -> Table:
    """From the right route (row) to the one that was given (column)."""
    given = sorted({route for row in confusion.values() for route in row})
    table = titled("Confusion", "right ↓ given →")
    for route in given:
        table.add_column(printable(route), justify="right")
    for right, row in confusion.items():
        cells = (f"{row[route]:,}" if route in row else "–" for route in given)
        table.add_row(printable(right), *cells)
    return table


def share_table(what: str, shares: Mapping[str, Share]) -> Table:
    """The part that is right, the least first."""
    table = titled(f"By {what}", what)
    for column in ("accuracy", "n"):
        table.add_column(column, justify="right")
    for name, share in sorted(shares.items(), key=lambda each: each[1].accuracy):
        table.add_row(printable(name), percent(share.accuracy), f"{share.n:,}")
    return table


def unsure_line(figures: Figures) -> str:
    """How many went elsewhere because nobody was sure, and whether that was good."""
    unsure = figures.unsure
    if not unsure.n:
        return "Unsure: none went to another route for it"
    return (
        f"Unsure: {unsure.n:,} went to another route for it; {unsure.right:,} of them are right, "
        f"without that {unsure.right_if_sure:,} would be"
    )


def time_line(figures: Figures) -> str:
    """How long deciding took."""
    every = f"p50 {figures.p50_all_ms:.2f}, p99 {figures.p99_all_ms:.2f}"
    if figures.p50_ms is None or figures.p99_ms is None:
        return f"Milliseconds to decide: {every}"
    short = f"p50 {figures.p50_ms:.2f}, p99 {figures.p99_ms:.2f}"
    return (
        f"Milliseconds to decide: {short} (one turn up to {SHORT_CHARS} characters); all: {every}"
    )
