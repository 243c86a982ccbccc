"""What a call may cost before it is made, and has cost when it ends, or breaks off."""

from typing import Any

import pytest

from fleet.catalogue import Model
from fleet.events import Piece
from fleet.job import Job, Status
from fleet.spend.settings import Spend
from workers.backend import End, Step
from workers.bill import Bill

#: A dollar for a token; a tenth of one for a cached token.
PRICE = {"input": 1_000_000, "output": 1_000_000, "cached_input": 100_000}
#: 10 tokens: 20 bytes, and what a template lays around a turn.
REQUEST = {"messages": [{"role": "user", "content": "x" * 20}]}
TOLD = {"prompt_tokens": 7, "completion_tokens": 1}


def bill(request: dict[str, Any] | None = None, **fields: Any) -> Bill:
    entry = {"name": "m", "kind": "anthropic", "price": PRICE, "max_tokens": 100, **fields}
    job = Job("job_1", Status.RUNNING, {**REQUEST, **(request or {})}, caller="alice", attempt=2)
    return Bill(job, Model.model_validate(entry), Spend())


def text(words: str) -> Step:
    return Step([Piece("text", words)])


@pytest.mark.parametrize(
    ("asked", "longest"), [({}, 100), ({"max_tokens": 30}, 30), ({"max_tokens": 900}, 100)]
)
def test_the_longest_answer_is_set_aside(asked: dict[str, int], longest: int) -> None:
    hold = bill(asked).hold
    assert (hold.id, hold.usd) == ("job_1.2", 10 + longest)
    assert [cap.scope for cap in hold.caps] == ["all", "model:m", "caller:alice"]


@pytest.mark.parametrize(
    ("steps", "cost"),
    [
        ([], None),
        ([Step([], usage=TOLD)], 8),
        ([text("y" * 20)], 10 + 5),
        ([Step([], usage=TOLD), text("y" * 20), text("y" * 21)], 7 + 11),
        ([text("y" * 20), Step([], end=End("stop", TOLD))], 8),
        ([text("y" * 20), Step([], end=End("stop"))], 10 + 5),
        ([Step([Piece("reasoning", "é" * 10)])], 10 + 5),
    ],
)
def test_what_the_provider_has_told_counts_else_what_has_arrived(
    steps: list[Step], cost: float | None
) -> None:
    of_call = bill()
    for step in steps:
        of_call.note(step)
    assert of_call.cost_usd == cost


def test_what_a_cache_had_is_cheaper_also_when_the_answer_breaks_off() -> None:
    of_call = bill()
    of_call.note(Step([], usage={**TOLD, "prompt_tokens_details": {"cached_tokens": 5}}))
    of_call.note(text("y" * 8))
    assert of_call.cost_usd == pytest.approx(2 + 0.5 + 2)


def test_calls_of_tools_are_answers_too() -> None:
    of_call = bill()
    of_call.note(Step([Piece("tool_calls", [{"index": 0, "function": {"arguments": "{}"}}])]))
    assert (of_call.cost_usd or 0) > 10


def test_a_server_of_our_own_bills_no_answer_that_broke_off() -> None:
    of_call = bill(kind="llama-server", url="http://h")
    of_call.note(text("y" * 20))
    assert of_call.cost_usd is None
    of_call.note(Step([], end=End("stop", TOLD)))
    assert of_call.cost_usd == 8


def test_a_model_whose_price_nobody_knows_is_counted_without_money() -> None:
    of_call = bill(price=None)
    of_call.note(Step([], end=End("stop", TOLD)))
    assert (of_call.hold.usd, of_call.cost_usd) == (0, None)
