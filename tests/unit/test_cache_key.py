"""When two requests are the same, and whose answer may be given again."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.cache.key import digest, normal, repeatable
from fleet.cache.settings import Cache
from fleet.catalogue import Catalogue, Model

FAST: dict[str, Any] = {"name": "fast", "url": "http://127.0.0.1:1"}
TOOL: dict[str, Any] = {"name": "tool", "url": "http://127.0.0.1:2"}


def catalogue(*entries: dict[str, Any]) -> Catalogue:
    return Catalogue(tuple(Model.model_validate(entry) for entry in entries or (FAST, TOOL)))


def asking(text: Any = "Why is the sky blue?", **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "temperature": 0.0, **fields}


def key(request: dict[str, Any], **other: Any) -> str:
    how = {"asked_model": "auto", "catalogue": catalogue(), "owner": "ann", **other}
    return digest(request, **how)


@pytest.mark.parametrize(
    "spelling",
    [
        " Why is the sky blue?\n",
        [{"type": "text", "text": "Why is the sky blue?"}],
    ],
)
def test_spellings_of_the_same_question_have_one_digest(spelling: Any) -> None:
    assert key(asking(spelling)) == key(asking())


def test_composed_and_decomposed_characters_are_the_same() -> None:
    assert key(asking("caf\u00e9")) == key(asking("cafe\u0301"))
    parts = [{"type": "text", "text": text} for text in ("cafe\u0301", "au lait")]
    composed = [{"type": "text", "text": text} for text in ("caf\u00e9", "au lait")]
    assert key(asking(parts)) == key(asking(composed))


@pytest.mark.parametrize(
    "other",
    [
        asking("why is the sky blue?"),
        asking("Why is  the sky blue?"),
        asking(max_tokens=5),
        asking(seed=1),
        asking(response_format={"type": "json_object"}),
        asking(temperature=0.5),
        {**asking(), "messages": [{"role": "system", "content": "Rhyme."}, *asking()["messages"]]},
    ],
)
def test_whatever_a_model_reads_otherwise_is_another_question(other: dict[str, Any]) -> None:
    assert key(other) != key(asking())


@pytest.mark.parametrize(
    "other",
    [
        {"owner": "bob"},
        {"owner": ""},
        {"asked_model": "fast"},
        {"catalogue": catalogue(FAST)},
        {"catalogue": catalogue(FAST, TOOL | {"max_tokens": 99})},
        {"catalogue": catalogue(FAST, TOOL | {"url": "http://127.0.0.1:3"})},
    ],
)
def test_who_asks_whom_belongs_to_the_question(other: dict[str, Any]) -> None:
    assert key(asking(), **other) != key(asking())


def test_how_a_model_is_served_changes_no_answer() -> None:
    how = {"slots": 9, "timeouts": {"connect_s": 9}, "queue": "q"}
    cost = {"price": {"input": 1, "output": 1}, "usd_per_day": 5, "calls_per_day": 7}
    served = catalogue(FAST, TOOL | how | cost)
    assert key(asking(), catalogue=served) == key(asking())


@given(st.text(), st.text())
def test_texts_are_the_same_only_if_their_normal_forms_are(one: str, other: str) -> None:
    turns = [{"role": "user", "content": text} for text in (one, other)]
    same = normal(turns[0]) == normal(turns[1])
    assert (key({"messages": turns[:1]}) == key({"messages": turns[1:]})) == same
    assert normal(normal(turns[0])) == normal(turns[0])


@pytest.mark.parametrize(
    ("request_", "rules", "may"),
    [
        (asking(), Cache(), True),
        (asking(), Cache(enabled=False), False),
        (asking(temperature=0.1), Cache(), False),
        (asking(temperature=0.1), Cache(any_temperature=True), True),
        ({"messages": asking()["messages"]}, Cache(), False),
        ({"messages": asking()["messages"]}, Cache(any_temperature=True), True),
        (asking(tools=[{"type": "function"}]), Cache(any_temperature=True), False),
        ({"messages": [{"role": "tool", "content": "21 °C"}], "temperature": 0}, Cache(), False),
    ],
)
def test_only_what_comes_out_the_same_is_given_again(
    request_: dict[str, Any], rules: Cache, may: bool
) -> None:
    assert repeatable(request_, rules) is may
