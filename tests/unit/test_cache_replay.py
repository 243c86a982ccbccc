"""An answer told again: the same words in fewer events."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fleet.cache.kept import told_again
from fleet.cache.replay import answer_events, said_so_far
from fleet.events import Event, Kind, event_data, fold, reasoning_event, text_event

SURE = [{"token": "a", "logprob": -0.12345678901234567, "top_logprobs": []}]
CALL = '{"type":"token","tool_calls":[{"index":0,"function":{"arguments":"{}"}}],"n":1}'
pieces = st.one_of(
    st.builds(lambda text: (Kind.TOKEN, text_event(text, 1)), st.text()),
    st.builds(lambda text: (Kind.TOKEN, text_event(text, 1, SURE)), st.text(min_size=1)),
    st.builds(lambda text: (Kind.TOKEN, reasoning_event(text, 2)), st.text()),
    st.just((Kind.TOKEN, CALL)),
    st.just((Kind.RESTARTED, event_data(Kind.RESTARTED, reason="why", model="m"))),
    st.just((Kind.ROUTED, event_data(Kind.ROUTED, model="m"))),
)


def log(*told: tuple[str, str]) -> list[Event]:
    return [Event(seq, kind, data) for seq, (kind, data) in enumerate(told)]


def heard(parts: list[str]) -> list[Event]:
    return log(*zip(parts[::2], parts[1::2], strict=True))


@given(st.lists(pieces))
def test_a_newcomer_hears_the_same_answer(told: list[tuple[str, str]]) -> None:
    events = log((Kind.QUEUED, event_data(Kind.QUEUED)), *told)
    for replay in (answer_events, said_so_far):
        assert fold(heard(replay(events))).as_dict() == fold(events).as_dict()


def test_the_pieces_of_a_text_become_one_event_and_nothing_of_the_job_is_told_again() -> None:
    done = event_data(Kind.COMPLETED, finish_reason="stop")
    words = [(Kind.TOKEN, text_event(word, 1)) for word in ("One", " two", " three")]
    thought = [(Kind.TOKEN, reasoning_event(word, 1)) for word in ("Hm", "m")]
    started = (Kind.STARTED, event_data(Kind.STARTED, attempt=1))
    events = log(
        (Kind.QUEUED, "{}"), started, *thought, *words, (Kind.USAGE, "{}"), (Kind.COMPLETED, done)
    )
    shown: list[Any] = [json.loads(event.data) for event in heard(answer_events(events))]
    assert [piece.get("reasoning", piece.get("content")) for piece in shown] == [
        "Hmm",
        "One two three",
    ]
    assert [piece["n"] for piece in shown] == [2, 3]
    assert [event.kind for event in heard(said_so_far(events))] == ["started", "token", "token"]


def test_dropped_text_is_not_told_but_where_the_job_went_is() -> None:
    routed = (Kind.ROUTED, event_data(Kind.ROUTED, model="m"))
    restarted = (Kind.RESTARTED, event_data(Kind.RESTARTED, reason="why"))
    events = log(
        routed,
        (Kind.TOKEN, text_event("No", 1)),
        routed,
        restarted,
        (Kind.TOKEN, text_event("Yes", 1)),
    )
    assert [event.kind for event in heard(said_so_far(events))] == ["routed", "routed", "token"]
    assert fold(heard(said_so_far(events))).content == "Yes"


def test_who_gets_an_answer_again_hears_nothing_of_the_tries_before_it() -> None:
    tried = {"ended": "failed", "retry_in_s": 0.3, "reasons": ["fast failed"], "plan": ["fast"]}
    events = log(
        (Kind.QUEUED, "{}"),
        (Kind.ROUTED, event_data(Kind.ROUTED, at=1, model="fast", **tried)),
        (Kind.STARTED, event_data(Kind.STARTED, at=2, model="fast")),
        (Kind.COMPLETED, event_data(Kind.COMPLETED, at=3, finish_reason="stop")),
    )
    routed, *_ = heard(told_again(events, "hit"))
    assert routed.payload() == {
        "type": "routed",
        "model": "fast",
        "plan": ["fast"],
        "reasons": ["the same was asked before"],
        "cache": "hit",
    }
