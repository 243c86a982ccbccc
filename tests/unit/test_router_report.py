import json
import tomllib
from pathlib import Path

import pytest

from fleet.settings import load
from router.report import Misroute, report
from router.suggestions import suggest
from tests.unit.decision_rows import outcome, row, said

NAMED = [
    ("What is the weather in Oslo?", "tool"),
    ("Show me the weather of the coast", "tool"),
    ("Is the weather fine for sailing?", "tool"),
    ("What is the news of the harbour?", "tool"),
    ("Prove that the root of two is irrational", "large"),
    ("Prove the lemma of the lecture", "large"),
    ("Prove the theorem of the remainder", "large"),
    ("Compare the two treaties", "large"),
]


def test_shares_stand_beside_what_is_expected_of_them() -> None:
    rows = [row(route=route) for route in ("fast",) * 700 + ("tool",) * 100 + ("large",) * 200]
    shares = {share.route: share for share in report(rows).shares}
    assert {route: share.part.value for route, share in shares.items()} == {
        "fast": 0.7,
        "tool": 0.1,
        "large": 0.2,
    }
    assert {route: share.verdict for route, share in shares.items()} == {
        "fast": "within",
        "tool": "below",
        "large": "above",
    }


def test_a_share_that_chance_may_have_made_says_so() -> None:
    shares = report([row(route="fast") for _ in range(5)] + [row(route="code")]).shares
    assert {share.route: share.verdict for share in shares} == {
        "fast": "above, few jobs",
        "tool": "below, few jobs",
        "large": "within",
        "code": "",
    }


def test_times_tokens_and_rates_are_those_of_the_route_and_of_the_model() -> None:
    rows = [
        row(outcome=outcome(total_ms=1_000, first_token_ms=100)),
        row(outcome=outcome(total_ms=2_000, first_token_ms=200)),
        row(outcome=outcome(total_ms=6_000, first_token_ms=300, failed_over=1, model="tool")),
        row(outcome=outcome(status="failed", total_ms=None, first_token_ms=None)),
        row(outcome=None),
    ]
    found = report(rows)
    fast = found.routes[0]
    assert (fast.name, fast.jobs, fast.ended) == ("fast", 5, 4)
    assert (fast.average_s, fast.median_s) == (3.0, 2.0)
    assert (fast.first_token_p50_s, fast.first_token_p95_s) == (0.2, 0.3)
    assert (fast.prompt_tokens, fast.completion_tokens) == (400, 200)
    assert (fast.fall_over_rate, fast.failure_rate) == (0.25, 0.25)
    assert [(each.name, each.jobs) for each in found.models] == [("fast", 4), ("tool", 1)]
    assert found.overall.jobs == 5
    assert found.quick_enough


def test_a_cancel_is_no_failure() -> None:
    found = report([row(outcome=outcome(status=s)) for s in ("cancelled", "incomplete", "expired")])
    assert found.overall.failure_rate == pytest.approx(1 / 3)


def test_the_slowest_jobs_come_first_and_without_words() -> None:
    rows = [row(outcome=outcome(total_ms=1_000 * number)) for number in range(1, 31)]
    slowest = report(rows).slowest
    assert [slow.seconds for slow in slowest] == [float(n) for n in range(30, 20, -1)]
    assert slowest[0].job == rows[-1].job


@pytest.mark.parametrize(("external", "alerted"), [(1, False), (2, True)])
def test_more_than_one_percent_of_external_answers_is_an_alert(
    external: int, alerted: bool
) -> None:
    rows = [row(outcome=outcome(model="claude")) for _ in range(external)]
    rows += [row() for _ in range(100 - external)]
    found = report(rows, external={"claude"})
    assert found.external_rate == external / 100
    assert found.alert.startswith("ALERT: external models answered 2.0%") is alerted


def test_cost_is_there_only_where_one_is_known() -> None:
    assert report([row()]).overall.cost_usd is None
    paid = [row(outcome=outcome(model="claude", cost_usd=usd)) for usd in (0.25, 0.5, None)]
    found = report([*paid, row()])
    assert found.overall.cost_usd == 0.75
    assert {each.name: each.cost_usd for each in found.models} == {"claude": 0.75, "fast": None}


