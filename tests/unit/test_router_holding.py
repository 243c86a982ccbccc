"""Attack fast, release slowly."""

import pytest

from fleet.decision import Memory
from router.conversation import Conversation
from router.holding import MOST_HELD, Held, hold
from router.verdict import Verdict

SHORT = Conversation.saying("write it", "commit it")
LONG = Conversation.saying("write it", "and now something else entirely, " * 4)


def verdict(route: str, confidence: float = 0.55, **scores: float) -> Verdict:
    return Verdict(route, confidence, ("why",), "test", {route: confidence, **scores})


def memory(route: str, held: int = 0) -> Memory:
    return Memory(route, "model", 0.9, held, 1)


def test_without_a_memory_the_words_decide() -> None:
    assert hold(verdict("fast"), None, SHORT) == Held("fast", 0.55)
    assert hold(verdict("fast"), memory(""), SHORT) == Held("fast", 0.55)


@pytest.mark.parametrize(
    ("before", "now"), [("fast", "tool"), ("fast", "large"), ("tool", "large")]
)
def test_a_turn_that_needs_more_gets_it_at_once(before: str, now: str) -> None:
    assert hold(verdict(now), memory(before), SHORT) == Held(now, 0.55)


@pytest.mark.parametrize(
    ("before", "now"), [("large", "fast"), ("large", "tool"), ("tool", "fast")]
)
def test_a_short_turn_that_seems_to_need_less_stays(before: str, now: str) -> None:
    held = hold(verdict(now), memory(before, held=1), SHORT)
    assert (held.route, held.turns) == (before, 2)
    assert f"stays on {before}" in held.reason


def test_it_is_released_when_the_words_are_sure_or_have_said_so_repeatedly_or_are_many() -> None:
    assert hold(verdict("fast", 0.9), memory("large"), SHORT).route == "fast"
    assert hold(verdict("tool", 0.65), memory("large"), SHORT).route == "tool"
    assert hold(verdict("fast"), memory("large", held=MOST_HELD), SHORT) == Held("fast", 0.55)
    assert hold(verdict("fast"), memory("large"), LONG).route == "fast"


def test_of_two_routes_that_score_alike_the_one_with_the_prompt_cache_is_taken() -> None:
    held = hold(verdict("tool", 0.5, fast=0.4), memory("fast"), SHORT)
    assert (held.route, held.turns) == ("fast", 0)
    assert "scores alike" in held.reason


def test_nobody_is_held_at_an_external_model() -> None:
    assert hold(verdict("fast"), memory("claude"), SHORT).route == "fast"
    assert hold(verdict("claude"), memory("large"), SHORT).route == "claude"
