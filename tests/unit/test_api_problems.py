"""What is wrong with a fleet, in sentences that name the cure."""

import pytest

from api.problems import problems

WELL = {"workers": 1, "server": "ok"}


@pytest.mark.parametrize(
    ("redis", "routers", "model", "told"),
    [
        ("", 1, WELL, []),
        ("", 1, {"workers": 1, "server": "unknown"}, []),
        ("Its memory is full.", 1, WELL, ["Its memory is full."]),
        ("", 0, WELL, ["No router lives: start one with `fleet router`."]),
        (
            "",
            1,
            {"workers": 0, "server": "unknown"},
            ["No worker serves `fast`: start one with `fleet worker fast`."],
        ),
        (
            "",
            1,
            {"workers": 2, "server": "down"},
            ["The server of `fast` does not answer: start it, or correct the model's url."],
        ),
        (
            "",
            1,
            {"workers": 2, "server": "loading"},
            ["The server of `fast` is loading its model: wait; a large one takes minutes."],
        ),
    ],
)
def test_each_thing_that_is_wrong_is_one_sentence(
    redis: str, routers: int, model: dict[str, object], told: list[str]
) -> None:
    assert problems(redis, routers, {"fast": model}) == told


def test_the_worst_comes_first() -> None:
    models = {"fast": {"workers": 0, "server": "unknown"}}
    assert [text.split()[0] for text in problems("Redis …", 0, models)] == ["Redis", "No", "No"]
