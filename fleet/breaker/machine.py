"""The breaker of one model server: a state, what happens to it, the state after that. Pure.

    closed ──too many failures, or told to wait──▶ open ──its pause is over──▶ half-open
       ▲                                             ▲                          │     │
       │                                             └───────the probe fails────┘     │
       └─────────────────────────────the probe goes well──────────────────────────────┘

While it is open nobody asks the server. Half-open, one asks: whoever holds the probe. What
becomes of questions that were under way when it opened says nothing any more. Times are
milliseconds of Redis' clock.
"""

import json
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from fleet.errors import FleetError, ServerLoading

#: What `State.outcomes` says of one answer.
GOOD, BAD = "+", "-"
#: A pause is shorter by up to this share, so that servers that failed together are not asked
#: together; one that the server wished for is longer by up to that.
JITTER = 0.25


class Phase(StrEnum):
    """Whether the server is asked."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True)
class Rules:
    """When a breaker opens, and for how long. See `fleet.breaker.settings.Breaker`."""

    #: Failures one after the other.
    failures: int = 3
    #: … or the share of failures among the last `window` answers, if there are `fewest` of them.
    error_rate: float = 0.5
    window: int = 20
    fewest: int = 10
    #: The first pause; each next one is twice as long, up to the longest.
    first_pause_ms: int = 1_000
    longest_pause_ms: int = 30_000
    #: The longest pause that a server may wish for, and the one of a key that it refuses.
    longest_wish_ms: int = 300_000


@dataclass(frozen=True, slots=True)
class State:
    """What is known of one server."""

    phase: Phase = Phase.CLOSED
    #: Why it was opened last, in words.
    reason: str = ""
    #: When it came into this phase; 0: it was never in another.
    since: int = 0
    #: Open: when a probe may go out. Half-open: when the probe is taken for lost.
    until: int = 0
    #: Who holds the probe; empty: nobody.
    probe: str = ""
    #: The last answers, the newest last, while it is closed.
    outcomes: str = ""
    #: How often it has opened without staying closed for long.
    trips: int = 0

    @property
    def spotless(self) -> bool:
        """Whether there is no failure that a success would help to forget."""
        return self.phase is not Phase.CLOSED or BAD not in self.outcomes

    def as_json(self) -> str:
        """The state as Redis keeps it."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "State":
        """Read it again; nothing, or what another version wrote, is one that never opened."""
        try:
            raw = json.loads(text)
            return cls(**raw | {"phase": Phase(raw["phase"])})
        except (ValueError, TypeError, KeyError):
            return cls()


@dataclass(frozen=True, slots=True)
class Well:
    """Answers that came as they should."""

    count: int = 1
    #: Whether they came before whatever is known: nobody needed to hear of them then.
    earlier: bool = False
    #: The probe that one of them was; empty: none.
    probe: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """An answer that did not come, or broke off, by the server's doing."""

    reason: str
    probe: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """The server says itself that it must not be asked for now."""

    reason: str
    #: For so long; None: it does not say.
    wish_ms: int | None = None
    probe: str = ""


@dataclass(frozen=True, slots=True)
class Loading:
    """A probe found the server loading its model: it is neither well nor down."""

    probe: str


@dataclass(frozen=True, slots=True)
class Probe:
    """Somebody wants to ask, for all others."""

    token: str
    #: After so long somebody else may.
    for_ms: int


@dataclass(frozen=True, slots=True)
class Unused:
    """Whoever held the probe has not come to ask."""

    probe: str


@dataclass(frozen=True, slots=True)
class Risen:
    """A server that was away says that it is there again."""


Event = Well | Failed | Told | Loading | Probe | Unused | Risen


