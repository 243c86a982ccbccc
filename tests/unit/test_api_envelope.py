"""Errors as responses: what they say, and when to come back."""

import json
from typing import get_args

import pytest
from anthropic.types.shared import ErrorObject, ErrorResponse
from pydantic import TypeAdapter

from api.anthropic import fault
from api.envelope import error_response
from fleet.errors import (
    Conflict,
    DeadlineExceeded,
    FleetError,
    FleetFault,
    InvalidRequest,
    NoSuchModel,
    QueueFull,
    ServerFailed,
    StoreUnavailable,
    TooLarge,
    TooManyJobs,
    Unauthorized,
)


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


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InvalidRequest(), "invalid_request_error"),
        (Conflict(), "invalid_request_error"),
        (Unauthorized(), "authentication_error"),
        (NoSuchModel(), "not_found_error"),
        (TooManyJobs(), "rate_limit_error"),
        (FleetFault(), "api_error"),
        (ServerFailed(), "api_error"),
        (QueueFull(), "overloaded_error"),
        (DeadlineExceeded(), "timeout_error"),
    ],
)
def test_who_speaks_anthropics_form_is_answered_in_it(error: FleetError, kind: str) -> None:
    for path in ("/v1/messages", "/v1/messages/count_tokens"):
        reply = error_response(error, path)
        body = json.loads(bytes(reply.body))
        TypeAdapter(ErrorResponse).validate_python(body, strict=True)
        assert body["error"] == {"type": kind, "message": error.message}
        assert body["request_id"] == reply.headers["request-id"]
        final = isinstance(error, Conflict)
        assert (reply.headers.get("x-should-retry") == "false") == final
    assert "fault" in json.loads(bytes(error_response(error, "/v1/messages2").body))["error"]


def test_every_word_for_an_error_is_one_that_the_sdk_knows() -> None:
    union = get_args(ErrorObject)[0]
    known = {get_args(kind.model_fields["type"].annotation)[0] for kind in get_args(union)}
    # What its API says of a body that is too large is in its documentation only.
    assert {fault.kind(status) for status in range(400, 600)} - known == {"request_too_large"}
    assert fault.kind(TooLarge.status) == "request_too_large"
