"""Tool calls that a real model makes, on their way through the fleet."""

import json
from typing import Any

import pytest

from tests.e2e.conftest import GREEDY, TOOLS, WEATHER, asks_for_weather
from tests.stack import Stack, text_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

ASKED: dict[str, Any] = {"model": "tool", "tools": TOOLS, "max_tokens": 60, **GREEDY}


def post(stack: Stack, messages: list[dict[str, Any]], **fields: Any) -> str:
    reply = stack.client.post("/v1/jobs", json={"messages": messages, **ASKED, **fields})
    assert reply.status_code == 202, reply.text
    job_id: str = reply.json()["id"]
    return job_id


@pytest.mark.parametrize("city", ["Paris", "Berlin", "Tokyo"])
def test_a_real_model_calls_a_tool_and_the_job_shows_the_call(real_fleet: Stack, city: str) -> None:
    job = real_fleet.ended(post(real_fleet, asks_for_weather(city)), timeout=30)
    assert (job["status"], job["finish_reason"], job["model"]) == (
        "completed",
        "tool_calls",
        "tool",
    )
    (call,) = job["answer"]["tool_calls"]
    assert call["type"] == "function"
    assert call["id"]
    assert call["function"]["name"] == WEATHER["name"]
    assert json.loads(call["function"]["arguments"]) == {"city": city}
    assert not job["answer"]["content"]


def test_a_call_comes_in_pieces_and_the_pieces_are_the_call(real_fleet: Stack) -> None:
    job_id = post(real_fleet, asks_for_weather("Paris"))
    pieces = [
        delta
        for _, kind, data in real_fleet.events(job_id)
        if kind == "token"
        for delta in data.get("tool_calls", ())
    ]
    assert len(pieces) > 3
    assert [bool(piece.get("id")) for piece in pieces] == [True] + [False] * (len(pieces) - 1)
    arguments = "".join(piece["function"]["arguments"] for piece in pieces)
    (call,) = real_fleet.job(job_id)["answer"]["tool_calls"]
    assert call["function"]["arguments"] == arguments
    assert call["id"] == pieces[0]["id"]


def test_the_same_question_is_the_same_call_on_every_slot(real_fleet: Stack) -> None:
    ids = [post(real_fleet, asks_for_weather("Madrid")) for _ in range(4)]
    jobs = [real_fleet.ended(job_id, timeout=30) for job_id in ids]
    calls = {job["answer"]["tool_calls"][0]["function"]["arguments"] for job in jobs}
    assert calls == {'{"city": "Madrid"}'}


def test_the_model_answers_with_what_the_tool_said(real_fleet: Stack) -> None:
    question = asks_for_weather("Paris")
    call = real_fleet.ended(post(real_fleet, question), timeout=30)["answer"]
    result = {"role": "tool", "tool_call_id": call["tool_calls"][0]["id"], "content": "rainy"}
    events = real_fleet.events(post(real_fleet, [*question, call, result]))
    assert events[-1][1] == "completed"
    assert "rainy" in text_of(events)
