"""What answers would have cost elsewhere."""

from pathlib import Path
from typing import Any

import pytest

from api.views import claude_cost_usd
from fleet.catalogue import Catalogue, Model, Price
from fleet.comparison import Reference, reference
from fleet.errors import ConfigError
from fleet.job import Job, Status
from fleet.prices import KNOWN
from fleet.settings import load

PRICE: Any = {"input": 1, "output": 10}
LOCAL = Model.model_validate({"name": "fast", "url": "http://127.0.0.1:1"})
OWN = Model.model_validate(
    {"name": "own", "kind": "openai", "model": "llama", "price": {"input": 0, "output": 0}}
)
CLAUDE = Model.model_validate({"name": "claude", "kind": "anthropic", "price": PRICE})
REFERENCE = Reference("claude", Price(input=1, output=10))


@pytest.mark.parametrize(
    ("models", "named", "expected"),
    [
        ((LOCAL, CLAUDE), "", REFERENCE),
        ((LOCAL, OWN, CLAUDE), "", REFERENCE),
        ((LOCAL.model_copy(update={"price": Price(input=5, output=5)}), CLAUDE), "", REFERENCE),
        ((LOCAL, CLAUDE), "claude-haiku-5-5", REFERENCE),
        (
            (LOCAL, CLAUDE),
            "claude-sonnet-5-5",
            Reference("claude-sonnet-5-5", Price.model_validate(KNOWN["claude-sonnet-5-5"])),
        ),
        (
            (LOCAL, OWN),
            "",
            Reference("claude-haiku-5-5", Price.model_validate(KNOWN["claude-haiku-5-5"])),
        ),
        ((LOCAL, OWN), "own", Reference("own", Price(input=0, output=0))),
    ],
)
def test_what_is_compared_with(models: tuple[Model, ...], named: str, expected: Reference) -> None:
    assert reference(Catalogue(models), named) == expected


@pytest.mark.parametrize("named", ["fast", "claude-of-the-moon"])
def test_a_model_without_a_price_is_refused_by_name(tmp_path: Path, named: str) -> None:
    config = tmp_path / "fleet.toml"
    models = '[[models]]\nname = "fast"\nurl = "http://127.0.0.1:1"\n'
    config.write_text(f'[report]\ncompare_with = "{named}"\n{models}')
    with pytest.raises(ConfigError, match=rf"report\.compare_with: no price of '{named}'.*haiku"):
        load(config)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, None),
        ({"usage": {"prompt_tokens": 100}}, None),
        ({"usage": {"prompt_tokens": 100, "completion_tokens": 5}}, 150e-6),
        ({"model": "fast", "usage": {"prompt_tokens": 0, "completion_tokens": 0}}, 0),
        (
            {"model": "claude", "cost_usd": 7e-6, "usage": {"prompt_tokens": 9}},
            7e-6,
        ),
        (
            {
                "model": "claude",
                "cache": "hit",
                "cost_usd": 0.0,
                "usage": {"prompt_tokens": 100, "completion_tokens": 5},
            },
            150e-6,
        ),
    ],
)
def test_a_job_shows_what_it_would_have_cost(
    changes: dict[str, Any], expected: float | None
) -> None:
    job = Job("job_1", Status.COMPLETED, {}, **changes)
    assert claude_cost_usd(job, REFERENCE) == (
        None if expected is None else pytest.approx(expected)
    )
