"""`fleet webhooks secret`, `list` and `retry`: straight to Redis, for whoever runs the fleet."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from rich.table import Table

from cli.jobs import moment
from cli.lines import printable
from cli.screen import out, print_json
from cli.solo import settings_of_role
from fleet.callers import LOCAL
from fleet.dispatch import Dispatcher
from fleet.errors import Conflict, InvalidRequest, NotFound
from fleet.job import job_id_of
from fleet.keys import Keys
from fleet.ledger import connect
from fleet.line import Line
from fleet.settings import Settings
from fleet.webhooks.outbox import Listed, Outbox

T = TypeVar("T")


def show_secret(config: Path | None, name: str | None) -> None:
    """One caller's secret, alone on its line, so that it may be put into a variable.

    Raises:
        InvalidRequest: nobody has that name.
    """
    settings = settings_of_role(config)[0]
    made = _with_line(settings, lambda line: Keys(line).all())
    callers = (*settings.api.callers.values(), *(key.caller.name for key in made)) or (LOCAL,)
    chosen = name or callers[0]
    if chosen not in callers:
        raise InvalidRequest(f"no caller {chosen!r}; there are: {', '.join(callers)}")
    secret = _with_outbox(settings, lambda outbox: outbox.secret_of(chosen))
    out.print(secret, markup=False, soft_wrap=True)


def show_list(config: Path | None, limit: int, as_json: bool) -> None:
    """What is not delivered."""
    settings = settings_of_role(config)[0]
    found = _with_outbox(settings, lambda outbox: outbox.listed(limit))
    if as_json:
        print_json({"webhooks": [asdict(one) for one in found]})
    elif not found:
        out.print("Nothing waits, and nothing was given up.")
    else:
        out.print(_table(found))


def retry(config: Path | None, named: str) -> None:
    """Have a delivery tried now.

    Raises:
        NotFound: there is no such job, or it has no webhook.
        Conflict: it has not ended yet.
    """
    job_id = job_id_of(named)
    settings = settings_of_role(config)[0]
    done = _with_outbox(settings, lambda outbox: outbox.retry(job_id)) if job_id else None
    if done is None:
        raise NotFound(f"there is no job {named[:80]!r} with a webhook")
    if not done:
        raise Conflict(f"{named} has not ended: there is nothing to tell yet")
    out.print(f"{named}: it will be tried now", markup=False, soft_wrap=True)


def _table(found: Iterable[Listed]) -> Table:
    table = Table()
    for column in ("job", "caller", "state", "tries", "the last one", "next"):
        table.add_column(column, no_wrap=column == "job")
    for one in found:
        last = printable(one.last_error) or (str(one.last_status) if one.last_status else "")
        cells = [one.job_id, one.caller, one.state, str(one.attempts), last]
        table.add_row(*cells, moment(one.next_at))
    return table


def _with_outbox(settings: Settings, what: Callable[[Outbox], Awaitable[T]]) -> T:
    return _with_line(settings, lambda line: what(Outbox(line, settings, Dispatcher(settings))))


def _with_line(settings: Settings, what: Callable[[Line], Awaitable[T]]) -> T:
    async def call() -> T:
        line = connect(settings)
        try:
            return await what(line)
        finally:
            await line.aclose()

    return asyncio.run(call())
