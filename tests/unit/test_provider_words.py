"""What providers say when they do not answer, and what follows."""

import pytest

from fleet.catalogue import Model
from fleet.errors import (
    Barred,
    ContextExceeded,
    ModelError,
    Refused,
    ServerBusy,
    ServerFailed,
    ServerStalled,
)
from workers.provider_words import error_of

CLAUDE = Model.model_validate({"name": "claude", "kind": "anthropic"})
GPT = Model.model_validate(
    {"name": "gpt-4", "kind": "openai", "model": "gpt-4o", "price": {"input": 1, "output": 2}}
)


@pytest.mark.parametrize(
    ("status", "kind", "code", "message", "error"),
    [
        (401, "authentication_error", "", "invalid key", Barred),
        (403, "permission_error", "", "not yours", Barred),
        (402, "billing_error", "", "pay", Barred),
        (404, "not_found_error", "", "model: gpt-9", Barred),
        (400, "invalid_request_error", "", "Your credit balance is too low", Barred),
        (429, "insufficient_quota", "insufficient_quota", "no quota", Barred),
        (429, "rate_limit_error", "", "slow down", ServerBusy),
        (529, "overloaded_error", "", "Overloaded", ServerBusy),
        (500, "api_error", "", "", ServerFailed),
        (504, "timeout_error", "", "late", ServerStalled),
        (408, "", "", "late", ServerStalled),
        (413, "request_too_large", "", "large", ContextExceeded),
        (400, "invalid_request_error", "", "prompt is too long: 9 tokens > 8", ContextExceeded),
        (400, "", "context_length_exceeded", "maximum is 8", ContextExceeded),
        (400, "invalid_request_error", "", "tools: bad", Refused),
        (422, "", "", "bad", Refused),
        (200, "overloaded_error", "", "Overloaded", ServerBusy),
        (200, "rate_limit_error", "", "slow down", ServerBusy),
        (200, "authentication_error", "", "revoked", Barred),
        (200, "", "", "something", ServerFailed),
    ],
)
@pytest.mark.parametrize("model", [CLAUDE, GPT])
def test_each_answer_has_its_error(
    model: Model, status: int, kind: str, code: str, message: str, error: type[ModelError]
) -> None:
    assert type(error_of(model, status, message, kind=kind, code=code)) is error


def test_messages_name_the_provider_and_the_cure() -> None:
    wrong = error_of(CLAUDE, 401, "invalid x-api-key")
    assert wrong.message == (
        "Anthropic's API says: invalid x-api-key (the key is in ANTHROPIC_API_KEY)"
    )
    unknown = error_of(GPT, 404, "no such model")
    assert unknown.message == "api.openai.com says: no such model (asked for 'gpt-4o' there)"
    assert error_of(GPT, 500, "").message == "api.openai.com answered 500"
    busy = error_of(CLAUDE, 429, "slow down", wish_s=7)
    assert busy.message == "Anthropic's API says: slow down (again in 7 s)"
    assert busy.retry_after_s == 7


def test_a_503_that_names_a_time_is_busy_and_one_that_does_not_has_failed() -> None:
    assert type(error_of(CLAUDE, 503, "later", wish_s=7)) is ServerBusy
    assert type(error_of(CLAUDE, 503, "later")) is ServerFailed


@pytest.mark.parametrize(
    ("message", "needs"),
    [
        ("prompt is too long: 1000001 tokens > 1000000 maximum", 1_000_001),
        ("maximum context length is 8,192 tokens. Your messages have 10,240 tokens", 10_240),
        ("request (8193 tokens) exceeds the available context size (8192 tokens)", 8_193),
        ("prompt is too long", 0),
    ],
)
def test_how_long_a_prompt_was_is_read_where_it_is_told(message: str, needs: int) -> None:
    error = error_of(CLAUDE, 400, message)
    assert isinstance(error, ContextExceeded)
    assert error.needs == needs
