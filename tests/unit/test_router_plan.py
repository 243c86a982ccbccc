"""The order in which models are tried, beside what the policy's tests say of it."""

from typing import Any

import pytest

from fleet.catalogue import Catalogue, Model
from fleet.errors import BreakerOpen, InvalidRequest
from router.conversation import Conversation
from router.plan import Standing, Wish, asked_now, order
from router.policy import Manner, Setting, decide
from router.signals import Signals
from router.verdict import Verdict

HELLO = Signals("auto", Conversation.saying("hello"), has_tools=False, tokens=10)
WITH_TOOLS = Signals("auto", Conversation.saying("hello"), has_tools=True, tokens=10)


def model(name: str, **fields: Any) -> Model:
    url = {} if fields.get("kind") == "anthropic" else {"url": "http://127.0.0.1:8080"}
    return Model.model_validate({"name": name, **url, **fields})


THREE = Catalogue(
    (model("fast"), model("tool"), model("large"), model("claude", kind="anthropic", enabled=True))
)
TWINS = Catalogue((model("a", roles=("fast",)), model("b", roles=("fast",)), model("tool")))


def names(
    wish: Wish, catalogue: Catalogue = THREE, signals: Signals = HELLO, **standing: Any
) -> list[str]:
    stands = Standing(**standing)
    models, _ = asked_now(order(wish, signals, catalogue, stands)[0], stands)
    return [model.name for model in models]


def test_whom_nobody_works_for_goes_behind_the_other_local_ones_but_before_claude() -> None:
    alive = frozenset({"tool", "large"})
    assert names(Wish("fast"), alive=alive) == ["tool", "large", "fast", "claude"]
    _, notes = order(Wish("fast"), HELLO, THREE, Standing(alive))
    assert notes == ("nobody works for 'fast' now",)


@pytest.mark.parametrize("alive", [None, frozenset(), frozenset({"fast", "tool", "large"})])
def test_when_nothing_or_nobody_is_known_the_order_stands(alive: frozenset[str] | None) -> None:
    assert names(Wish("fast"), alive=alive) == ["fast", "tool", "large", "claude"]


def test_a_named_model_comes_first_even_if_nobody_works_for_it() -> None:
    assert names(Wish("fast", named=THREE["fast"]), alive=frozenset({"tool"}))[0] == "fast"


@pytest.mark.parametrize(
    ("shut", "plan"),
    [
        (["fast"], ["tool", "large", "claude"]),
        (["claude"], ["fast", "tool", "large"]),
        (["fast", "tool", "large"], ["claude", "fast", "tool", "large"]),
        (["fast", "tool", "large", "claude"], ["fast", "tool", "large", "claude"]),
    ],
)
def test_who_is_not_to_be_asked_leaves_the_plan_but_the_last_local_ones(
    shut: list[str], plan: list[str]
) -> None:
    assert names(Wish("fast"), shut=dict.fromkeys(shut, BreakerOpen())) == plan


def test_of_two_models_of_a_route_the_shorter_wait_goes_first_and_the_cache_before_it() -> None:
    waits = {"a": 60.0, "b": 3.0}
    assert names(Wish("fast"), TWINS, waits=waits)[:2] == ["b", "a"]
    assert names(Wish("fast", cached="a"), TWINS, waits=waits)[:2] == ["b", "a"]
    assert names(Wish("fast", cached="a"), TWINS, waits={"a": 9.0})[:2] == ["a", "b"]
    assert names(Wish("fast"), TWINS, waits={"a": 1.0, "b": 0.0})[:2] == ["a", "b"]


def test_who_cannot_call_tools_gets_no_request_that_brings_some() -> None:
    mute = Catalogue((model("fast", tools=False), model("tool"), model("large", tools=False)))
    models, notes = order(Wish("tool"), WITH_TOOLS, mute, Standing())
    assert [model.name for model in models] == ["tool"]
    assert notes == ("'large' cannot call tools", "'fast' cannot call tools")
    with pytest.raises(InvalidRequest, match=r"'fast' cannot call tools.*these can: tool"):
        decide(Signals("fast", HELLO.conversation, has_tools=True, tokens=1), None, Setting(mute))


def test_who_cannot_see_gets_no_pictures() -> None:
    seeing = Catalogue((model("fast"), model("tool"), model("large", images=True)))
    shown = Signals("auto", HELLO.conversation, has_tools=False, tokens=10, has_images=True)
    models, notes = order(Wish("fast"), shown, seeing, Standing())
    assert [model.name for model in models] == ["large"]
    assert notes == ("'fast' cannot see pictures", "'tool' cannot see pictures")
    named = Signals("fast", HELLO.conversation, False, 1, has_images=True)
    with pytest.raises(InvalidRequest, match=r"'fast' cannot see pictures.*these can: large"):
        decide(named, None, Setting(seeing))


