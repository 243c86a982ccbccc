"""The handle of a conversation: the same for each of its turns, another for any other."""

import re
from typing import Any

from fleet.decision import conversation_handle

SYSTEM = {"role": "system", "content": "Be brief."}
FIRST = {"role": "user", "content": "What is 2+2?"}
LATER = [{"role": "assistant", "content": "4"}, {"role": "user", "content": "And 3+3?"}]
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}


def handle(*messages: dict[str, Any], caller: str = "alice", name: str = "") -> str:
    return conversation_handle(caller, {"messages": list(messages)}, name)


def test_every_turn_of_a_conversation_has_its_handle() -> None:
    opening = handle(SYSTEM, FIRST)
    assert re.fullmatch("[0-9a-f]{32}", opening)
    assert handle(SYSTEM, FIRST, *LATER) == opening
    late_word = {"role": "system", "content": "Now be long."}
    assert handle(SYSTEM, FIRST, *LATER, late_word, FIRST) == opening


def test_callers_prompts_and_first_turns_tell_conversations_apart() -> None:
    other = {"role": "user", "content": "What is 3+3?"}
    pictures = [{"role": "user", "content": [PICTURE]}, {"role": "user", "content": [PICTURE] * 2}]
    handles = [
        handle(SYSTEM, FIRST),
        handle(FIRST),
        handle(SYSTEM, other),
        handle({"role": "developer", "content": "Be long."}, FIRST),
        handle(SYSTEM, FIRST, caller="bob"),
        *(handle(turn) for turn in pictures),
    ]
    assert len(set(handles)) == len(handles)


def test_the_callers_own_name_of_a_conversation_counts_before_its_words() -> None:
    named = handle(SYSTEM, FIRST, name="talk-1")
    assert handle(*LATER, name="talk-1") == named
    others = [
        handle(SYSTEM, FIRST),
        handle(SYSTEM, FIRST, name="talk-2"),
        handle(SYSTEM, FIRST, name="talk-1", caller="bob"),
    ]
    assert named not in others


def test_where_nobody_has_asked_there_is_no_conversation() -> None:
    assert handle(SYSTEM) == handle() == conversation_handle("alice", {}) == ""


def test_half_of_a_surrogate_pair_is_no_obstacle() -> None:
    assert len(handle({"role": "user", "content": "\ud83d"})) == 32
