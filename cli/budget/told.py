"""What `fleet budget` shows, from the pages of the book. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from fleet.callers import Caller
from fleet.catalogue import Catalogue
from fleet.settings import Settings
from fleet.spend.day import date_of
from fleet.spend.sheet import (
    ALL,
    Cap,
    Sheet,
    Today,
    cap_of_all,
    cap_of_caller,
    cap_of_model,
    forecast_usd,
    of_caller,
    of_model,
)


def told(
    settings: Settings, callers: Sequence[Caller], today: Today, month: Sheet
) -> dict[str, Any]:
    """The object of `--json`. Caps that are none are null, money is in US dollars.

    Args:
        settings: whose caps and time zone count.
        callers: the keys that were made.
        today: the page of today.
        month: this month's pages as one.
    """
    zone = settings.spend.zone
    forecast = forecast_usd(month[ALL], zone, today.now)

    def rows(caps: Mapping[str, Cap]) -> list[dict[str, Any]]:
        return [{"name": name, **_row(cap, today.sheet, month)} for name, cap in caps.items()]

    return {
        "object": "budget",
        "date": date_of(today.day).isoformat(),
        "time_zone": zone.name,
        "turns_in_s": round(zone.left_s(today.now)),
        "today": _row(cap_of_all(settings.spend), today.sheet, month),
        "models": rows(_models(settings.catalogue, month)),
        "keys": rows(_keys(callers, month)),
        "forecast_usd": None if forecast is None else round(forecast, 9),
    }


def _row(cap: Cap, today: Sheet, month: Sheet) -> dict[str, Any]:
    now, so_far = today[cap.scope], month[cap.scope]
    return {
        "calls": now.calls,
        "calls_per_day": cap.calls or None,
        "usd": now.usd,
        "usd_per_day": cap.usd or None,
        "held_usd": now.held_usd,
        "month_calls": so_far.calls,
        "month_usd": so_far.usd,
    }


def _models(catalogue: Catalogue, month: Sheet) -> dict[str, Cap]:
    """Those that may be called, then those that were and are no more."""
    paid = {model.name: cap_of_model(model) for model in catalogue.enabled if model.paid}
    return paid | {name: Cap(of_model(name)) for name in month.models if name not in paid}


def _keys(callers: Sequence[Caller], month: Sheet) -> dict[str, Cap]:
    """Those with a cap, and whoever has spent something this month."""
    capped = {
        caller.name: cap_of_caller(caller.name, caller.paid_calls, caller.budget_usd)
        for caller in callers
        if caller.budget_usd or caller.paid_calls
    }
    return capped | {name: Cap(of_caller(name)) for name in month.callers if name not in capped}
