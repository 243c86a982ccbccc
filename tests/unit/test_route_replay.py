"""Conversations decided turn by turn, and anything that may call itself one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.settings import Settings
from router.classifiers import Classifiers
from router.conversation import Conversation
from router.policy import Manner, Setting
from router.replay import every_route, replay
from router.verdict import ROUTES, Verdict

SETTING = Setting(every_route([*ROUTES, "recipes"]), Manner(0.3, "tool"))
DONE = {"role": "assistant", "content": "Done."}


def said(conversation: Conversation) -> Verdict:
    """The last turn names a route, and how sure to be of it."""
    route, sure = conversation.last.split()
    others = [other for other in ROUTES if other != route]
    scores = {other: (1 - float(sure)) / len(others) for other in others}
    return Verdict(route, float(sure), (), "said", {**scores, route: float(sure)})


def asking(*turns: str) -> dict[str, Any]:
    messages = [m for turn in turns for m in ({"role": "user", "content": turn}, DONE)]
    return {"messages": messages[:-1]}


def routes(*turns: str, **options: Any) -> list[str]:
    return [turn.decision.route for turn in replay(said, asking(*turns), SETTING, **options)]


def test_each_turn_is_decided_with_what_the_one_before_it_has_left() -> None:
    assert routes("large 0.9", "fast 0.6", "fast 0.6", "fast 0.6") == [
        "large",
        "large",
        "large",
        "fast",
    ]


def test_without_memory_the_last_turn_is_decided_alone() -> None:
    assert routes("large 0.9", "fast 0.6", remembers=False) == ["fast"]


def test_an_unsure_verdict_goes_to_the_capable_middle() -> None:
    assert routes("recipes 0.2") == ["tool"]


def test_every_route_has_a_model_whatever_is_configured() -> None:
    for route in (*ROUTES, "recipes"):
        assert routes(f"{route} 0.9") == [route]


def test_a_route_that_the_caller_names_needs_no_verdict_and_no_memory() -> None:
    first, last = replay(said, asking("large 0.9", "fast 0.6"), SETTING, asked_model="tool")
    assert first.verdict is not None
    assert (last.verdict, last.memory, last.decision.route) == (None, None, "tool")


def test_a_tool_s_answer_goes_to_the_model_that_called_it() -> None:
    request = asking("fast 0.9")
    request["messages"] += [DONE, {"role": "tool", "content": "7 degrees"}]
    assert [turn.decision.route for turn in replay(said, request, SETTING)] == ["fast", "tool"]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
PARTS = st.lists(
    st.fixed_dictionaries({"type": st.text()}, optional={"text": ANYTHING, "image_url": ANYTHING})
    | ANYTHING,
    max_size=3,
)
TEXTS = st.text(st.characters(exclude_categories=())) | st.sampled_from(
    ["ask Claude", "\ud800", "a\0b", "￿", "x " * 50_000, "```\n" * 500]
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {
            "role": st.sampled_from(["user", "assistant", "system", "tool", "developer"])
            | st.text(),
            "content": TEXTS | st.none() | PARTS,
        },
        optional={"tool_calls": st.none() | st.lists(ANYTHING, max_size=2)},
    ),
    max_size=5,
)


@pytest.fixture(scope="module")
def classifiers() -> Classifiers:
    return Classifiers(Settings())


@pytest.mark.parametrize("name", ["keywords", "cascade"])
def test_no_messages_break_a_decision(classifiers: Classifiers, name: Any) -> None:
    classify = classifiers.chain(name).classify

    @given(MESSAGES)
    def decided(messages: list[dict[str, Any]]) -> None:
        last = replay(classify, {"messages": messages}, SETTING)[-1]
        assert last.decision.route in (*ROUTES, "recipes")
        assert not classifiers.failures.as_dict()

    decided()
