"""From signals and a verdict to a plan."""

from dataclasses import replace
from typing import Any

import pytest

from fleet.catalogue import Catalogue, Model
from fleet.decision import Decision, Memory
from fleet.errors import ConfigError, InvalidRequest
from router.conversation import Conversation
from router.plan import Standing
from router.policy import Setting, decide, needs_verdict
from router.signals import Signals
from router.verdict import Verdict

SIGNALS = Signals("auto", Conversation.saying("hi"), has_tools=False, tokens=10)


def model(name: str, **fields: Any) -> Model:
    url = {} if fields.get("kind") == "anthropic" else {"url": "http://127.0.0.1:8080"}
    return Model.model_validate({"name": name, **url, **fields})


def claude(name: str = "claude", enabled: bool = True) -> Model:
    return model(name, kind="anthropic", enabled=enabled)


TWO = Catalogue((model("fast"), model("tool", roles=("tool", "large"), context=8192), claude()))
THREE = Catalogue((model("fast"), model("tool"), model("large", context=16_384), claude()))
LOCAL = Catalogue((model("fast"), model("tool"), model("large"), claude(enabled=False)))


def decided(
    route: str = "fast", catalogue: Catalogue = THREE, asked: str = "auto", **fields: Any
) -> Decision:
    signals = replace(SIGNALS, asked_model=asked, **fields)
    verdict = Verdict(route, 0.5, ("a reason",), "keywords") if needs_verdict(signals) else None
    return decide(signals, verdict, Setting(catalogue))


@pytest.mark.parametrize(
    ("catalogue", "route", "plan"),
    [
        (TWO, "fast", ("fast", "tool", "claude")),
        (TWO, "tool", ("tool", "fast", "claude")),
        (TWO, "large", ("tool", "fast", "claude")),
        (THREE, "fast", ("fast", "tool", "large", "claude")),
        (THREE, "tool", ("tool", "large", "fast", "claude")),
        (THREE, "large", ("large", "tool", "fast", "claude")),
        (LOCAL, "tool", ("tool", "large", "fast")),
    ],
)
def test_the_verdicts_route_gives_the_plan_with_claude_last(
    catalogue: Catalogue, route: str, plan: tuple[str, ...]
) -> None:
    decision = decided(route, catalogue)
    assert decision == Decision(route, plan[0], plan, ("a reason",), 0.5, "keywords")


@pytest.mark.parametrize(
    ("asked", "route", "plan"),
    [
        ("large", "large", ("large", "tool", "fast", "claude")),
        ("fast", "fast", ("fast", "tool", "large", "claude")),
        ("claude", "claude", ("claude", "large", "tool", "fast")),
    ],
)
def test_a_named_model_comes_first_and_the_others_follow(
    asked: str, route: str, plan: tuple[str, ...]
) -> None:
    decision = decided("tool", asked=asked)
    assert (decision.route, decision.plan) == (route, plan)
    assert decision.model == plan[0]
    assert decision.reasons == (f"the caller named the model {asked!r}",)
    assert (decision.confidence, decision.classifier) == (1.0, "rules")


def test_a_named_model_comes_before_another_of_the_same_role() -> None:
    twins = Catalogue((model("a", roles=("fast",)), model("b", roles=("fast",)), model("tool")))
    assert decided(catalogue=twins, asked="b").plan == ("b", "a", "tool")


def test_a_named_route_gives_the_plan_of_that_route() -> None:
    decision = decided("fast", TWO, asked="large")
    assert (decision.route, decision.model) == ("large", "tool")
    assert decision.reasons == ("the caller named the route 'large'",)


def test_a_route_that_no_model_has_may_be_named_where_others_stand_in_for_it() -> None:
    small = Catalogue((model("small", roles=("fast",)),))
    assert decided(catalogue=small, asked="large").plan == ("small",)
    with pytest.raises(InvalidRequest):
        decided(catalogue=small, asked="claude")


def test_a_route_of_ones_own_may_be_named() -> None:
    coder = Catalogue((model("fast"), model("coder", roles=("code",))))
    assert decided(catalogue=coder, asked="code").plan == ("coder", "fast")


