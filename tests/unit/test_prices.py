"""What models cost: tiers, caches, and who is asked for a price that nobody has set."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from fleet.catalogue import Model, Price
from fleet.prices import KNOWN, price_of
from fleet.settings import Settings
from tests.support import ROOT

PRICE = Price(input=0.10, output=0.50, cached_input=0.01, cache_write=0.125)


def usage(prompt: int, completion: int = 0, **details: int) -> dict[str, Any]:
    told = {"prompt_tokens": prompt, "completion_tokens": completion}
    return told | {"prompt_tokens_details": {f"{k}_tokens": n for k, n in details.items()}}


def test_prices_are_for_a_million_tokens() -> None:
    assert PRICE.cost_usd(usage(1_000_000)) == 0.10
    assert PRICE.cost_usd(usage(0, 1_000_000)) == 0.50
    assert PRICE.cost_usd({}) == 0


def test_what_a_cache_had_and_what_it_was_given_have_their_own_prices() -> None:
    assert PRICE.cost_usd(usage(1_000_000, cached=1_000_000)) == 0.01
    assert PRICE.cost_usd(usage(1_000_000, cache_write=1_000_000)) == 0.125
    parts = usage(10, cached=3, cache_write=5)
    assert PRICE.cost_usd(parts) == pytest.approx((2 * 0.10 + 3 * 0.01 + 5 * 0.125) / 1e6)
    assert Price(input=2, output=1).cost_usd(usage(1_000_000, cached=9, cache_write=9)) == 2


def test_beyond_a_length_of_prompt_all_tokens_have_another_price() -> None:
    tiers: Any = (
        {"above": 200, "input": 9, "output": 90},
        {"above": 100, "input": 2, "output": 20},
    )
    price = Price(input=1, output=10, tiers=tiers)
    assert price.cost_usd(usage(100, 1)) == pytest.approx((100 * 1 + 10) / 1e6)
    assert price.cost_usd(usage(101, 1)) == pytest.approx((101 * 2 + 20) / 1e6)
    assert price.cost_usd(usage(201, 1)) == pytest.approx((201 * 9 + 90) / 1e6)


def test_the_usual_model_has_its_price_without_being_told() -> None:
    settings = Settings(models=({"name": "claude", "kind": "anthropic"},))
    assert settings.models[0].price == Price.model_validate(KNOWN["claude-haiku-5-5"])


def test_a_price_that_is_set_comes_first() -> None:
    model = Model.model_validate({"name": "c", "kind": "anthropic", "price": PRICE.model_dump()})
    assert model.price == PRICE


@pytest.mark.parametrize("model", KNOWN)
def test_what_we_know_is_what_the_table_says(model: str) -> None:
    pytest.importorskip("genai_prices")
    listed = price_of(model, "anthropic")
    assert listed is not KNOWN[model]
    assert Price.model_validate(listed) == Price.model_validate(KNOWN[model])


@pytest.mark.parametrize("model", ["claude-haiku-5-5", "gemini-2.5-pro", "gpt-4o"])
@pytest.mark.parametrize("prompt", [1_000, 200_001])
def test_an_answer_costs_what_the_package_reckons(model: str, prompt: int) -> None:
    genai_prices = pytest.importorskip("genai_prices")
    price = Price.model_validate(price_of(model))
    told = genai_prices.Usage(input_tokens=prompt, output_tokens=77, cache_read_tokens=500)
    theirs = float(genai_prices.calc_price(told, model).total_price)
    assert price.cost_usd(usage(prompt, 77, cached=500)) == pytest.approx(theirs)


def test_the_table_is_asked_for_the_provider_that_answers() -> None:
    pytest.importorskip("genai_prices")
    known = Model.model_validate({"name": "g", "kind": "openai", "model": "gpt-4o"})
    assert known.price is not None
    with pytest.raises(ValidationError, match=r"the extra chat-fleet\[prices\]"):
        Model.model_validate(
            {"name": "g", "kind": "openai", "model": "gpt-4o", "url": "http://127.0.0.1:1/v1"}
        )
    mine = {"name": "c", "kind": "anthropic", "url": "http://127.0.0.1:1"}
    assert Model.model_validate(mine).price is not None


def test_of_prices_that_go_by_the_hour_the_dearest_holds() -> None:
    genai_prices = pytest.importorskip("genai_prices")
    url = "https://api.deepseek.com/v1"
    price = Price.model_validate(price_of("deepseek-chat", "openai", url))
    told = genai_prices.Usage(input_tokens=1_000, output_tokens=1_000)
    day = datetime(2026, 1, 1, tzinfo=UTC)
    by_hour = {
        genai_prices.calc_price(
            told,
            "deepseek-chat",
            provider_api_url=url,
            genai_request_timestamp=day + timedelta(hours=hour),
        ).total_price
        for hour in range(24)
    }
    assert len(by_hour) > 1
    assert price.cost_usd(usage(1_000, 1_000)) == pytest.approx(float(max(by_hour)))


def test_what_is_paid_for_by_the_request_is_nothing_that_the_table_tells_us() -> None:
    pytest.importorskip("genai_prices")
    assert price_of("sonar", "openai", "https://api.perplexity.ai") is None


ALONE = """
import json, sys
if {without}:
    sys.modules["genai_prices"] = None
from fleet.catalogue import Model
Model.model_validate({{"name": "fast", "url": "http://127.0.0.1:1"}})
Model.model_validate({{"name": "a", "kind": "anthropic", "price": {{"input": 1, "output": 1}}}})
early = "genai_prices" in sys.modules and not {without}
known = Model.model_validate({{"name": "c", "kind": "anthropic"}})
try:
    Model.model_validate({{"name": "g", "kind": "openai", "model": "gpt-4o"}})
    told = ""
except ValueError as error:
    told = str(error)
print(json.dumps([early, known.price.input, told]))
"""


@pytest.mark.parametrize("without", [True, False])
def test_the_package_is_looked_for_late_and_may_be_missing(without: bool) -> None:
    if not without:
        pytest.importorskip("genai_prices")
    done = subprocess.run(
        [sys.executable, "-c", ALONE.format(without=without)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    early, known, told = json.loads(done.stdout)
    assert (early, known) == (False, 0.10)
    assert ("is known: give `price`" in told) is without
