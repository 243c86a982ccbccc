"""`fleet route report`: what the decisions came to, drawn as tables."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from cli.bench.report import shown
from cli.lines import printable
from cli.route import reading
from cli.route.tables import titled
from cli.screen import out, print_json
from cli.solo import settings_of_role
from cli.wording import dollars, stars
from fleet.routing import FEWEST_EXAMPLES
from router.figures import Figures
from router.report import (
    AVERAGE_LIMIT_S,
    EXTERNAL_LIMIT,
    Misroute,
    Report,
    Share,
    Slow,
    report,
)
from router.suggestions import Suggestion


def run(config: Path | None, window_ms: int, since: str, as_json: bool) -> None:
    """Read, sum up, show."""
    settings = settings_of_role(config)[0]
    rows = reading.rows(settings, window_ms)
    texts = reading.named_texts(settings, window_ms)
    external = {model.name for model in settings.models if model.external}
    found = report(rows, texts, external=external)
    if as_json:
        print_json(found.as_dict())
        return
    own = {route.name for route in settings.router.routes}
    for part in drawn(found, since, own):
        out.print(part, soft_wrap=isinstance(part, Text))


def drawn(found: Report, since: str, own: Collection[str] = ()) -> Iterator[RenderableType]:
    """The whole report, part by part; `own`: routes with a table in the configuration. Pure."""
    if not found.jobs:
        yield Text(f"No decisions in the last {since}.")
        return
    yield Text(f"{found.jobs:,} jobs in the last {since}", style="bold")
    if found.alert:
        yield Text(found.alert, style="bold red")
    yield share_table(found.shares)
    yield from figures_tables("route", (*found.routes, found.overall))
    yield from figures_tables("model", found.models)
    yield from (Text(line) for line in verdict_lines(found))
    yield slow_table(found.slowest)
    yield Text(misroute_line(found))
    if found.misroutes:
        yield misroute_table(found.misroutes)
    for suggestion in found.suggestions:
        yield Text("\n".join(suggestion_lines(suggestion, suggestion.route in own)))


def share_table(shares: Iterable[Share]) -> Table:
    """Each route's part of the jobs, and whether it is the expected one."""
    table = titled("Shares", "route")
    for column in ("of all jobs", "95 % CI", "expected", ""):
        table.add_column(column, justify="left" if not column else "right")
    for share in shares:
        low, high = share.part.interval or (0.0, 1.0)
        asked = share.expected
        table.add_row(
            printable(share.route),
            percent(share.part.value),
            f"{percent(low)}..{percent(high)}",
            f"{asked[0]:.0%}..{asked[1]:.0%}" if asked else "",
            share.verdict,
        )
    return table


def figures_tables(
    name: str, figures: Sequence[Figures], *, priced: bool = True
) -> Iterator[Table]:
    """Times of routes or models, then what went in and out, with its cost if `priced` and known;
    each as wide as a terminal."""
    times = titled(f"{name.capitalize()}s: seconds", name)
    for column in ("n", "of all", "average", "median", "first p50", "p95", "tokens/s"):
        times.add_column(column, justify="right")
    priced = priced and any(each.cost_usd is not None for each in figures)
    work = titled(f"{name.capitalize()}s: tokens and faults", name)
    rates = ("fall-over", "failed", "rating", *(("cost",) if priced else ()))
    for column in ("tokens in", "out", *rates):
        work.add_column(column, justify="right")
    for each in figures:
        times.add_row(
            printable(each.name),
            f"{each.jobs:,}",
            percent(each.share),
            shown(each.average_s),
            shown(each.median_s),
            shown(each.first_token_p50_s),
            shown(each.first_token_p95_s),
            "–" if each.tokens_per_s is None else f"{each.tokens_per_s:,.0f}",
        )
        work.add_row(
            printable(each.name),
            f"{each.prompt_tokens:,}",
            f"{each.completion_tokens:,}",
            percent(each.fall_over_rate),
            percent(each.failure_rate),
            stars(each.rating, each.ratings),
            *((dollars(each.cost_usd),) if priced else ()),
        )
    yield times
    yield work


def verdict_lines(found: Report) -> Iterator[str]:
    """The average time and the external models, beside what is expected of them."""
    if found.quick_enough is not None:
        word = "within" if found.quick_enough else "above"
        average = shown(found.overall.average_s)
        yield f"Average answer: {average} s, expected under {AVERAGE_LIMIT_S:.0f} s: {word}"
    if found.external_rate is not None:
        yield external_line(found.external_rate, found.alert)


def external_line(rate: float, alert: str) -> str:
    """The external models' part of the answers, beside what is expected of it."""
    word = "above" if alert else "within"
    return f"External models: {percent(rate)}, expected up to {EXTERNAL_LIMIT:.0%}: {word}"


def slow_table(slowest: Iterable[Slow]) -> Table:
    """The jobs that took longest."""
    table = titled("Slowest", "job")
    table.add_column("route")
    table.add_column("model")
    table.add_column("seconds", justify="right")
    for slow in slowest:
        table.add_row(slow.job, printable(slow.route), printable(slow.model), shown(slow.seconds))
    return table


def misroute_line(found: Report) -> str:
    """How many jobs somebody has said something about, and how many of them went wrong."""
    if not found.rated:
        return "Feedback: none yet."
    rated = f"{found.rated:,} jobs ({percent(found.rated / found.jobs)} of all)"
    wrong = f"{found.misrouted:,} of them misrouted ({percent(found.misrouted / found.rated)})"
    return f"Feedback: {rated}, {wrong}"


def misroute_table(misroutes: Sequence[Misroute]) -> Table:
    """From the route that was taken (row) to the one that was right (column)."""
    counts = {(each.taken, each.right): each.jobs for each in misroutes}
    rights = sorted({each.right for each in misroutes})
    table = titled("Misroutes", "taken ↓ right →")
    for right in rights:
        table.add_column(printable(right), justify="right")
    for taken in sorted({each.taken for each in misroutes}):
        cells = (counts.get((taken, right), 0) for right in rights)
        table.add_row(printable(taken), *(f"{cell:,}" if cell else "–" for cell in cells))
    return table


def suggestion_lines(suggestion: Suggestion, has_table: bool = False) -> Iterator[str]:
    """Keywords and examples of one route; it may have a table in the configuration already."""
    if words := ", ".join(f"{k.word} ({k.here})" for k in suggestion.keywords):
        yield f"Keywords for {suggestion.route}: {printable(words)}"
    if has_table:
        lines = printable(suggestion.lines)
        yield f"Examples for {suggestion.route}, to add to those it has:\n\n{lines}"
    elif suggestion.toml:
        yield f"Examples for {suggestion.route}, to paste:\n\n{printable(suggestion.toml)}"
    else:
        count = len(suggestion.examples)
        yield f"Examples for {suggestion.route}: {count}; a route needs {FEWEST_EXAMPLES}"


def percent(part: float | None) -> str:
    """A part of one; `–` where there is none."""
    return "–" if part is None else f"{part:.1%}"