def test_a_named_model_wins_over_tools_and_over_the_words() -> None:
    assert decided("claude", asked="fast", has_tools=True).model == "fast"


def test_an_unknown_model_is_refused_with_what_there_is() -> None:
    with pytest.raises(InvalidRequest) as refused:
        decided(catalogue=TWO, asked="gpt-4")
    assert refused.value.param == "model"
    assert "'gpt-4'" in refused.value.message
    assert refused.value.message.endswith("there are: auto, fast, tool, claude, large")


def test_a_disabled_claude_is_refused_with_the_key_it_needs() -> None:
    with pytest.raises(InvalidRequest, match=r"'claude' is disabled.*ANTHROPIC_API_KEY") as refused:
        decided(catalogue=LOCAL, asked="claude")
    assert refused.value.param == "model"


def test_a_disabled_local_model_is_refused_with_the_setting() -> None:
    resting = Catalogue((model("fast"), model("big", roles=("code",), enabled=False)))
    for asked in ("big", "code"):
        with pytest.raises(InvalidRequest, match=r"'big' is disabled.*enabled = false"):
            decided(catalogue=resting, asked=asked)


def test_the_words_that_ask_for_claude_put_it_first_even_with_tools() -> None:
    assert decided("claude").plan == ("claude", "large", "tool", "fast")
    assert decided("claude", has_tools=True).plan == ("claude", "tool", "large", "fast")


def test_a_verdict_for_a_claude_that_is_not_there_is_served_by_the_others() -> None:
    decision = decided("claude", LOCAL)
    assert decision.plan == ("fast", "tool", "large")
    assert decision.reasons == ("a reason", "no model that may be asked serves the route 'claude'")
    assert decided("claude", LOCAL, has_tools=True).plan == ("tool", "large", "fast")


def test_tools_go_to_the_model_that_calls_tools() -> None:
    decision = decided("fast", has_tools=True)
    assert (decision.route, decision.model, decision.classifier) == ("tool", "tool", "rules")
    assert decision.reasons == ("the request brings tools", "a reason")


def test_models_that_cannot_hold_the_conversation_leave_the_plan_with_a_reason() -> None:
    decision = decided("fast", tokens=10_000)
    assert decision.plan == ("large", "claude")
    assert (decision.route, decision.model) == ("fast", "large")
    assert decision.reasons == (
        "a reason",
        "'fast' holds 4096 tokens; prompt and answer need about 11024",
        "'tool' holds 4096 tokens; prompt and answer need about 11024",
    )


def test_when_no_model_holds_the_conversation_the_one_with_the_largest_context_tries() -> None:
    decision = decided("fast", TWO, tokens=500_000)
    assert decision.plan == ("claude",)
    assert "no model holds about 500000 tokens" in decision.reasons[-1]
    sizes = Catalogue((model("fast"), model("large", context=8192)))
    assert decided("fast", sizes, tokens=500_000).plan == ("large",)


@pytest.mark.parametrize(
    ("max_tokens", "needed"), [(None, 1_124), (100, 200), (9_999, 2_148), (1, 101)]
)
def test_the_answer_needs_the_room_that_it_may_take(max_tokens: int | None, needed: int) -> None:
    signals = replace(SIGNALS, tokens=100, max_tokens=max_tokens)
    assert signals.tokens_needed(model("fast", context=4096, max_tokens=2048)) == needed


def test_without_an_enabled_model_nothing_can_be_decided() -> None:
    with pytest.raises(ConfigError, match="no model is enabled"):
        decided(catalogue=Catalogue((model("fast", enabled=False),)))


def test_a_caller_may_name_auto_the_enabled_models_and_the_routes() -> None:
    assert THREE.addressable == ("auto", "fast", "tool", "large", "claude")
    assert LOCAL.addressable == ("auto", "fast", "tool", "large")
    named = Catalogue((model("qwen", roles=("tool", "code")),))
    assert named.addressable == ("auto", "qwen", "tool", "code", "fast", "large")


def test_every_known_model_can_be_decided() -> None:
    for catalogue in (TWO, THREE, LOCAL):
        for name in catalogue.addressable:
            assert decided(catalogue=catalogue, asked=name).plan


