"""What happens when a model fails: the next one in the plan, or a clear last word."""

import pytest

from tests.integration.conftest import Fleet
from tests.stack import text_of
from tests.support import wait_until


@pytest.mark.parametrize(
    ("mode", "code"),
    [
        ({"fail": 500}, "server_failed"),
        ({"refuse": 1}, "stream_cut"),
        ({"loading": 1}, "server_loading"),
        ({"stall": 0}, "server_stalled"),
        ({"cut": 0, "old": 1}, "stream_cut"),
        ({"malformed": 0}, "server_failed"),
        ({"error_event": 0}, "server_failed"),
    ],
)
def test_a_dead_model_hands_the_job_to_the_next_in_the_plan(
    fleet: Fleet, mode: dict[str, int], code: str
) -> None:
    fleet.fast.control(**mode)
    job_id = fleet.stack.post("Write a haiku [[fake n=3]]")
    events = fleet.stack.events(job_id)
    job = fleet.stack.job(job_id)
    assert (job["status"], job["model"]) == ("completed", "tool")
    assert [(t["model"], t["code"]) for t in job["tried"]] == [("fast", code)]
    assert [kind for _, kind, _ in events if kind != "token"] == [
        *("queued", "routed", "started", "routed", "started", "usage", "completed"),
    ]
    assert text_of(events) == " w0 w1 w2"


def test_a_server_that_is_gone_is_noticed_and_passed_by(fleet: Fleet) -> None:
    fleet.fast.stop()
    wait_until(
        lambda: fleet.stack.client.get("/health").json()["models"]["fast"]["server"] == "down",
        "health says that the server is down",
    )
    assert fleet.stack.client.get("/health").json()["status"] == "degraded"
    job = fleet.stack.ended(fleet.stack.post("Write a haiku [[fake n=3]]"))
    assert (job["status"], job["model"]) == ("completed", "tool")
    assert job["tried"][0]["code"] == "server_unreachable"
    fleet.fast.start()
    wait_until(
        lambda: fleet.stack.client.get("/health").json()["status"] == "ok", "health is well again"
    )


@pytest.mark.parametrize(
    "mode", [{"cut": 3, "old": 1}, {"stall": 3}, {"malformed": 3}, {"noend": 1}]
)
def test_a_model_that_breaks_off_is_never_a_short_success(
    fleet: Fleet, mode: dict[str, int]
) -> None:
    fleet.fast.control(**mode)
    events = fleet.stack.events(fleet.stack.post("Write a haiku [[fake n=6]]"))
    kinds = [kind for _, kind, _ in events]
    assert kinds.count("restarted") == 1
    assert kinds.index("restarted") == kinds.index("started", 3) + 1
    assert kinds[-1] == "completed"
    assert text_of(events) == "".join(f" w{n}" for n in range(6))


def test_when_all_fail_the_last_word_says_what_was_tried(fleet: Fleet) -> None:
    fleet.fast.control(fail=500)
    fleet.tool.control(refuse=1)
    fleet.large.control(fail=503)
    job = fleet.stack.ended(fleet.stack.post("Write a haiku"))
    assert job["status"] == "failed"
    assert job["error"]["code"] == "all_models_unavailable"
    assert job["error"]["message"].startswith("All models unavailable. Tried fast: ")
    assert job["error"]["fault"] == "model"
    assert [t["model"] for t in job["tried"]] == ["fast", "tool", "large"]


def test_what_was_tried_when_and_for_how_long_stands_in_the_job(fleet: Fleet) -> None:
    fleet.fast.control(stall=0)
    job = fleet.stack.ended(fleet.stack.post("Write a haiku [[fake n=3]]"))
    [tried] = job["tried"]
    assert job["started_at"] <= tried["at"] <= job["finished_at"]
    assert 2_500 < tried["took_ms"] <= job["finished_at"] - job["started_at"] + 100
    first, second = job["attempts"]
    assert (first["model"], first["ended"], second["model"]) == ("fast", "failed", "tool")
    assert first["reason"] == f"fast failed: {tried['message']}"
    assert first["started_at"] == job["started_at"]
    assert abs(first["ended_at"] - tried["at"]) < 500
    assert (second["ended"], second["ended_at"]) == ("completed", job["finished_at"])
    assert second["reason"] is None


def test_models_that_are_silent_in_turn_have_the_jobs_deadline_and_no_longer(
    fleet: Fleet,
) -> None:
    for fake in (fleet.fast, fleet.tool, fleet.large):
        fake.control(stall=0)
    job = fleet.stack.ended(fleet.stack.post("Write a haiku [[fake n=3]]", deadline_s=4.5))
    assert job["status"] == "expired"
    assert [t["model"] for t in job["tried"]] == ["fast"]
    assert [(a["model"], a["ended"]) for a in job["attempts"]] == [
        *(("fast", "failed"), ("tool", "expired")),
    ]
    assert 0 <= job["finished_at"] - job["deadline_at"] < 1_000


def test_a_conversation_too_long_goes_only_where_it_fits(fleet: Fleet) -> None:
    fleet.fast.control(context=1)
    before = fleet.tool.stats()["requests"]
    job = fleet.stack.ended(fleet.stack.post("Write a haiku [[fake n=3]]"))
    assert (job["status"], job["model"]) == ("completed", "large")
    assert [(t["model"], t["code"], t["needs"]) for t in job["tried"]] == [
        ("fast", "context_exceeded", 8193)
    ]
    assert fleet.tool.stats()["requests"] == before


def test_a_request_that_the_model_refuses_is_the_callers_and_is_not_tried_elsewhere(
    fleet: Fleet,
) -> None:
    fleet.fast.control(fail=400)
    job = fleet.stack.ended(fleet.stack.post("Write a haiku"))
    assert job["status"] == "failed"
    assert (job["error"]["code"], job["error"]["fault"]) == ("refused", "caller")
    assert len(job["tried"]) == 1
    assert len(job["attempts"]) == 1
