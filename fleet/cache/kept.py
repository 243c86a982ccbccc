"""What a post finds of the answer that it asks for. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fleet.cache.replay import answer_events, said_so_far
from fleet.events import Event, Kind, event_data

#: Who has begun an answer that no worker gave, as the `started` event says it.
NOBODY = "cache"
#: What a `routed` event says of the attempt before it, and not of the way.
_OF_A_HAND_OVER = ("ended", "retry_in_s")


@dataclass(frozen=True, slots=True)
class Kept:
    """An entry as a post has found it; `lua/create.lua` looks again whether it holds."""

    #: The entry's Redis key.
    key: str
    #: The job that has the answer, or the one that is giving it; '' if there is none.
    source: str = ""
    leader: str = ""
    #: What tells the answer, whole or so far: kind, json, …
    events: Sequence[str] = ()
    #: Events of the leader's log that they cover.
    seen: int = 0

    @classmethod
    def whole(cls, key: str, source: str, log: Sequence[Event]) -> "Kept":
        """The answer of a job that has ended; nothing is found where it has none."""
        if not log or log[-1].kind != Kind.COMPLETED:
            return cls(key)
        return cls(key, source=source, events=told_again(log, "hit"))

    @classmethod
    def so_far(cls, key: str, leader: str, log: Sequence[Event]) -> "Kept":
        """What a job that goes on has said."""
        if not log or log[-1].terminal:
            return cls(key)
        return cls(key, leader=leader, events=said_so_far(log), seen=len(log))


def told_again(log: Sequence[Event], how: str) -> list[str]:
    """The log (kind, json, …) of a job that gets the answer of this one, without `queued`.

    `how` it gets it is told by its `routed` event: `hit`, `semantic`.
    """
    last = {event.kind: event for event in log}
    routed = _without(last[Kind.ROUTED], "at", *_OF_A_HAND_OVER)
    model = last[Kind.STARTED].payload()["model"]
    routed |= {"model": model, "reasons": ["the same was asked before"], "cache": how}
    usage = [Kind.USAGE, json.dumps(_without(last[Kind.USAGE], "at"))] if Kind.USAGE in last else []
    return [
        *(Kind.ROUTED, json.dumps(routed, ensure_ascii=False)),
        *(Kind.STARTED, event_data(Kind.STARTED, attempt=0, model=model, worker=NOBODY)),
        *answer_events(log),
        *usage,
        *(Kind.COMPLETED, json.dumps(_without(last[Kind.COMPLETED], "at"))),
    ]


def _without(event: Event, *names: str) -> dict[str, Any]:
    return {name: value for name, value in event.payload().items() if name not in names}
