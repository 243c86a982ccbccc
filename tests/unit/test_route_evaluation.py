"""The figures of `fleet route eval`, against values computed by hand."""

import pytest

from router.evaluation import Judged, RouteFigures, Share, Unsure, score
from router.examples import Labelled


def judged(
    routes: str, given: str, took_ms: float = 1.0, if_sure: str = "", text: str = "hi", **line: str
) -> Judged:
    messages = ({"role": "user", "content": text},)
    labelled = Labelled(messages, tuple(routes.split()), **line)
    return Judged(labelled, given, if_sure or given, took_ms)


def test_the_figures_are_those_computed_by_hand() -> None:
    figures = score(
        [
            judged("fast", "fast"),
            judged("fast", "tool"),
            judged("tool", "tool"),
            judged("large", "tool"),
            judged("fast large", "large"),
        ]
    )
    assert (figures.n, figures.accuracy, figures.macro_f1) == (5, 0.6, 0.6111)
    assert figures.per_route == {
        "fast": RouteFigures(precision=1.0, recall=0.5, f1=0.6667, n=2),
        "large": RouteFigures(precision=1.0, recall=0.5, f1=0.6667, n=2),
        "tool": RouteFigures(precision=0.3333, recall=1.0, f1=0.5, n=1),
    }
    assert figures.confusion == {
        "fast": {"fast": 1, "tool": 1},
        "large": {"large": 1, "tool": 1},
        "tool": {"tool": 1},
    }


def test_a_route_that_no_line_has_lowers_precision_and_is_no_part_of_the_mean() -> None:
    figures = score([judged("fast", "fast"), judged("fast", "recipes")])
    assert list(figures.per_route) == ["fast"]
    assert figures.macro_f1 == 0.6667
    assert figures.confusion == {"fast": {"fast": 1, "recipes": 1}}


def test_a_route_that_is_never_given_scores_nothing() -> None:
    assert score([judged("fast", "tool")]).per_route["fast"] == RouteFigures(0.0, 0.0, 0.0, 1)


def test_shares_are_by_what_the_lines_say_of_themselves() -> None:
    figures = score(
        [
            judged("fast", "fast", source="a", lang="en"),
            judged("fast", "tool", source="a", lang="de"),
            judged("fast", "fast", source="b", kind="ask"),
            judged("fast", "fast"),
        ]
    )
    assert figures.per_source == {"a": Share(2, 0.5), "b": Share(1, 1.0)}
    assert figures.per_lang == {"de": Share(1, 0.0), "en": Share(1, 1.0)}
    assert figures.per_kind == {"ask": Share(1, 1.0)}


def test_what_went_elsewhere_for_being_unsure_is_counted() -> None:
    figures = score(
        [
            judged("fast", "tool", if_sure="fast"),
            judged("tool", "tool", if_sure="large"),
            judged("large", "tool", if_sure="fast"),
            judged("fast", "fast"),
        ]
    )
    assert figures.unsure == Unsure(n=3, right=1, right_if_sure=1)


def test_times_are_those_of_short_texts_and_of_all() -> None:
    lines = [judged("fast", "fast", took_ms=float(ms)) for ms in range(1, 101)]
    figures = score([*lines, judged("fast", "fast", took_ms=500.0, text="x" * 201)])
    assert (figures.p50_ms, figures.p99_ms) == (50.0, 99.0)
    assert (figures.p50_all_ms, figures.p99_all_ms) == (51.0, 100.0)
    assert score([judged("fast", "fast", text="x" * 201)]).p50_ms is None


@pytest.mark.parametrize("key", ["n", "accuracy", "macro_f1", "per_route", "confusion", "p99_ms"])
def test_all_of_it_can_be_said_in_json(key: str) -> None:
    told = score([judged("fast", "fast", source="a")]).as_dict()
    assert key in told
    assert told["per_source"] == {"a": {"n": 1, "accuracy": 1.0}}
