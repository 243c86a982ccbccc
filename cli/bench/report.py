"""Figures as tables, and as one line. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

_PERCENTILES = ("p50", "p95", "p99")


def level_table(level: Mapping[str, Any], what: str) -> Table:
    """One level: what each way took, and the difference."""
    table = _ways_table(f"{level['streams']} streams, {what}", level, ("direct", "fleet"))
    added = level["added_ms"]
    table.add_row("added", plus(added["p50"]), plus(added["p95"]), style="bold")
    return table


def crowd_table(level: Mapping[str, Any], what: str, count: int) -> Table:
    """One level without and with idle readers, and the ratio."""
    title = f"{level['streams']} streams, {what}; {count:,} idle readers"
    table = _ways_table(title, level, ("without", "with"))
    table.add_row("ratio", shown(level["ratio"]), style="bold")
    return table


def crowd_lines(crowd: Mapping[str, Any]) -> Iterable[str]:
    """What idle readers cost beside the time of others."""
    for level in crowd["levels"]:
        for way, cpu in level["cpu_ms_per_job"].items():
            yield cpu_line(f"CPU ms per job {way} them", cpu)
    memory = ", ".join(
        f"{role} {m['before_mb']:.0f}→{m['with_mb']:.0f}" for role, m in crowd["memory"].items()
    )
    yield f"Memory MB, without→with: {memory}"
    each = crowd["added_mb"] * 1024 / crowd["count"]
    yield (
        f"{crowd['count']:,} idle readers: {crowd['added_mb']:+.1f} MB in the API ({each:.0f} KiB "
        f"each), {crowd['lost']} lost; they came within {crowd['came_s']:.1f} s"
    )


def _ways_table(title: str, level: Mapping[str, Any], ways: Iterable[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    table.add_column("ms")
    for column in ("first token p50", "p95", "p99", "total p50", "gap p99", "lost", "jobs/s"):
        table.add_column(column, justify="right")
    for name in ways:
        way = level[name]
        table.add_row(
            name,
            *(shown(way["ttft_ms"][each]) for each in _PERCENTILES),
            shown(way["total_ms"]["p50"]),
            shown(way["gap_ms"]["p99"]),
            f"{way['lost']} of {way['requests']}",
            shown(way["jobs_per_s"]),
        )
    return table


def client_line(level: Mapping[str, Any]) -> str:
    """What the measuring itself took from the processors."""
    direct, fleet = (level[way]["client_cpu_ms_per_request"] for way in ("direct", "fleet"))
    return f"CPU ms per request of this client: direct {shown(direct)}, fleet {shown(fleet)}"


def cpu_line(title: str, cpu: Mapping[str, float | None]) -> str:
    """Processor time of each process for one job, and of all together."""
    parts = ", ".join(f"{role} {shown(value)}" for role, value in cpu.items())
    whole = sum(value or 0.0 for value in cpu.values())
    return f"{title}: {parts}; together {whole:.2f} ms"


def throughput_lines(throughput: Mapping[str, Any]) -> Iterable[str]:
    """What the fleet does when nothing holds it back."""
    yield f"One-token jobs: {throughput['one_token_jobs_per_s']:,.0f}/s"
    yield f"Flat out: {throughput['tokens_per_s']:,} tokens/s"
    if cpu := throughput["cpu_ms_per_one_token_job"]:
        yield cpu_line("CPU ms per one-token job", cpu)


def memory_line(memory: Mapping[str, Mapping[str, float]]) -> str:
    """Resident memory of each process, before and after the load."""
    parts = ", ".join(
        f"{role} {m['idle_mb']:.0f}→{m['after_mb']:.0f}" for role, m in memory.items()
    )
    idle = sum(each["idle_mb"] for each in memory.values())
    after = sum(each["after_mb"] for each in memory.values())
    return f"Memory MB, idle→after: {parts}; together {idle:.0f}→{after:.0f}"


def summary(figures: Mapping[str, Any]) -> str:
    """The whole run in one line."""
    parts = [
        f"{level['streams']} streams: first token {plus(level['added_ms']['p50'])} ms p50, "
        f"{plus(level['added_ms']['p95'])} ms p95, {level['errors']} errors"
        for level in figures["levels"]
    ]
    if throughput := figures["throughput"]:
        parts.append(
            f"{throughput['one_token_jobs_per_s']:,.0f} one-token jobs/s, "
            f"{throughput['tokens_per_s']:,} tokens/s"
        )
    return "; ".join(parts)


def shown(value: float | None) -> str:
    """A figure; `–` where there was nothing to measure."""
    return "–" if value is None else f"{value:.2f}"


def plus(value: float | None) -> str:
    """A difference."""
    return "–" if value is None else f"{value:+.2f}"


def waits_table(told: Mapping[str, Any]) -> Table:
    """What jobs were told of their waits, against what came true."""
    table = Table(title="Predicted waits: part of the real one", box=SIMPLE_HEAD)
    for head in ("jobs", "of these", "longest s", "202: median", "p90", "routed: median", "p90"):
        table.add_column(head, justify="left" if head == "jobs" else "right")
    for name, figures in told.items():
        errors = (
            figures[when][what] for when in ("posted", "routed") for what in ("median", "p90")
        )
        shown = ["-" if error is None else f"{error:.0%}" for error in errors]
        table.add_row(name, str(figures["jobs"]), f"{figures['longest_s']:.1f}", *shown)
    return table
