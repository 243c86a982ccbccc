from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from cli.ask import end_message
from cli.budget.run import table
from cli.failures import told
from cli.follow import route_line
from cli.jobs import attempted, described, nothing_listed
from cli.outcome import Outcome, speed_line, tokens_per_second
from cli.wording import untold, waiting_line
from fleet.errors import StoreUnavailable

TRIED = [
    {"model": "fast", "code": "stream_cut", "message": "The stream was cut."},
    {"model": "tool", "code": "server_failed", "message": "The server failed."},
]
ALL_FAILED = {"message": "All models unavailable. Tried fast: The stream was cut.; tool: The …"}
TIMES = {"created_at": 1000, "first_token_at": 1100, "finished_at": 1600}
CUT: dict[str, Any] = {
    "model": "fast",
    "status": "incomplete",
    "finish_reason": "length",
    "usage": {"completion_tokens": 48},
}


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {"completion_tokens": 0},
        {"completion_tokens": 1, "timings": {"predicted_per_second": 1_000_000.0}},
        {"timings": {"predicted_per_second": 50.0}},
    ],
)
def test_there_is_no_speed_without_two_tokens(usage: dict[str, Any] | None) -> None:
    assert tokens_per_second({**TIMES, "usage": usage}) is None


def test_a_figure_that_is_no_speed_is_not_taken_for_one() -> None:
    usage = {"completion_tokens": 11, "timings": {"predicted_per_second": -1.0}}
    assert tokens_per_second({**TIMES, "usage": usage}) == 20


def test_who_cannot_reach_redis_is_told_where_to_look() -> None:
    assert "`fleet up`" in told(StoreUnavailable("Redis does not answer: refused"))
    assert told(StoreUnavailable("Redis' memory is full.")) == "Redis' memory is full."


def test_an_answer_of_the_cache_has_no_speed() -> None:
    job = {**TIMES, "model": "fast", "usage": {"completion_tokens": 11}, "cost_usd": 0.0}
    again = Outcome(status="completed", job=job | {"cache": {"status": "hit"}})
    told = "fast: completed, first token 100 ms, 11 tokens, from the cache, $0.00"
    assert speed_line(again) == told


def test_a_cancelled_job_is_just_cancelled() -> None:
    job = {**TIMES, "model": "fast", "usage": None}
    cancelled = Outcome(status="cancelled", end={"reason": "cancelled"}, job=job)
    assert end_message(cancelled) == "cancelled"
    assert speed_line(cancelled) == "fast: cancelled, first token 100 ms"


def test_what_it_cost_and_which_arm_decided_is_shown() -> None:
    job = {"model": "claude", "experiment": "heads", "arm": "b", "cost_usd": 0.0123}
    shown = described(job | {"claude_cost_usd": 2})
    assert (shown["arm"], shown["cost"]) == (
        "heads: b",
        "$0.0123; at the model of `report.compare_with` it would be $2.00",
    )
    assert described(job | {"claude_cost_usd": 0.0123})["cost"] == "$0.0123"
    assert described({"claude_cost_usd": 2})["cost"].startswith("nothing; at the model of")
    assert not {"arm", "cost"} & described({"model": "fast"}).keys()
    assert speed_line(Outcome(status="completed", job=job)) == "claude: completed, $0.0123"
    routed = {"route": "fast", "model": "fast", "experiment": "heads", "arm": "b"}
    assert route_line(routed) == "fast → fast (heads: b)"
    assert route_line(routed | {"reasons": ["so"]}) == "fast → fast: so (heads: b)"


def test_each_failed_model_is_named_once() -> None:
    message = {"message": f"Tried {'; '.join(untold(TRIED, ''))}"}
    told = Outcome(status="failed", job={"error": message, "tried": TRIED})
    assert end_message(told).count("fast") == end_message(told).count("tool") == 1
    assert "tried" not in described({"error": message, "tried": TRIED})


def test_a_failed_model_that_the_error_does_not_name_is_listed() -> None:
    failed = Outcome(status="failed", job={"error": ALL_FAILED, "tried": TRIED})
    assert end_message(failed).endswith("The …\n  tool: The server failed.")
    assert described({"error": ALL_FAILED, "tried": TRIED})["tried"] == "tool: The server failed."


