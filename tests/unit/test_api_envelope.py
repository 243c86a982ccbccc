"""Errors as responses: what they say, and when to come back."""

import json

import pytest

from api.envelope import error_response
from fleet.errors import FleetError, InvalidRequest, QueueFull, StoreUnavailable, TooManyJobs


@pytest.mark.parametrize(
    ("error", "status", "header", "in_body"),
    [
        (QueueFull(retry_after_s=12.2), 503, "13", 12.2),
        (QueueFull(), 503, "1", None),
        (StoreUnavailable(), 503, "1", None),
        (TooManyJobs(retry_after_s=0.2), 429, "1", 0.2),
        (TooManyJobs(), 429, None, None),
        (InvalidRequest(retry_after_s=5), 400, None, 5),
    ],
)
def test_who_should_come_back_is_told_when(
    error: FleetError, status: int, header: str | None, in_body: float | None
) -> None:
    reply = error_response(error)
    assert (reply.status_code, reply.headers.get("retry-after")) == (status, header)
    assert json.loads(bytes(reply.body))["error"].get("retry_after_s") == in_body
