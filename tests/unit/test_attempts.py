"""What a log tells of the attempts at a job."""

from typing import Any

from fleet.attempts import LOST, attempts
from fleet.errors import TooManyAttempts
from fleet.events import Event, Kind, event_data


def log(*told: tuple[Kind, dict[str, Any]]) -> list[Event]:
    """Events, each a second after the one before."""
    return [
        Event(n, kind, event_data(kind, at=1_000 * n, **data))
        for n, (kind, data) in enumerate(told)
    ]


def started(attempt: int, model: str = "fast") -> tuple[Kind, dict[str, Any]]:
    return Kind.STARTED, {"attempt": attempt, "model": model, "worker": f"{model}@here:1"}


def routed(reason: str, **more: Any) -> tuple[Kind, dict[str, Any]]:
    return Kind.ROUTED, {"model": "fast", "reasons": [reason], **more}


QUEUED: tuple[Kind, dict[str, Any]] = (Kind.QUEUED, {})
TOKEN = (Kind.TOKEN, {"content": "a", "n": 1})


def ends(events: list[Event]) -> list[tuple[int, str | None, str | None]]:
    return [(a["attempt"], a["ended"], a["reason"]) for a in attempts(events)]


def test_an_answer_of_the_cache_took_none() -> None:
    assert attempts(log(QUEUED, routed("rules"), started(0), TOKEN, (Kind.COMPLETED, {}))) == []


def test_a_whole_answer_is_one_attempt() -> None:
    [only] = attempts(log(QUEUED, routed("rules"), started(1), TOKEN, (Kind.COMPLETED, {})))
    assert only == {
        **{"attempt": 1, "model": "fast", "worker": "fast@here:1", "started_at": 2_000},
        **{"ended_at": 4_000, "ended": "completed", "reason": None},
    }


def test_a_failure_a_drain_and_a_lost_worker_stand_there() -> None:
    tried = [{"attempt": 4, "message": "it broke"}]
    error = {"code": "all_models_unavailable", "message": "All models unavailable."}
    events = log(
        *(QUEUED, routed("rules"), started(1), routed("fast failed: cut", ended="failed")),
        *(started(2, "tool"), TOKEN, routed("tool shuts down", ended="handed over")),
        *(started(3, "tool"), started(4, "tool"), TOKEN),
        (Kind.FAILED, {"error": error, "tried": tried}),
    )
    assert ends(events) == [
        (1, "failed", "fast failed: cut"),
        (2, "handed over", "tool shuts down"),
        (3, "lost", LOST),
        (4, "failed", "it broke"),
    ]


def test_one_that_goes_on_has_no_end() -> None:
    assert ends(log(QUEUED, routed("rules"), started(1), TOKEN)) == [(1, None, None)]


def test_the_last_worker_of_a_job_that_kills_them_is_lost() -> None:
    error = TooManyAttempts().as_dict()
    assert ends(log(started(5), (Kind.FAILED, {"error": error}))) == [(5, "lost", LOST)]


def test_other_ends_say_why() -> None:
    assert ends(log(started(1), (Kind.INCOMPLETE, {"reason": "max_output_tokens"}))) == [
        (1, "incomplete", "max_output_tokens")
    ]
    assert ends(log(started(1), (Kind.CANCELLED, {}))) == [(1, "cancelled", None)]
    assert ends(log(started(1), (Kind.EXPIRED, {"message": "too late"}))) == [
        (1, "expired", "too late")
    ]


def test_a_job_that_nobody_began_has_none() -> None:
    assert attempts(log(QUEUED, routed("rules"), (Kind.EXPIRED, {"message": "late"}))) == []
