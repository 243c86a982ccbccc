"""The breaker's state machine: any events, in any order, and what must hold after each."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fleet.breaker.machine import (
    Event,
    Failed,
    Loading,
    Phase,
    Probe,
    Risen,
    Rules,
    State,
    Told,
    Unused,
    Well,
    after,
    event_of,
)
from fleet.breaker.reports import phase, shut
from fleet.breaker.settings import Breaker
from fleet.errors import (
    Barred,
    CapReached,
    ContextExceeded,
    FleetError,
    NotBegunAgain,
    NotServed,
    Refused,
    ServerBusy,
    ServerFailed,
    ServerLoading,
    ServerStalled,
    ServerUnreachable,
    StreamCut,
)

RULES = Rules()
NEW = State()
BAD = Failed("it broke")
PROBE_MS = 5_000

tokens = st.sampled_from(("", "a", "b"))
events = st.one_of(
    st.builds(Well, st.integers(0, 30), st.booleans(), tokens),
    st.builds(Failed, st.just("it broke"), tokens),
    st.builds(Told, st.just("wait"), st.sampled_from((None, 0, 7_000, 10**9)), tokens),
    st.builds(Loading, tokens.filter(bool)),
    st.builds(Probe, tokens.filter(bool), st.just(PROBE_MS)),
    st.builds(Unused, tokens.filter(bool)),
    st.just(Risen()),
)
lucks = st.floats(0, 1)
histories = st.lists(st.tuples(events, st.integers(0, 40_000), lucks), max_size=60)


def run(*events: Event, state: State = NEW, now: int = 0, rules: Rules = RULES) -> State:
    for event in events:
        state = after(state, event, now, rules)
    return state


@given(histories)
def test_whatever_happens_there_is_one_probe_at_a_time(
    history: list[tuple[Event, int, float]],
) -> None:
    state, now = State(), 1
    for event, passed, luck in history:
        before, now = state, now + passed
        state = after(state, event, now, RULES, luck)
        new_probe = state.probe and (state.probe, state.since) != (before.probe, before.since)
        if new_probe:  # the pause was over, or whoever had the probe is taken for lost
            assert isinstance(event, Probe)
            assert before.phase is not Phase.CLOSED
            assert now >= before.until
        assert bool(state.probe) == (state.phase is Phase.HALF_OPEN)


@given(histories, lucks)
def test_an_open_breaker_always_comes_to_a_probe_and_closes_when_that_goes_well(
    history: list[tuple[Event, int, float]], luck: float
) -> None:
    state, now = State(), 1
    for event, passed, lucky in history:
        now += passed
        state = after(state, event, now, RULES, lucky)
    assert state.until - now <= max(RULES.longest_wish_ms, PROBE_MS)
    if state.phase is Phase.CLOSED:
        assert len(state.outcomes) <= RULES.window
        return
    then = max(now, state.until)
    half = after(state, Probe("mine", PROBE_MS), then, RULES, luck)
    assert (half.phase, half.probe) == (Phase.HALF_OPEN, "mine")
    assert after(half, Well(), then, RULES) == half
    closed = after(half, Well(probe="mine"), then, RULES)
    assert (closed.phase, closed.outcomes) == (Phase.CLOSED, "")
    again = after(half, Failed("no", "mine"), then, RULES, luck)
    assert again.phase is Phase.OPEN
    assert again.trips == state.trips + 1


@given(histories)
def test_a_state_is_the_same_when_it_is_read_again(
    history: list[tuple[Event, int, float]],
) -> None:
    state, now = State(), 1
    for event, passed, luck in history:
        now += passed
        state = after(state, event, now, RULES, luck)
        assert State.from_json(state.as_json()) == state


@given(st.lists(st.integers(1, 5), min_size=1), st.integers(0, 100))
def test_successes_alone_never_open_it(counts: list[int], now: int) -> None:
    assert run(*(Well(count) for count in counts), now=now).phase is Phase.CLOSED


def test_it_opens_on_failures_one_after_the_other_and_a_success_begins_the_count_again() -> None:
    assert run(BAD, BAD).phase is Phase.CLOSED
    assert run(BAD, BAD, Well(), BAD, BAD).phase is Phase.CLOSED
    assert run(BAD, BAD, Well(9, earlier=True), BAD).phase is Phase.OPEN
    opened = run(BAD, BAD, BAD, now=100)
    assert (opened.phase, opened.reason, opened.until) == (Phase.OPEN, "it broke", 1_100)


def test_it_opens_on_the_share_of_failures_once_there_are_enough_answers() -> None:
    every_second: list[Event] = [Well(), BAD] * 4
    assert run(*every_second, Well()).phase is Phase.CLOSED
    assert run(*every_second, Well(), BAD).phase is Phase.OPEN
    every_third: list[Event] = [Well(2), BAD] * 30
    assert run(*every_third).phase is Phase.CLOSED


def test_each_pause_is_twice_as_long_up_to_the_longest_and_jitter_shortens_it() -> None:
    state, now, pauses = run(BAD, BAD, BAD), 0, []
    for _ in range(7):
        pauses.append(state.until - now)
        now = state.until
        state = run(Probe("p", PROBE_MS), Failed("no", "p"), state=state, now=now)
    assert pauses == [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]
    assert after(State(outcomes="--"), BAD, 0, RULES, luck=1.0).until == 750


def test_a_server_that_fails_soon_after_it_was_well_is_left_alone_for_longer() -> None:
    def closed_at(now: int) -> State:
        opened = run(BAD, BAD, BAD, now=now - 1_000)
        return run(Probe("p", PROBE_MS), Well(probe="p"), state=opened, now=now)

    soon = run(BAD, BAD, BAD, state=closed_at(10_000), now=12_000)
    late = run(BAD, BAD, BAD, state=closed_at(10_000), now=80_000)
    assert (soon.until, late.until) == (14_000, 81_000)


def test_what_was_under_way_when_it_opened_says_nothing_any_more() -> None:
    opened = run(BAD, BAD, BAD)
    assert run(Well(), BAD, Loading("x"), Unused("x"), state=opened) == opened
    half = run(Probe("p", PROBE_MS), state=opened, now=1_000)
    assert run(Well(), BAD, Told("wait"), Unused("x"), state=half, now=1_000) == half


def test_a_probe_that_is_lost_makes_room_for_another() -> None:
    half = run(Probe("lost", PROBE_MS), state=run(BAD, BAD, BAD), now=1_000)
    assert run(Probe("b", PROBE_MS), state=half, now=5_999) == half
    assert run(Probe("b", PROBE_MS), state=half, now=6_000).probe == "b"


def test_a_server_that_loads_is_neither_well_nor_down() -> None:
    assert run(*[Loading("x")] * 50) == State()
    half = run(Probe("p", PROBE_MS), state=run(BAD, BAD, BAD), now=1_000)
    loading = run(Loading("p"), state=half, now=1_000)
    assert (loading.phase, loading.until, loading.trips) == (Phase.OPEN, 2_000, half.trips)


def test_a_server_that_asks_for_time_gets_it_at_once_within_bounds() -> None:
    assert run(Told("busy", 7_000)).until == 7_000
    assert run(Told("busy", 10**9)).until == RULES.longest_wish_ms
    assert run(Told("busy", 1)).until == 1_000
    assert run(Told("busy")).until == 1_000
    longer = run(Told("busy", 7_000), Told("busy", 20_000), Told("busy", 2_000))
    assert longer.until == 20_000


def test_a_server_that_has_risen_is_probed_at_once() -> None:
    opened = run(BAD, BAD, BAD)
    assert run(Risen(), state=opened, now=200).until == 200
    assert run(Risen()) == State()


@pytest.mark.parametrize(
    ("error", "event"),
    [
        (ServerUnreachable("x"), Failed("x")),
        (ServerFailed("x"), Failed("x")),
        (ServerStalled("x"), Failed("x")),
        (StreamCut("x"), Failed("x")),
        (ServerBusy("x"), Told("x")),
        (ServerBusy("x", retry_after_s=2.5), Told("x", 2_500)),
        (Barred("x"), Told("x", RULES.longest_wish_ms)),
        (ServerLoading("x"), None),
        (NotBegunAgain("x"), None),
        (NotServed("x"), None),
        (ContextExceeded("x"), None),
        (CapReached("x"), None),
        (Refused("x"), None),
    ],
)
def test_what_an_error_means_is_a_property_of_its_type(
    error: FleetError, event: Event | None
) -> None:
    assert event_of(error, "", RULES) == event


def test_a_probe_that_finds_the_server_loading_says_so() -> None:
    assert event_of(ServerLoading(), "p", RULES) == Loading("p")


@pytest.mark.parametrize("text", ["", "x", "[]", "{}", '{"phase":"odd"}', '{"phase":"open","x":1}'])
def test_what_cannot_be_read_is_a_breaker_that_never_opened(text: str) -> None:
    assert State.from_json(text) == State()


def test_a_model_is_shut_when_none_of_its_workers_would_ask() -> None:
    nodes: list[dict[str, Any]] = [
        {"role": "router"},
        {"model": "fast", "shut": "down", "breaker": "open"},
        {"model": "fast", "shut": "", "breaker": "closed"},
        {"model": "tool", "shut": "down", "breaker": "open"},
        {"model": "tool", "shut": "hung", "breaker": "half-open"},
        {"model": "large"},
    ]
    assert shut(nodes) == {"tool": "down"}
    assert phase(node for node in nodes if node.get("model") == "fast") == "closed"
    assert phase(node for node in nodes if node.get("model") == "tool") == "half-open"
    assert phase([]) == "closed"


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"failures": 30}, "`failures` must not be more than `window`, which is 20"),
        ({"window": 5}, "`fewest` must not be more than `window`, which is 5"),
        ({"first_pause_s": 60}, "`longest_pause_s` must not be shorter than `first_pause_s`"),
        ({"error_rate": 0}, "error_rate"),
        ({"pause": 1}, "pause"),
    ],
)
def test_rules_that_cannot_be_meant_are_refused_by_name(values: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        Breaker.model_validate(values)


def test_the_settings_are_the_rules_by_default() -> None:
    assert Breaker().rules == Rules()