def test_the_speed_of_streams_is_of_the_tokens_after_the_first() -> None:
    rows = [
        row(outcome=outcome(first_token_ms=0, total_ms=1_000, completion_tokens=101)),
        row(outcome=outcome(first_token_ms=0, total_ms=3_000, completion_tokens=301)),
        row(outcome=outcome(first_token_ms=1, total_ms=2, completion_tokens=900, cache="hit")),
        row(outcome=outcome(completion_tokens=None)),
        row(outcome=None),
    ]
    assert report(rows).overall.tokens_per_s == 100
    assert report([row(outcome=outcome(completion_tokens=1))]).overall.tokens_per_s is None


def test_what_a_cache_has_answered_no_external_model_has() -> None:
    found = report([row(outcome=outcome(model="claude", cache="hit"))], external={"claude"})
    assert found.external_rate == 0
    assert [each.name for each in found.models] == ["(cache)"]


def test_misroutes_go_by_the_latest_word() -> None:
    rows = [
        row(feedback=(said("tool"),)),
        row(feedback=(said("fast"), said("tool", rating=1, at=2))),
        row(feedback=(said("large"), said("fast", at=2))),
        row(route="tool", feedback=(said("large"),)),
        row(feedback=(said("tool"), said(rating=5, at=2))),
        row(),
    ]
    found = report(rows)
    assert (found.rated, found.misrouted) == (5, 3)
    assert found.misroutes == (Misroute("fast", "tool", 2), Misroute("tool", "large", 1))
    assert (found.routes[0].rating, found.routes[0].ratings) == (3.0, 2)


def test_of_no_rows_there_is_an_empty_report() -> None:
    found = report([])
    assert (found.jobs, found.shares, found.slowest, found.external_rate) == (0, (), (), None)
    assert found.quick_enough is None
    assert not found.alert
    json.dumps(found.as_dict(), allow_nan=False)


def test_the_whole_report_is_json() -> None:
    rows = [row(feedback=(said("tool", 1),)), row(outcome=None)]
    told = json.loads(json.dumps(report(rows, NAMED).as_dict(), allow_nan=False))
    assert told["shares"][0]["verdict"]
    assert told["suggestions"][0]["toml"]


def test_words_that_tell_a_route_are_suggested_and_words_of_all_are_not() -> None:
    words = {each.route: [k.word for k in each.keywords] for each in suggest(NAMED)}
    assert words["tool"] == ["weather"]
    assert words["large"] == ["prove"]


def test_a_word_seen_once_is_not_suggested() -> None:
    assert not any(each.keywords for each in suggest([("weather", "tool"), ("prove", "large")]))


def test_with_one_route_alone_there_is_nothing_to_tell_it_from() -> None:
    (only,) = suggest([("the weather", "tool"), ("the weather there", "tool")])
    assert only.keywords == ()
    assert only.examples == ("the weather", "the weather there")
    assert only.toml == ""


def test_a_word_is_counted_once_for_each_text() -> None:
    shouted = [("weather weather weather", "tool"), ("prove it", "large"), ("prove that", "large")]
    assert not {each.route: each for each in suggest(shouted)}["tool"].keywords


def test_suggested_examples_can_be_pasted_into_a_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = ['say "hi" \\ or', "línea\nand\ttab", "\x7f\x01 \ud800 天気は"]
    (found,) = suggest([(text, "tool") for text in (*odd, *odd)])
    parsed = tomllib.loads(found.toml)["router"]["routes"][0]
    assert parsed["examples"][:2] == [odd[0], "línea and tab"]
    assert len(parsed["examples"]) == 3
    config = tmp_path / "fleet.toml"
    model = '[[models]]\nname = "tool"\nurl = "http://127.0.0.1:1"\n'
    config.write_text(model + found.toml, encoding="utf-8")
    monkeypatch.delenv("FLEET_PRESET", raising=False)
    assert load(config).router.routes[0].name == "tool"