def test_an_answer_cut_at_its_limit_does_not_read_like_a_failure() -> None:
    outcome = Outcome(status="incomplete", end={"reason": "max_output_tokens"}, job=CUT)
    assert speed_line(outcome) == "fast: stopped at its limit of 48 tokens"
    assert described(CUT)["status"] == "incomplete: stopped at its limit of 48 tokens"


def test_a_limit_is_recognised_by_the_record_alone_and_without_a_number() -> None:
    outcome = Outcome(status="incomplete", job={**CUT, "usage": None})
    assert outcome.well
    assert speed_line(outcome) == "fast: stopped at its token limit"


def test_an_answer_cut_for_another_reason_says_which() -> None:
    outcome = Outcome(status="incomplete", end={"reason": "content_filter"}, job={"model": "fast"})
    assert not outcome.well
    assert speed_line(outcome) == "fast: incomplete (content_filter)"


def test_an_empty_list_says_how_to_fill_it_unless_something_was_left_out() -> None:
    assert nothing_listed(filtered=False) == 'No jobs yet. Ask something: fleet ask "Hello"'
    assert nothing_listed(filtered=True) == "No such jobs."


def health(**tool: Any) -> dict[str, Any]:
    return {"redis": "ok", "router": {"workers": 1, "queued": 2}, "models": {"tool": tool}}


@pytest.mark.parametrize(
    ("model", "report", "said"),
    [
        ("tool", None, "still waiting: the API does not answer"),
        ("tool", {"redis": "Its memory is full."}, "still waiting: Its memory is full."),
        ("tool", {"status": "down"}, "still waiting: the fleet is down"),
        (None, {"router": {"workers": 0}}, "still waiting: no router runs"),
        (None, health(), "still waiting for the router: 2 jobs in its queue"),
        ("tool", health(workers=0), "still waiting: no worker for tool"),
        ("gone", health(), "still waiting: no worker for gone"),
        (
            "tool",
            health(workers=1, server="down"),
            "still waiting: the server of tool is down",
        ),
        (
            "tool",
            health(workers=1, server="ok", slots=2, active=2, queued=1),
            "waiting in the queue of tool: 1 job in it, 2 of 2 slots busy",
        ),
    ],
)
def test_why_a_job_waits_is_read_from_the_health_report(
    model: str | None, report: dict[str, Any] | None, said: str
) -> None:
    assert waiting_line(model, report) == said


def test_attempts_are_rows_where_there_is_more_to_tell_than_one_that_went_well() -> None:
    well = {"attempt": 2, "model": "tool", "worker": "tool@here:7", "ended": "completed"}
    lost = {"attempt": 1, "model": "fast", "worker": "fast@here:6", "ended": "lost"}
    assert attempted({"attempts": [well]}) == attempted({}) == []
    told = lost | {"started_at": 1_000, "ended_at": 3_500, "reason": "its worker was lost"}
    first, second = attempted({"attempts": [told, well | {"ended": None}]})
    assert first[4:] == ["2.5 s", "lost", "its worker was lost"]
    assert second[4:] == ["", "goes on", ""]


def test_a_job_says_what_its_answer_was_given_again_from() -> None:
    asked = {"status": "semantic", "similarity": 0.9812, "question": "Who wrote Hamlet?"}
    assert described({"cache": {"status": "hit"}})["cache"] == "hit"
    assert described({"cache": asked})["cache"] == "semantic: 'Who wrote Hamlet?' (0.981)"
    assert described({"cache": asked | {"question": None}})["cache"] == "semantic"
    assert "cache" not in described({"cache": {"status": "miss"}})


def test_the_smallest_amounts_fit_into_a_terminal() -> None:
    row = {"calls": 12_345, "calls_per_day": 100, "usd": 8.5e-06, "usd_per_day": 2.5}
    row |= {"held_usd": 0.00123, "month_calls": 12_345, "month_usd": 8.5e-06}
    screen = Console(width=80, record=True, file=StringIO())
    screen.print(table("today", "model", [{"name": "claude", **row}]))
    assert (
        "12345   100   $0.0000085   $2.50   $0.0012    12345   $0.0000085" in screen.export_text()
    )
