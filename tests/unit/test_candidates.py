"""Whose lines must have room for a job, by what it asks for."""

import pytest

from api.admission import candidates
from fleet.catalogue import Catalogue, Model

CATALOGUE = Catalogue(
    (
        Model.model_validate({"name": "fast", "url": "http://127.0.0.1:1"}),
        Model.model_validate({"name": "large", "url": "http://127.0.0.1:2"}),
        Model.model_validate({"name": "haiku", "kind": "anthropic", "enabled": True}),
    )
)


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ("auto", ["fast", "large"]),
        ("fast", ["fast"]),
        ("tool", ["fast", "large"]),
        ("haiku", ["haiku"]),
        ("claude", ["fast", "large", "haiku"]),
    ],
)
def test_a_route_of_external_models_counts_them(asked: str, names: list[str]) -> None:
    assert sorted(candidates(CATALOGUE, asked)) == sorted(names)
