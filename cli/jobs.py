"""`fleet jobs`, `fleet job`, `fleet cancel`."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, TypeVar

from rich.table import Table

from cli.ask import INTERRUPTED, end_message
from cli.client import FleetClient, find_api
from cli.follow import follow
from cli.lines import printable
from cli.screen import err, out
from fleet.home import home

T = TypeVar("T")


def show_list(
    url: str | None, status: str | None, model: str | None, limit: int, as_json: bool
) -> int:
    """The latest jobs, newest first."""
    answer = _call(url, lambda client: client.jobs(status=status, model=model, limit=limit))
    if as_json:
        _print_json(answer)
        return 0
    table = Table()
    for column in ("id", "status", "model", "route", "created"):
        table.add_column(column, no_wrap=True)
    for job in answer.get("jobs") or ():
        cells = [str(job.get(key) or "") for key in ("id", "status", "model", "route")]
        table.add_row(*cells, moment(job.get("created_at")))
    out.print(table)
    if answer.get("next"):
        err.print("there are more: raise --limit", style="dim")
    return 0


def show_one(url: str | None, job_id: str, following: bool, as_json: bool) -> int:
    """One job: followed to its end, or as it stands."""
    if following:
        return _follow(url, job_id, as_json)
    job = _call(url, lambda client: client.job(job_id))
    if as_json:
        _print_json(job)
        return 0
    table = Table(show_header=False, box=None)
    for name, value in described(job).items():
        table.add_row(name, printable(value))
    out.print(table)
    return 0


def cancel(url: str | None, job_id: str) -> int:
    """Cancel; asking twice, or after the end, is no error."""
    answer = _call(url, lambda client: client.cancel(job_id))
    out.print(f"{answer.get('id')}: {answer.get('status')}", markup=False, soft_wrap=True)
    return 0


def described(job: dict[str, Any]) -> dict[str, str]:
    """The rows of `fleet job`. Pure."""
    rows = {key: str(job[key]) for key in ("id", "status", "route", "model") if job.get(key)}
    rows["plan"] = " → ".join(job.get("plan") or ())
    rows["reasons"] = "; ".join(job.get("reasons") or ())
    for key in ("created_at", "started_at", "first_token_at", "finished_at"):
        rows[key.removesuffix("_at").replace("_", " ")] = moment(job.get(key))
    for failed in job.get("tried") or ():
        rows[f"tried {failed.get('model')}"] = str(failed.get("message") or failed.get("code"))
    rows["error"] = str((job.get("error") or {}).get("message") or "")
    rows["answer"] = str((job.get("answer") or {}).get("content") or "")
    return {name: value for name, value in rows.items() if value}


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
        _print_json(outcome.as_dict())
    elif not outcome.well:
        err.print(end_message(outcome), style="red", markup=False, soft_wrap=True)
    return 0 if outcome.well else 1


def _call(url: str | None, what: Callable[[FleetClient], Awaitable[T]]) -> T:
    async def call() -> T:
        async with FleetClient(*find_api(url, home())) as client:
            return await what(client)

    return asyncio.run(call())


def _print_json(value: Any) -> None:
    out.print(json.dumps(value), markup=False, soft_wrap=True)
