"""The report as tables and lines. Pure."""

from collections.abc import Iterable, Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from cli.lines import printable
from cli.report.comparison import Facts, Line, comparison
from cli.route.report import external_line, figures_tables, percent
from cli.route.tables import titled
from cli.wording import dollars
from router.work import SHORTEST_WAIT_MS, Bill, Cached, Predictions, Work


def drawn(found: Work, facts: Facts, since: str) -> Iterator[RenderableType]:
    """The whole report, part by part."""
    jobs = found.overall.jobs
    if not jobs:
        yield Text(f"No job has ended in the last {since}.")
        return
    yield Text(f"{jobs:,} jobs ended in the last {since}", style="bold")
    if found.alert:
        yield Text(found.alert, style="bold red")
    yield from figures_tables("model", (*found.models, found.overall), priced=False)
    yield bill_table(found)
    yield comparison_table(comparison(found, facts))
    if found.external_rate is not None:
        yield Text(external_line(found.external_rate, found.alert))
    yield Text(cache_line(found.caches, jobs))
    yield Text(prediction_line(found.predictions))


def bill_table(found: Work) -> Table:
    """What each model's answers cost, and what the same tokens would have cost elsewhere."""
    table = titled("Models: US dollars", "model")
    for column in ("cost", f"at {printable(found.compared_with)}", "saved"):
        table.add_column(column, justify="right")
    for each in found.models:
        table.add_row(printable(each.name), *_amounts(found.bills[each.name]))
    table.add_row("all", *_amounts(found.bill))
    return table


def _amounts(bill: Bill) -> Iterator[str]:
    return map(dollars, (bill.cost_usd, bill.there_usd, bill.saved_usd))


def comparison_table(lines: Iterable[Line]) -> Table:
    """This fleet beside what was expected of two models."""
    table = titled("In the strategy's own table", "metric", "here", "expected")
    for line in lines:
        table.add_row(*map(printable, line))
    return table


def cache_line(caches: Iterable[Cached], jobs: int) -> str:
    """What caches have answered, and what no model had to read and write for it."""
    parts = [
        f"{each.kind} {each.jobs:,} ({percent(each.jobs / jobs)}), "
        f"{each.prompt_tokens:,} tokens in and {each.completion_tokens:,} out saved"
        for each in caches
    ]
    return f"Cache: {'; '.join(parts) or 'no answer came from one'}"


def prediction_line(predictions: Predictions) -> str:
    """How the predicted waits came true."""
    least = f"{SHORTEST_WAIT_MS / 1000:g} s"
    if predictions.median_error is None:
        return f"Predicted waits: no job with one waited {least} or more"
    error = percent(predictions.median_error)
    jobs = f"jobs that waited {least} or more: {predictions.jobs:,}"
    return f"Predicted waits: off by {error} (median; {jobs})"