def test_a_request_with_tools_is_told_that_no_model_calls_them() -> None:
    catalogue = Catalogue((model("fast", tools=False), model("tool", tools=False)))
    decision = decided("fast", catalogue, has_tools=True)
    assert decision.plan == ("tool", "fast")
    assert "no enabled model can call tools" in decision.reasons


@pytest.mark.parametrize(("wait_s", "first"), [(5.0, "b"), (600.0, "a")])
def test_the_model_with_the_prompt_cache_is_first_unless_its_line_is_long(
    wait_s: float, first: str
) -> None:
    catalogue = Catalogue((model("a", roles=("fast",)), model("b", roles=("fast",))))
    memory = Memory("fast", "b", 0.9, 0, 0)
    standing = Standing(frozenset({"a", "b"}), {"a": 0.0, "b": wait_s})
    verdict = Verdict("fast", 0.9, (), "keywords")
    decision = decide(SIGNALS, verdict, Setting(catalogue, memory=memory, standing=standing))
    assert decision.model == first


def test_a_conversation_is_not_held_on_a_route_that_is_no_more() -> None:
    memory = Memory("law", "counsel", 0.9, 0, 0)
    verdict = Verdict("fast", 0.7, (), "embedding", {"fast": 0.7})
    assert decide(SIGNALS, verdict, Setting(THREE, memory=memory)).route == "fast"


BY_DOMAIN = Catalogue(
    (
        model("coder", roles=("code", "tool")),
        model("general", roles=("general", "large")),
        model("creative", roles=("creative", "fast")),
    )
)


@pytest.mark.parametrize(
    ("before", "about", "route"),
    [
        ("creative", "code", "code"),
        ("code", "creative", "creative"),
        ("creative", "general", "creative"),
        ("code", "code", "code"),
    ],
)
def test_a_talk_that_turns_to_another_domain_leaves_the_one_before(
    before: str, about: str, route: str
) -> None:
    memory = Memory(before, "coder", 0.9, 0, 0)
    verdict = Verdict("fast", 0.7, (), "embedding", {"fast": 0.7}, domain=about)
    assert decide(SIGNALS, verdict, Setting(BY_DOMAIN, memory=memory)).route == route


GPT = model(
    "gpt-4",
    kind="openai",
    url="https://models.example/v1",
    model="gpt-4o",
    price={"input": 1, "output": 2},
    enabled=True,
)
BOTH = Catalogue((model("fast"), claude(), GPT))


@pytest.mark.parametrize(
    ("catalogue", "words", "plan"),
    [
        (BOTH, "Use GPT-4 for this: write a haiku", ("gpt-4", "claude", "fast")),
        (BOTH, "ask ChatGPT to write a haiku", ("gpt-4", "claude", "fast")),
        (BOTH, "Use Claude for this: write a haiku", ("claude", "gpt-4", "fast")),
        (BOTH, "a classifier says so, without such words", ("claude", "gpt-4", "fast")),
        (Catalogue((model("fast"), claude())), "Use GPT-4 for this", ("claude", "fast")),
        (Catalogue((model("fast"), GPT)), "Use Claude for this", ("gpt-4", "fast")),
    ],
)
def test_who_asks_for_gpt_gets_the_model_of_that_maker_where_there_is_one(
    catalogue: Catalogue, words: str, plan: tuple[str, ...]
) -> None:
    decision = decided("claude", catalogue, conversation=Conversation.saying(words))
    assert (decision.route, decision.plan) == ("claude", plan)


def test_all_external_models_come_last_elsewhere() -> None:
    assert decided("fast", BOTH).plan == ("fast", "claude", "gpt-4")
    assert decided(catalogue=BOTH, asked="gpt-4").plan[0] == "gpt-4"


def test_a_role_of_its_own_is_a_route_by_name_and_not_what_claude_means() -> None:
    own = GPT.model_copy(update={"roles": ("openai",)})
    catalogue = Catalogue((model("fast"), claude(), own))
    assert decided(catalogue=catalogue, asked="openai").plan == ("gpt-4", "fast", "claude")
    said = Conversation.saying("Use GPT-4 for this")
    assert decided("claude", catalogue, conversation=said).model == "claude"
