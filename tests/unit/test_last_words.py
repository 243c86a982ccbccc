"""When nobody could answer: who was asked, what each said, and what helps."""

from typing import Any

import pytest

from fleet import errors
from fleet.catalogue import Catalogue, Model
from fleet.errors import (
    AllModelsUnavailable,
    BreakerOpen,
    CapReached,
    ContextExceeded,
    NotServed,
    ServerBusy,
    ServerFailed,
    ServerLoading,
    ServerStalled,
    ServerUnreachable,
    StreamCut,
    TryNext,
)
from fleet.last_words import CURES, WORDS_MOST, last_words, not_asked


def model(name: str, **fields: Any) -> Model:
    return Model.model_validate({"name": name, **fields})


FAST = model("fast", url="http://joe:secret@10.0.0.7:8081/v?key=hidden", context=4096)
LARGE = model("large", url="http://10.0.0.7:8083", context=32768)
CLAUDE = model("claude", kind="anthropic", enabled=True)
OFF = model("claude", kind="anthropic", enabled=False)
CATALOGUE = Catalogue((FAST, LARGE, CLAUDE))


def failed(name: str, error: TryNext) -> dict[str, Any]:
    told = {"model": name, "attempt": 1, "code": error.code, "message": error.message}
    wait = {} if error.retry_after_s is None else {"retry_after_s": error.retry_after_s}
    needs = {"needs": error.needs} if isinstance(error, ContextExceeded) and error.needs else {}
    return told | wait | needs


def words(*tried: dict[str, Any], catalogue: Catalogue = CATALOGUE) -> str:
    return last_words(tried, catalogue, plan=list({t["model"]: 0 for t in tried})).message


def test_each_model_is_told_once_in_order_with_its_last_reason() -> None:
    said = words(
        failed("fast", ServerLoading("Loading model")),
        failed("claude", NotServed("Anthropic's API says: no")),
        failed("fast", ServerUnreachable("it does not answer")),
    )
    assert said.startswith(
        "All models unavailable. Tried fast: it does not answer (2 times); "
        "claude: Anthropic's API says: no. What helps: start the server of 'fast'"
    )
    assert "Loading" not in said


@pytest.mark.parametrize(
    ("name", "error", "cure"),
    [
        ("fast", ServerUnreachable(), "`fleet up`, or its own command), or correct `url`"),
        ("fast", ServerUnreachable(), "http://10.0.0.7:8081/v was asked"),
        ("claude", ServerUnreachable(), "Anthropic's API can be reached from here"),
        ("fast", ServerLoading(), "wait until 'fast' has loaded its model"),
        ("fast", ServerStalled(), "first_token_s is 300, between_tokens_s 60"),
        ("claude", CapReached(), "of 'claude' (`calls_per_day` is 100, `usd_per_day` is none)"),
        ("claude", CapReached(), "when the day turns"),
        ("claude", NotServed(), "a valid ANTHROPIC_API_KEY"),
        ("fast", NotServed(), "give the worker of 'fast' a key by `api_key_env`, or correct `url`"),
        ("claude", ServerBusy(), "ask Anthropic's API less often"),
        ("fast", BreakerOpen(), "see to the server of 'fast' (http://10.0.0.7:8081/v)"),
        ("fast", ServerFailed(), "look at the log of the server of 'fast'"),
        ("claude", StreamCut(), "look at Anthropic's API"),
    ],
)
def test_each_failure_has_its_cure(name: str, error: TryNext, cure: str) -> None:
    said = words(failed(name, error))
    assert cure in said
    assert "secret" not in said
    assert "hidden" not in said


def test_no_failure_that_ends_a_plan_is_without_a_cure() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    told = {kind.code for kind in kinds if issubclass(kind, TryNext) and "code" in vars(kind)}
    assert set(CURES) == told


def test_what_helps_several_is_said_once() -> None:
    both = [failed(name, CapReached()) for name in ("claude", "claude")]
    assert words(*both).count("calls_per_day") == 1


def test_a_last_resort_that_is_off_is_told_of() -> None:
    without = Catalogue((FAST, OFF))
    told = "There is no last resort: 'claude' is off (no ANTHROPIC_API_KEY"
    assert told in words(failed("fast", StreamCut()), catalogue=without)
    assert told not in words(failed("fast", StreamCut()))
    mine = last_words([failed("fast", StreamCut())], without, plan=["fast"], allowed=["fast"])
    assert told not in mine.message


def test_who_was_left_out_of_the_plan_is_told_of_and_may_hold_what_the_others_do_not() -> None:
    spent = not_asked("claude", CapReached("the 100 calls of today are used up"))
    end = last_words([failed("fast", StreamCut())], CATALOGUE, plan=["fast"], left_out=[spent])
    assert "; claude: the 100 calls of today are used up (not asked)." in end.message
    assert "raise the cap that is used up: of 'claude'" in end.message
    assert end.as_dict()["tried"][1] == {**spent, "tries": 0}

    long = failed("fast", ContextExceeded("The prompt has 9000 tokens.", needs=9_000))
    away = not_asked("large", BreakerOpen())
    end = last_words([long], CATALOGUE, plan=["fast"], left_out=[away])
    assert isinstance(end, AllModelsUnavailable)
    assert end.retry_after_s == 5


def test_a_conversation_that_nobody_holds_is_the_callers() -> None:
    long = failed("large", ContextExceeded("The prompt has 40000 tokens.", needs=40_000))
    end = last_words([failed("fast", StreamCut()), long], CATALOGUE, plan=["fast", "large"])
    assert isinstance(end, ContextExceeded)
    assert "('large' has 32768 tokens)" in end.message
    open_to = last_words([long], CATALOGUE, plan=["large", "claude"])
    assert isinstance(open_to, AllModelsUnavailable)


@pytest.mark.parametrize(
    ("failures", "wait_s"),
    [
        ([ServerUnreachable()], 5),
        ([ServerLoading()], 10),
        ([ServerBusy(retry_after_s=7), CapReached()], 7),
        ([CapReached()], None),
        ([NotServed(), CapReached()], None),
    ],
)
def test_it_says_when_to_come_back_only_where_time_helps(
    failures: list[TryNext], wait_s: float | None
) -> None:
    names = ("fast", "claude")
    tried = [failed(name, error) for name, error in zip(names, failures, strict=False)]
    end = last_words(tried, CATALOGUE, plan=names)
    assert isinstance(end, AllModelsUnavailable)
    assert end.retry_after_s == wait_s
    assert [t["code"] for t in end.as_dict()["tried"]] == [error.code for error in failures]


def test_the_words_have_an_end() -> None:
    many = Catalogue(tuple(model(f"m{n}", url="http://127.0.0.1:1") for n in range(40)))
    said = words(*(failed(f"m{n}", ServerFailed("x" * 600)) for n in range(40)), catalogue=many)
    assert len(said) == WORDS_MOST
