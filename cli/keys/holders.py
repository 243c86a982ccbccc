"""`fleet keys`: made, listed, shown, revoked where the fleet's Redis is."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from rich.box import SIMPLE_HEAD
from rich.table import Table

from cli.jobs import moment
from cli.roles import find_model
from cli.screen import err, out, print_json
from cli.solo import settings_of_role
from cli.wording import dollars
from fleet.callers import Caller
from fleet.dispatch import Dispatcher
from fleet.errors import ConfigError, FleetFault
from fleet.keys import Key, Keys
from fleet.ledger import Ledger, connect
from fleet.settings import CALLER, Settings
from fleet.spend.book import Book
from fleet.spend.sheet import of_caller

T = TypeVar("T")

#: US dollars of a budget: a smaller one would be none at all, which is no limit.
LEAST, MOST = 0.000_001, 1_000_000_000.0


def create(config: Path | None, caller: Caller, as_json: bool) -> None:
    """Make a key; it stands alone on standard output.

    Raises:
        ConfigError: the name or a model is none, or the name is taken.
    """
    settings, _ = settings_of_role(config)
    check(caller, settings)
    key, made = _with_ledger(settings, lambda ledger: _made(ledger, caller))
    if as_json:
        print_json({**made.as_dict(), "key": key})
        return
    out.print(key, markup=False, soft_wrap=True)
    err.print(
        "Keep it: it is not shown again. Callers send it as `Authorization: Bearer KEY` or "
        "`x-api-key: KEY`; our own commands take it from FLEET_KEY.",
        style="dim",
        soft_wrap=True,
    )


def check(caller: Caller, settings: Settings) -> None:
    """Refuse what no key can be.

    Raises:
        ConfigError: as `create` says.
    """
    if not CALLER.fullmatch(caller.name):
        raise ConfigError(f"NAME {caller.name!r}: use 1 to 63 of a-z 0-9 . _ -")
    if settings.api.takes_name(caller.name):
        raise ConfigError(f"NAME {caller.name!r} is taken or reserved; choose another")
    if caller.budget_usd and not LEAST <= caller.budget_usd <= MOST:
        raise ConfigError(f"--budget: 0, or from {LEAST:f} to {MOST:.0f} US dollars")
    for model in caller.models:
        find_model(settings.catalogue, model)


async def _made(ledger: Ledger, caller: Caller) -> tuple[str, Key]:
    keys = Keys(ledger.line)
    key = await keys.create(caller)
    if key is None:
        raise ConfigError(
            f"NAME {caller.name!r} has a key already; for a new one revoke it first: "
            f"fleet keys revoke {caller.name}"
        )
    return key, await _known(keys, caller.name)


async def _known(keys: Keys, name: str) -> Key:
    key = await keys.get(name)
    if key is None:
        raise FleetFault(f"no key is named {name!r}; `fleet keys list` shows those there are")
    return key


def show_list(config: Path | None, as_json: bool) -> None:
    """Every key, without what is secret."""
    keys = _with_ledger(settings_of_role(config)[0], lambda ledger: Keys(ledger.line).all())
    if as_json:
        print_json({"object": "list", "keys": [key.as_dict() for key in keys]})
        return
    if not keys:
        out.print("No keys yet. Make one: fleet keys create NAME", markup=False)
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in (
        "name",
        "key",
        "models",
        "rpm",
        "tpm",
        "at\nonce",
        "$ a\nday",
        "calls\na day",
        "created",
    ):
        table.add_column(column, no_wrap=column != "models")
    for key in keys:
        table.add_row(*_cells(key))
    out.print(table)


def _cells(key: Key) -> list[str]:
    caller = key.caller
    limits = (caller.rpm, caller.tpm, caller.concurrent)
    return [
        caller.name,
        f"{key.begins}…",
        ", ".join(caller.models) or "all",
        *(str(limit or "") for limit in limits),
        f"{caller.budget_usd:g}" if caller.budget_usd else "",
        str(caller.paid_calls or ""),
        moment(key.created_at),
    ]


def show(config: Path | None, name: str, as_json: bool) -> None:
    """A key's limits beside its use."""
    settings, _ = settings_of_role(config)
    told = _with_ledger(settings, lambda ledger: _use(ledger, settings, name))
    if as_json:
        print_json(told)
        return
    table = Table(show_header=False, box=None)
    for label, value in described(told).items():
        table.add_row(label, value)
    out.print(table)


async def _use(ledger: Ledger, settings: Settings, name: str) -> dict[str, Any]:
    key = await _known(Keys(ledger.line), name)
    scope = of_caller(name)
    spent = (await Book(ledger.line, settings).today(scope)).sheet[scope]
    left = await ledger.allowance(key.caller)
    return key.as_dict() | {
        "requests_left": left.requests if left.rpm else None,
        "tokens_left": left.tokens if left.tpm else None,
        "unended_jobs": await ledger.unended_jobs(name),
        "spent_usd_today": spent.usd,
        "held_usd": spent.held_usd,
        "paid_calls_today": spent.calls,
    }


def described(told: dict[str, Any]) -> dict[str, str]:
    """The rows of `fleet keys show`. Pure."""

    def of(used: object, limit: object) -> str:
        return f"{used} of {limit}" if limit else "no limit"

    jobs, spent, budget = told["unended_jobs"], told["spent_usd_today"], told["budget_usd"]
    calls = told["paid_calls_today"]
    return {
        "name": told["name"],
        "key": f"{told['begins']}…",
        "created": moment(told["created_at"]),
        "models": ", ".join(told["models"]) or "all",
        "requests left in this minute": of(told["requests_left"], told["rpm"]),
        "tokens left in this minute": of(told["tokens_left"], told["tpm"]),
        "jobs that have not ended": of(jobs, told["concurrent"])
        if told["concurrent"]
        else str(jobs),
        "spent today": dollars(spent) + (f" of {dollars(budget)}" if budget else ""),
        "set aside now": dollars(told["held_usd"]),
        "paid calls today": of(calls, told["paid_calls"]) if told["paid_calls"] else str(calls),
    }


def revoke(config: Path | None, name: str, as_json: bool) -> None:
    """Revoke a key.

    Raises:
        FleetFault: there is none of that name.
    """
    settings, _ = settings_of_role(config)

    async def revoked(ledger: Ledger) -> int:
        keys = Keys(ledger.line)
        await _known(keys, name)
        await keys.revoke(name)
        return await keys.count()

    left = _with_ledger(settings, revoked)
    if as_json:
        print_json({"name": name, "revoked": True})
    else:
        out.print(f"{name}: revoked; within a second it opens nothing any more", markup=False)
    if not left and not settings.api.callers:
        err.print(
            "That was the last key. An API that runs lets nobody in now; one that is started "
            "without any key serves this machine, and asks for none.",
            style="yellow",
            soft_wrap=True,
        )


def _with_ledger(settings: Settings, what: Callable[[Ledger], Awaitable[T]]) -> T:
    async def call() -> T:
        line = connect(settings)
        try:
            return await what(Ledger(line, settings, Dispatcher(settings)))
        finally:
            await line.aclose()

    return asyncio.run(call())
