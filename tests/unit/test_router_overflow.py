"""Which model answers where the plan's first one would keep the job waiting."""

from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from fleet.catalogue import Catalogue, Model
from fleet.decision import Decision
from fleet.errors import BreakerOpen, CapReached, TooBusy
from fleet.overflow import Overflow, Patience
from fleet.settings import Settings
from fleet.waits import Look, Pace, Place, View
from router.conversation import Conversation
from router.overflow import eased
from router.plan import Standing
from router.policy import Setting, decide
from router.signals import Signals
from router.standing import Watch
from router.verdict import Verdict


def model(name: str, **fields: Any) -> Model:
    url = {} if fields.get("kind") == "anthropic" else {"url": "http://127.0.0.1:8080"}
    return Model.model_validate({"name": name, **url, **fields})


PLAN = (
    *(model(name) for name in ("fast", "tool", "large")),
    model("claude", kind="anthropic", enabled=True),
)
CATALOGUE = Catalogue(PLAN)
OVERFLOW = Patience(if_busy="overflow", max_wait_s=10)


def first(patience: Patience = OVERFLOW, shut: Any = None, **waits: float) -> str:
    plan, _ = eased(PLAN, patience, Standing(waits=waits, shut=shut or {}))
    assert {m.name for m in plan} == {m.name for m in PLAN}
    return plan[0].name


@pytest.mark.parametrize(
    ("waits", "chosen"),
    [
        ({"fast": 10}, "fast"),
        ({"tool": 0, "large": 0}, "fast"),  # how long it would wait is not known
        ({"fast": 11, "tool": 9, "large": 0}, "tool"),
        ({"fast": 11, "tool": 11, "large": 0, "claude": 0}, "large"),
        ({"fast": 11, "tool": 11, "large": 11, "claude": 0}, "claude"),
        ({"fast": 11, "tool": 11, "large": 11, "claude": 11}, "fast"),
        ({"fast": 50, "tool": 30, "large": 20, "claude": 11}, "large"),
        ({"fast": 11, "tool": 9.5, "claude": 0}, "tool"),
        ({"fast": 21, "claude": 99}, "fast"),
    ],
)
def test_another_local_model_goes_first_then_claude_then_whoever_waits_least(
    waits: dict[str, float], chosen: str
) -> None:
    assert first(OVERFLOW, **waits) == chosen
    assert first(Patience(if_busy="wait", max_wait_s=10), **waits) == "fast"


def test_who_is_not_to_be_asked_now_is_not_asked() -> None:
    assert first(shut={"claude": CapReached()}, fast=50, claude=0) == "fast"
    assert first(shut={"tool": BreakerOpen()}, fast=50, tool=0, large=1) == "large"


def test_the_reason_says_how_long_and_who_instead() -> None:
    _, why = eased(PLAN, OVERFLOW, Standing(waits={"fast": 42.4, "large": 1.0}))
    assert why == "'fast' would keep it waiting about 42 s: 'large' instead"


def test_who_does_not_want_to_wait_hears_for_how_long() -> None:
    with pytest.raises(TooBusy, match=r"'fast' .* about 42 s, longer than 10 s") as refused:
        first(Patience(if_busy="reject", max_wait_s=10), fast=42.4, large=0)
    assert refused.value.retry_after_s == pytest.approx(32.4)


def decided(asked: str, if_busy: str = "", **rules: Any) -> Decision:
    verdict = None if asked != "auto" else Verdict("fast", 0.9, ("why",), "test")
    signals = Signals(asked, Conversation.saying("hello"), has_tools=False, tokens=10)
    standing = Standing(waits={"fast": 42.0, "large": 1.0})
    overflow = Overflow.model_validate({"max_wait_s": 10, **rules})
    setting = Setting(CATALOGUE, standing=standing, overflow=overflow, if_busy=if_busy)
    return decide(signals, verdict, setting)


def test_the_route_stays_and_the_wait_is_that_of_the_model_that_answers() -> None:
    moved = decided("auto", if_busy="overflow")
    assert (moved.route, moved.model, moved.plan[:2]) == ("fast", "large", ("large", "fast"))
    assert moved.predicted_wait_ms == 1_000
    assert moved.told()["predicted_wait_s"] == 1.0
    stayed = decided("auto")
    assert (stayed.model, stayed.predicted_wait_ms) == ("fast", 42_000)


def test_who_names_a_model_gets_it_unless_the_job_itself_says_otherwise() -> None:
    assert decided("fast", if_busy="overflow").model == "large"
    assert decided("fast", routes={"fast": {"if_busy": "overflow"}}).model == "fast"
    assert decided("auto", routes={"fast": {"if_busy": "overflow"}}).model == "large"


def test_a_route_has_its_own_rule_and_the_job_the_last_word() -> None:
    patient = {"fast": {"if_busy": "overflow", "max_wait_s": 60}}
    assert decided("auto", routes=patient).model == "fast"
    eager = {"fast": {"max_wait_s": 20}}
    assert decided("auto", if_busy="overflow", routes=eager).model == "large"
    with pytest.raises(TooBusy):
        decided("auto", if_busy="reject", routes=patient | {"fast": {"max_wait_s": 20}})


def test_a_bound_is_no_longer_than_the_job_may_wait() -> None:
    assert Patience(max_wait_s=30).of("", 2.0) == Patience(max_wait_s=2)
    assert Patience(max_wait_s=30).of("reject", 99.0) == Patience(if_busy="reject", max_wait_s=30)


def test_rules_for_a_route_that_nobody_serves_are_refused_by_name() -> None:
    models: Any = ({"name": "fast", "url": "http://127.0.0.1:1"},)
    rules: Any = {"routes": {"fats": {"max_wait_s": 1}}}
    with pytest.raises(ValidationError, match=r"overflow.routes: no model serves 'fats'"):
        Settings(models=models, overflow=rules)


class Same:
    """Sees the same, whatever has been sent."""

    async def view(self, *_: Any) -> View:
        look = Look({"fast": 1, "large": 1}, {"fast": Pace(4.0), "large": Pace(4.0)})
        return View(look, {"fast": Place(0, 1, [0.0]), "large": Place(0, 1, [0.0])}, undecided=7)


async def test_jobs_that_are_decided_at_once_do_not_all_go_the_same_way() -> None:
    models: Any = tuple({"name": n, "url": "http://127.0.0.1:1"} for n in ("fast", "large"))
    ledger: Any = SimpleNamespace(line=None)
    watch: Any = Watch(ledger, Settings(models=models))
    watch._outlook = Same()
    job: Any = SimpleNamespace(id="job", priority=3, caller="a", allowed=())
    plan = tuple(m for m in PLAN if m.name in ("fast", "large"))
    standings = [await watch.for_job(job) for _ in range(6)]  # all look before any is sent
    went = []
    for standing in standings:
        moved, _ = eased(plan, OVERFLOW, standing())
        went.append(moved[0].name)
        watch.decided(went[-1])
    assert went == ["fast", "fast", "large", "large", "fast", "large"]
    watch.written("fast")
    assert (await watch.for_job(job))().waits["fast"] < 16
