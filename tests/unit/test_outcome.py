"""A log, as other APIs read it."""

import json

import pytest

from api.outcome import outcome
from fleet import errors
from fleet.errors import AllModelsUnavailable, Refused, revived
from fleet.events import Event


def log(*told: tuple[str, dict[str, object]]) -> list[Event]:
    return [
        Event(n, kind, json.dumps({"at": 1_000_000 + n * 1_000, **data}))
        for n, (kind, data) in enumerate(told)
    ]


def test_a_whole_answer_says_who_gave_it_and_what_it_took() -> None:
    seen = outcome(
        log(
            ("queued", {}),
            ("routed", {"route": "fast", "model": "fast", "confidence": 0.5}),
            ("started", {"model": "fast"}),
            ("token", {"content": "half"}),
            ("routed", {"route": "fast", "model": "large"}),
            ("started", {"model": "large"}),
            ("restarted", {}),
            ("token", {"content": "whole"}),
            ("usage", {"prompt_tokens": 3, "completion_tokens": 2}),
            ("completed", {"finish_reason": "stop"}),
        )
    )
    assert (seen.answer.content, seen.model, seen.status) == ("whole", "large", "completed")
    assert (seen.created_at, seen.finished_at) == (1000, 1009)
    assert (seen.prompt_tokens, seen.completion_tokens, seen.error) == (3, 2, None)
    assert seen.headers == {
        "x-fleet-route": "fast",
        "x-fleet-model": "large",
        "x-fleet-confidence": "0.50",
    }


def test_a_job_under_way_has_no_status_yet() -> None:
    seen = outcome(log(("queued", {}), ("routed", {"model": "fast"})))
    assert (seen.status, seen.error, seen.model) == ("", None, "fast")


@pytest.mark.parametrize(
    ("kind", "data", "status", "code"),
    [
        ("cancelled", {}, 409, "cancelled"),
        ("expired", {"message": "late"}, 504, "deadline_exceeded"),
        ("failed", {"error": Refused("no").as_dict()}, 400, "refused"),
        ("failed", {"error": {"code": "of_tomorrow", "message": "odd"}}, 502, "model_error"),
        ("failed", {}, 502, "model_error"),
    ],
)
def test_what_brought_no_answer_is_an_error_again(
    kind: str, data: dict[str, object], status: int, code: str
) -> None:
    error = outcome(log(("queued", {}), (kind, data))).error
    assert error
    assert (error.status, error.code) == (status, code)


def of(kind: type[errors.FleetError]) -> errors.FleetError:
    if kind is AllModelsUnavailable:
        tried = {"model": "fast", "code": "stream_cut", "message": "cut", "tries": 2}
        return AllModelsUnavailable("why", tried=[tried], retry_after_s=5)
    return kind("why", param="x")


def test_every_error_comes_back_as_it_was_told() -> None:
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors.FleetError):
            told = of(kind).as_dict()
            assert revived(told).as_dict() == told


@pytest.mark.parametrize("end", ["failed", "expired", "cancelled"])
def test_a_job_that_has_failed_is_not_to_be_posted_again_by_an_sdk(end: str) -> None:
    error = outcome(log(("queued", {}), (end, {"error": {"code": "server_failed"}}))).error
    assert error is not None
    assert error.headers["x-should-retry"] == "false"
