"""What providers ask for a million tokens: the table of the package `genai-prices` where it is
installed (the extra `prices`), else the few that we know ourselves.

The table is the one that the installed version carries: nothing is fetched. Prices come as
`fleet.catalogue.Price` reads them.
"""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from genai_prices.types import ModelPrice

#: Prices known without the package, by the provider's name of the model.
KNOWN: dict[str, dict[str, Any]] = {
    "claude-haiku-5-5": {
        "input": 0.10,
        "output": 0.50,
        "cached_input": 0.01,
        "cache_write": 0.125,
        "tiers": (
            {
                "above": 100_000,
                "input": 0.50,
                "output": 2.50,
                "cached_input": 0.05,
                "cache_write": 0.625,
            },
        ),
    },
    "claude-sonnet-5-5": {
        "input": 2.0,
        "output": 10.0,
        "cached_input": 0.10,
        "cache_write": 2.50,
    },
}

#: Our names of the rates, and the table's.
RATES = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cached_input": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
}


def price_of(model: str, kind: str = "", url: str = "") -> dict[str, Any] | None:
    """What the provider asks for its model of that name; None: nobody here knows.

    Args:
        model: the provider's name of it.
        kind: of its entry in the catalogue. `anthropic` is that provider wherever it answers.
        url: tells the provider where the kind does not; without either the name must do.
    """
    return _listed(model, kind, url) or KNOWN.get(model)


def _listed(model: str, kind: str, url: str) -> dict[str, Any] | None:
    """The table's price; the dearest of today's hours where it goes by the hour."""
    try:
        prices = list(_of_today(model, kind, url))
    except (ImportError, LookupError):  # not installed, or not in it
        return None
    read = [found for each in prices if (found := _read(each))]
    return max(read, key=lambda price: (price["output"], price["input"]), default=None)


def _of_today(model: str, kind: str, url: str) -> "Iterator[ModelPrice]":
    from genai_prices import Usage, calc_price

    nothing, now = Usage(input_tokens=0, output_tokens=0), datetime.now(UTC)
    for hour in range(24):
        at = now + timedelta(hours=hour)
        if kind == "anthropic":
            found = calc_price(nothing, model, provider_id=kind, genai_request_timestamp=at)
        else:
            found = calc_price(
                nothing, model, provider_api_url=url or None, genai_request_timestamp=at
            )
        yield found.model_price


def _read(price: "ModelPrice") -> dict[str, Any] | None:
    """One price of the table; None where tokens are not all that is paid for."""
    if price.input_mtok is None or price.output_mtok is None or price.requests_kcount is not None:
        return None
    found = {ours: getattr(price, theirs) for ours, theirs in RATES.items()}
    starts = sorted({tier.start for rate in found.values() for tier in getattr(rate, "tiers", ())})
    tiers = tuple({"above": start, **_rates(found, start + 1)} for start in starts)
    return _rates(found, 0) | {"tiers": tiers}


def _rates(found: dict[str, Any], prompt: int) -> dict[str, float]:
    """What each kind of token costs under a prompt of so many."""
    rates = {name: _rate(rate, prompt) for name, rate in found.items() if rate is not None}
    return {name: float(rate) for name, rate in rates.items()}


def _rate(rate: Any, prompt: int) -> Any:
    reached = [tier.price for tier in getattr(rate, "tiers", ()) if prompt > tier.start]
    return reached[-1] if reached else getattr(rate, "base", rate)
