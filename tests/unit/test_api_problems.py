"""What is wrong with a fleet, in sentences that name the cure."""

import pytest

from api.problems import problems

ROUTERS = [{"role": "router"}]
WELL = {"workers": 1, "server": "ok"}


@pytest.mark.parametrize(
    ("redis", "routers", "model", "told"),
    [
        ("", ROUTERS, WELL, []),
        ("", ROUTERS, {"workers": 1, "server": "unknown"}, []),
        ("Its memory is full.", ROUTERS, WELL, ["Its memory is full."]),
        ("", [], WELL, ["No router lives: start one with `fleet router`."]),
        (
            "",
            ROUTERS,
            {"workers": 0, "server": "unknown"},
            ["No worker serves `fast`: start one with `fleet worker fast`."],
        ),
        (
            "",
            ROUTERS,
            {"workers": 2, "server": "down"},
            ["The server of `fast` does not answer: start it, or correct the model's url."],
        ),
        (
            "",
            ROUTERS,
            {"workers": 2, "server": "loading"},
            ["The server of `fast` is loading its model: wait; a large one takes minutes."],
        ),
    ],
)
def test_each_thing_that_is_wrong_is_one_sentence(
    redis: str, routers: list[dict[str, object]], model: dict[str, object], told: list[str]
) -> None:
    assert problems(redis, routers, {"fast": model}) == told


def test_the_worst_comes_first() -> None:
    models = {"fast": {"workers": 0, "server": "unknown"}}
    assert [text.split()[0] for text in problems("Redis …", [], models)] == ["Redis", "No", "No"]


def test_a_classifier_that_does_not_work_is_named_once_with_the_reason() -> None:
    routers = [{"failed": {"embedding": "OSError: no such file"}}] * 2
    told = "The router's `embedding` does not work: OSError: no such file."
    assert problems("", routers, {}) == [told]


def test_a_model_that_embeds_needs_its_server_only() -> None:
    told = problems("", ROUTERS, {"fast": WELL}, {"embed": {"server": "down"}})
    assert told == ["The server of `embed` does not answer: start it, or correct the model's url."]
    assert problems("", ROUTERS, {"fast": WELL}, {"embed": {"server": "ok"}}) == []
