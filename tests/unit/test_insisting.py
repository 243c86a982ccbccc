"""What a llama-server is told more plainly than it was asked."""

from typing import Any

import pytest

from workers.insisting import insisting

OBJECT = {"type": "json_object"}
SCHEMA = {"type": "json_object", "schema": {"type": "array"}}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({}, {}),
        ({"logprobs": False}, {}),
        ({"logprobs": True}, {"top_logprobs": 1}),
        ({"logprobs": True, "top_logprobs": 0}, {"top_logprobs": 1}),
        ({"logprobs": True, "top_logprobs": 3}, {"top_logprobs": 3}),
        (
            {"response_format": OBJECT},
            {"response_format": {**OBJECT, "schema": {"type": "object"}}},
        ),
        ({"response_format": SCHEMA}, {}),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, {}),
    ],
)
def test_what_is_laid_over_a_request(asked: dict[str, Any], told: dict[str, Any]) -> None:
    assert insisting(asked) == told
