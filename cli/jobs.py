"""`fleet jobs`, `fleet job`, `fleet cancel`."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from rich.box import SIMPLE_HEAD
from rich.table import Table

from cli.ask import INTERRUPTED, end_message
from cli.client import FleetClient, find_api
from cli.follow import follow
from cli.lines import printable
from cli.screen import err, out, print_json
from cli.wording import arm_of, cut_at_limit, dollars, limit_reached, untold
from fleet.home import home

T = TypeVar("T")

#: The longest list the API gives; `--limit` in `cli.main` is bound by it.
MOST = 200


def show_list(
    url: str | None, status: str | None, model: str | None, limit: int, as_json: bool
) -> int:
    """The latest jobs, newest first."""
    answer = _call(url, lambda client: client.jobs(status=status, model=model, limit=limit))
    if as_json:
        print_json(answer)
        return 0
    if not answer.get("jobs"):
        out.print(nothing_listed(filtered=bool(status or model)), markup=False, soft_wrap=True)
    else:
        out.print(_table(answer["jobs"]))
    if answer.get("next") and limit < MOST:
        err.print("there are more: raise --limit", style="dim")
    return 0


def nothing_listed(*, filtered: bool) -> str:
    """Said in place of an empty table. Pure."""
    return "No such jobs." if filtered else 'No jobs yet. Ask something: fleet ask "Hello"'


def _table(jobs: Iterable[dict[str, Any]]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("id", "status", "model", "route", "created"):
        table.add_column(column, no_wrap=column not in ("model", "route"), overflow="fold")
    for job in jobs:
        cells = [str(job.get(key) or "") for key in ("id", "status", "model", "route")]
        table.add_row(*cells, moment(job.get("created_at")))
    return table


def show_one(url: str | None, job_id: str, following: bool, as_json: bool) -> int:
    """One job: followed to its end, or as it stands."""
    if following:
        return _follow(url, job_id, as_json)
    job = _call(url, lambda client: client.job(job_id))
    if as_json:
        print_json(job)
        return 0
    table = Table(show_header=False, box=None)
    for name, value in described(job).items():
        table.add_row(name, printable(value))
    out.print(table)
    if rows := attempted(job):
        out.print(_attempts(rows))
    return 0


def cancel(url: str | None, job_id: str, as_json: bool) -> int:
    """Cancel; asking twice, or after the end, is no error."""
    answer = _call(url, lambda client: client.cancel(job_id))
    if as_json:
        print_json(answer)
        return 0
    out.print(f"{answer.get('id')}: {answer.get('status')}", markup=False, soft_wrap=True)
    return 0


def described(job: dict[str, Any]) -> dict[str, str]:
    """The rows of `fleet job`. Pure."""
    rows = {key: str(job[key]) for key in ("id", "status", "route", "model") if job.get(key)}
    if cut_at_limit(str(job.get("status")), job.get("finish_reason")):
        rows["status"] += f": {limit_reached(job)}"
    rows["arm"] = arm_of(job)
    rows["plan"] = " → ".join(job.get("plan") or ())
    rows["reasons"] = "; ".join(job.get("reasons") or ())
    for key in ("created_at", "started_at", "first_token_at", "finished_at"):
        rows[key.removesuffix("_at").replace("_", " ")] = moment(job.get(key))
    rows["cache"] = cache_line(job.get("cache") or {})
    rows["cost"] = cost_line(job)
    error = str((job.get("error") or {}).get("message") or "")
    rows["tried"] = "\n".join(untold(job.get("tried"), error))
    rows["error"] = error
    rows["answer"] = str((job.get("answer") or {}).get("content") or "")
    return {name: value for name, value in rows.items() if value}


def attempted(job: dict[str, Any]) -> list[list[str]]:
    """The attempts at a job, a row each: number, model, worker, from when, for how long, how it
    ended, why. None where the first one was all there is to tell. Pure.
    """
    attempts = job.get("attempts") or []
    if len(attempts) == 1 and attempts[0].get("ended") == "completed":
        return []
    return [
        [
            str(attempt.get("attempt", "")),
            str(attempt.get("model") or ""),
            str(attempt.get("worker") or ""),
            moment(attempt.get("started_at")),
            _took(attempt),
            str(attempt.get("ended") or "goes on"),
            str(attempt.get("reason") or ""),
        ]
        for attempt in attempts
    ]


def _took(attempt: dict[str, Any]) -> str:
    started, ended = attempt.get("started_at"), attempt.get("ended_at")
    return f"{(ended - started) / 1000:.1f} s" if started and ended else ""


def _attempts(rows: Iterable[list[str]]) -> Table:
    table = Table(title="attempts", title_justify="left")
    for column in ("", "model", "worker", "from", "took", "ended"):
        table.add_column(column, no_wrap=True)
    table.add_column("why")
    for row in rows:
        table.add_row(*map(printable, row))
    return table


def cost_line(job: dict[str, Any]) -> str:
    """What it cost and what it would have cost at Claude; empty if neither is known. Pure."""
    here, there = job.get("cost_usd"), job.get("claude_cost_usd")
    if there is None or there == here:
        return "" if here is None else dollars(here)
    shown = "nothing" if here is None else dollars(here)
    return f"{shown}; at the model of `report.compare_with` it would be {dollars(there)}"


def cache_line(cache: Mapping[str, Any]) -> str:
    """Where the answer came from, if not from a model; empty if it did. Pure."""
    status = str(cache.get("status") or "")
    if status == "semantic" and cache.get("question"):
        return f"semantic: {cache['question']!r} ({cache['similarity']:.3f})"
    return status if status != "miss" else ""


def moment(milliseconds: int | None) -> str:
    """A time of day, with its date if that is not today's; or nothing."""
    if not milliseconds:
        return ""
    then = datetime.fromtimestamp(milliseconds / 1000)
    today = then.date() == datetime.now().date()
    return then.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S")


def _follow(url: str | None, job_id: str, as_json: bool) -> int:
    try:
        outcome = _call(url, lambda client: follow(client, job_id, out, silent=as_json))
    except KeyboardInterrupt:  # the job goes on: only this reader leaves
        return INTERRUPTED
    if as_json:
        print_json(outcome.as_dict())
    elif not outcome.well:
        err.print(end_message(outcome), style="red", markup=False, soft_wrap=True)
    return 0 if outcome.well else 1


def _call(url: str | None, what: Callable[[FleetClient], Awaitable[T]]) -> T:
    async def call() -> T:
        async with FleetClient(*find_api(url, home())) as client:
            return await what(client)

    return asyncio.run(call())
