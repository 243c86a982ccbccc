"""`fleet route compare`: the arms of an experiment side by side, and a verdict."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from cli.bench.report import shown
from cli.lines import printable
from cli.route import reading
from cli.route.report import percent
from cli.screen import out, print_json
from cli.solo import settings_of_role
from fleet.errors import NotFound
from fleet.routing import Experiment
from router.clusters import Estimate
from router.compare import ArmFigures, Comparison, compare, experiments_of


def run(config: Path | None, name: str, window_ms: int, since: str, as_json: bool) -> None:
    """Read, compare, show.

    Raises:
        NotFound: no such experiment is configured, nor has the log seen one.
    """
    settings = settings_of_role(config)[0]
    rows = reading.rows(settings, window_ms)
    chosen = find(name, settings.router.experiments, experiments_of(rows))
    order = [arm.name for arm in chosen.arms] if chosen else []
    found = compare(rows, name, order, by=chosen.by if chosen else "conversation")
    if as_json:
        print_json(found.as_dict())
        return
    for part in drawn(found, since):
        out.print(part, soft_wrap=isinstance(part, Text))


def find(name: str, configured: Sequence[Experiment], seen: Sequence[str]) -> Experiment | None:
    """The experiment of that name; None where the log has seen it and the file has it no more.

    Raises:
        NotFound: neither knows it. The message lists the names that are known.
    """
    chosen = next((each for each in configured if each.name == name), None)
    if chosen is None and name not in seen:
        names = ", ".join(each.name for each in configured) or "none"
        raise NotFound(
            f"there is no experiment {name!r}; in [router] there are: {names}; "
            f"in this part of the decision log: {', '.join(seen) or 'none'}"
        )
    return chosen


def drawn(found: Comparison, since: str) -> Iterator[RenderableType]:
    """The whole comparison, part by part. Pure."""
    if not found.arms:
        yield Text(f"No job took part in {found.experiment} in the last {since}.")
        return
    yield arms_table(found)
    for arm in found.arms:
        if arm.disagreements:
            yield Text(disagreement_line(arm))
    yield from (Text(line) for line in verdict_lines(found))


def arms_table(found: Comparison) -> Table:
    """A column for each arm; below each figure its 95 % interval."""
    title = f"{found.experiment}: arms by {found.by}, with 95 % intervals"
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    table.add_column("")
    for arm in found.arms:
        table.add_column(printable(arm.name) + " (shadow)" * arm.shadow, justify="right")
    rows = [_cells(arm, found.by) for arm in found.arms]
    for label in rows[0]:
        table.add_row(label, *(cells[label] for cells in rows))
    return table


def _cells(arm: ArmFigures, by: str) -> dict[str, str]:
    routes = (f"{printable(route)} {percent(part)}" for route, part in arm.routes.items())
    return {
        "jobs": f"{arm.jobs:,}",
        f"{by}s": f"{arm.groups:,}",
        "routes": "\n".join(routes),
        "first token, median s": _with_interval(arm.first_token_ms, _seconds),
        "total, median s": _with_interval(arm.total_ms, _seconds),
        "fall-overs": _with_interval(arm.fall_overs, percent),
        "failures": _with_interval(arm.failures, percent),
        "misroutes of rated": _with_interval(arm.misroutes, percent),
        "rating": _with_interval(arm.rating, shown),
        "says what was decided": _with_interval(arm.agreement, percent),
    }


def _with_interval(estimate: Estimate | None, told: Callable[[float], str]) -> str:
    if estimate is None:
        return "–"
    value = told(estimate.value)
    ends = estimate.interval
    return f"{value}\n({told(ends[0])}..{told(ends[1])})" if ends else value


def _seconds(milliseconds: float) -> str:
    return shown(milliseconds / 1000)


def disagreement_line(arm: ArmFigures) -> str:
    """Where a shadow arm would have sent what was sent elsewhere."""
    ways = (f"{each.decided} → {each.shadow} {each.jobs:,}" for each in arm.disagreements)
    return printable(f"arm {arm.name} would have changed: {', '.join(ways)}")


def verdict_lines(found: Comparison) -> Iterator[str]:
    """What the arms differ in, and how surely that is known."""
    if not found.findings:
        yield "There is one arm that decides, and nothing to compare it with."
        return
    counted = sum(finding.difference is not None for finding in found.findings)
    for finding in found.findings:
        yield printable(finding.sentence)
    if counted > 1:
        yield f"The {counted} intervals of these sentences hold together with 95 % (Bonferroni)."
