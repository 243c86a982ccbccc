"""What cannot be taken back: answers that begin again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.told import Contradicted, Told


@given(st.text(), st.data())
def test_a_restart_that_says_the_same_is_not_noticed(answer: str, data: st.DataObject) -> None:
    told, heard = Told(), ""
    upto = data.draw(st.integers(0, len(answer)))
    for part in (answer[:upto], None, *cut(answer, data)):
        if part is None:
            told.restart()
        else:
            heard += told.say("content", part)
    told.end()
    assert heard == answer


def cut(text: str, data: st.DataObject) -> list[str]:
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


def test_another_beginning_is_a_contradiction() -> None:
    told = Told()
    told.say("content", "The sky is blue")
    told.restart()
    assert told.say("content", "The sk") == ""
    with pytest.raises(Contradicted):
        told.say("content", "ies are blue, and")


def test_an_answer_that_ends_before_what_was_told_is_a_contradiction() -> None:
    told = Told()
    told.say("reasoning", "let me think")
    told.restart()
    told.say("reasoning", "let me")
    with pytest.raises(Contradicted):
        told.end()


def test_a_tool_call_cannot_be_told_twice() -> None:
    told = Told()
    told.call()
    with pytest.raises(Contradicted):
        told.restart()