def after(state: State, event: Event, now: int, rules: Rules, luck: float = 0.0) -> State:
    """The state after an event. `luck`, from 0 to 1, is for the jitter of a pause."""
    match event:
        case Probe(token, for_ms):
            due = state.phase is not Phase.CLOSED and now >= state.until
            return _half_open(state, token, now + for_ms, now) if due else state
        case Risen():
            sooner = replace(state, until=min(state.until, now))
            return sooner if state.phase is Phase.OPEN else state
        case Told() if state.phase is Phase.OPEN:
            longer = max(state.until, now + _wished(state, event, rules, luck))
            return replace(state, until=longer, reason=event.reason)
    if state.phase is Phase.CLOSED:
        return _noted(state, event, now, rules, luck)
    if state.phase is Phase.HALF_OPEN and event.probe == state.probe:
        return _probed(state, event, now, rules, luck)
    return state


def _noted(state: State, event: Event, now: int, rules: Rules, luck: float) -> State:
    """A closed breaker hears of answers."""
    match event:
        case Well(count, earlier):
            good = GOOD * min(count, rules.window)
            seen = good + state.outcomes if earlier else state.outcomes + good
            return replace(state, outcomes=seen[-rules.window :])
        case Failed(reason):
            seen = (state.outcomes + BAD)[-rules.window :]
            if _too_many(seen, rules):
                state = _tripped(state, now, rules)
                return _open(state, reason, now, _pause(state, rules, luck))
            return replace(state, outcomes=seen)
        case Told(reason):
            state = _tripped(state, now, rules)
            return _open(state, reason, now, _wished(state, event, rules, luck))
    return state


def _probed(state: State, event: Event, now: int, rules: Rules, luck: float) -> State:
    """A half-open breaker hears of its probe."""
    match event:
        case Well():
            return State(since=now, trips=state.trips, reason=state.reason)
        case Failed(reason):
            state = replace(state, trips=state.trips + 1)
            return _open(state, reason, now, _pause(state, rules, luck))
        case Told(reason):
            state = replace(state, trips=state.trips + 1)
            return _open(state, reason, now, _wished(state, event, rules, luck))
        case Loading():
            return _open(state, state.reason, now, rules.first_pause_ms)
        case Unused():
            return _open(state, state.reason, now, 0)
    return state


def _too_many(outcomes: str, rules: Rules) -> bool:
    in_a_row = len(outcomes) - len(outcomes.rstrip(BAD))
    share = outcomes.count(BAD) / len(outcomes)
    return in_a_row >= rules.failures or (
        len(outcomes) >= rules.fewest and share >= rules.error_rate
    )


def _tripped(state: State, now: int, rules: Rules) -> State:
    """A server that has been well for long begins with the first pause again."""
    lately = now - state.since < 2 * rules.longest_pause_ms
    return replace(state, trips=state.trips + 1 if lately else 1)


def _open(state: State, reason: str, now: int, pause_ms: int) -> State:
    return State(Phase.OPEN, reason, now, now + pause_ms, trips=state.trips)


def _half_open(state: State, token: str, until: int, now: int) -> State:
    return State(Phase.HALF_OPEN, state.reason, now, until, token, trips=state.trips)


def _pause(state: State, rules: Rules, luck: float) -> int:
    longest = min(rules.longest_pause_ms, rules.first_pause_ms * 2 ** min(state.trips - 1, 30))
    return int(longest * (1 - JITTER * luck))


def _wished(state: State, told: Told, rules: Rules, luck: float) -> int:
    if told.wish_ms is None:
        return _pause(state, rules, luck)
    wished = max(told.wish_ms, rules.first_pause_ms)
    return min(rules.longest_wish_ms, int(wished * (1 + JITTER * luck)))


def event_of(error: FleetError, probe: str, rules: Rules) -> Event | None:
    """What an error means to the breaker of the server that gave it; None: nothing."""
    match error.trips:
        case "counts":
            return Failed(error.message, probe)
        case "at_once":
            wish = error.retry_after_s
            return Told(error.message, None if wish is None else int(wish * 1000), probe)
        case "for_long":
            return Told(error.message, rules.longest_wish_ms, probe)
    return Loading(probe) if isinstance(error, ServerLoading) and probe else None