def test_a_model_that_is_left_alone_is_replaced_by_none_that_cannot_do_its_work() -> None:
    some = Catalogue((model("fast", tools=False), model("large", images=True, context=32768)))
    shut = Setting(some, standing=Standing(shut={"large": BreakerOpen("it failed lately")}))
    unsure = Verdict("fast", 1.0, (), "test")
    able = {
        "tools": Signals("auto", HELLO.conversation, has_tools=True, tokens=10),
        "pictures": Signals("auto", HELLO.conversation, False, 10, has_images=True),
        "length": Signals("auto", HELLO.conversation, False, 9_000),
    }
    for what, signals in able.items():
        assert decide(signals, unsure, shut).plan == ("large",), what
    plain = decide(HELLO, unsure, shut)
    assert plain.plan == ("fast",)
    assert plain.reasons[-1] == "'large' is left out: it failed lately"
    left_out = {"model": "large", "code": "breaker_open", "message": "it failed lately"}
    assert plain.left_out == (left_out,)


def test_a_part_of_a_catalogue_knows_no_other_models() -> None:
    part = THREE.only(("fast", "claude"))
    assert names(Wish("large"), part) == ["fast", "claude"]
    assert part.addressable == ("auto", "fast", "claude")
    assert "large" in part.served_routes
    assert THREE.only(()) is THREE
    assert THREE.only(("fast", "claude")) is part


def test_what_the_servers_count_replaces_the_estimate() -> None:
    small = Catalogue((model("fast", context=512, max_tokens=100), model("large", context=8192)))
    rough = Signals("auto", HELLO.conversation, has_tools=False, tokens=500)
    assert rough.near_the_limit(small["fast"])
    assert names(Wish("fast"), small, rough) == ["large"]
    counted = Signals("auto", HELLO.conversation, False, 500, counted={"fast": 300})
    assert names(Wish("fast"), small, counted) == ["fast", "large"]


def decided(
    route: str,
    domain: str,
    catalogue: Catalogue,
    confidence: float = 0.8,
    turn: str = "hello " * 40,
    **manner: Any,
) -> str:
    verdict = Verdict(route, confidence, ("why",), "test", {route: confidence}, domain)
    signals = Signals("auto", Conversation.saying(turn), has_tools=False, tokens=10)
    return decide(signals, verdict, Setting(catalogue, Manner(**manner))).route


BY_DOMAIN = Catalogue(
    (
        model("coder", roles=("code", "tool")),
        model("general", roles=("general", "large")),
        model("creative", roles=("creative", "fast")),
        model("advanced", roles=("advanced-code",)),
    )
)


@pytest.mark.parametrize(
    ("route", "domain", "to"),
    [
        ("fast", "code", "code"),
        ("large", "code", "advanced-code"),
        ("fast", "creative", "creative"),
        ("large", "creative", "creative"),
        ("fast", "general", "general"),
        ("large", "general", "general"),
        ("tool", "code", "tool"),
    ],
)
def test_a_fleet_with_models_by_domain_is_routed_by_domain(
    route: str, domain: str, to: str
) -> None:
    assert decided(route, domain, BY_DOMAIN) == to
    assert decided(route, domain, THREE) == route


def test_code_that_is_asked_for_in_a_line_is_not_advanced() -> None:
    assert decided("large", "code", BY_DOMAIN, turn="Reverse a list in Python") == "code"


def test_the_unsure_go_to_the_capable_middle_and_an_experiment_may_send_them_elsewhere() -> None:
    assert decided("fast", "", THREE, 0.3, threshold=0.5, unsure_route="tool") == "tool"
    assert decided("fast", "", THREE, 0.6, threshold=0.5, unsure_route="tool") == "fast"
    assert decided("fast", "", THREE, 0.3, threshold=0.5, unsure_route="nowhere") == "fast"
    assert decided("large", "", THREE, instead={"large": "tool"}) == "tool"


def test_a_tool_result_as_the_last_turn_goes_on_with_tools() -> None:
    turns = Conversation((("user", "weather?"), ("assistant", ""), ("tool", "sunny")))
    signals = Signals("auto", turns, has_tools=False, tokens=10)
    decision = decide(signals, Verdict("fast", 0.9, (), "test"), Setting(THREE))
    assert (decision.route, decision.reasons) == (
        "tool",
        ("the last turn is what a tool answered",),
    )


def test_a_route_that_nobody_serves_gives_way_to_the_next_best() -> None:
    local = Catalogue((model("fast"), model("tool"), model("large")))
    verdict = Verdict(
        "claude", 0.9, ("asked",), "test", {"claude": 0.9, "fast": 0.02, "large": 0.08}
    )
    decision = decide(HELLO, verdict, Setting(local))
    assert decision.route == "large"
    assert decision.confidence == pytest.approx(0.8)
    assert "no model that may be asked serves the route 'claude'" in decision.reasons
