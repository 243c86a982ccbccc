"""What a newcomer is told of an answer that others have heard already. Pure."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from fleet.events import Event, Kind, reasoning_event, text_event

#: What a log says of the job itself, or of its end, and not of the answer.
_OF_THE_JOB = frozenset({Kind.QUEUED, Kind.USAGE, Kind.COMPLETED, Kind.INCOMPLETE})


def answer_events(events: Iterable[Event]) -> list[str]:
    """The `token` events (kind, json, …) that say the answer of a log in as few as can be."""
    return [part for kind, data in _said(events) if kind == Kind.TOKEN for part in (kind, data)]


def said_so_far(events: Iterable[Event]) -> list[str]:
    """The events (kind, json, …) that bring a newcomer to where the readers of a log are: where
    the job went, who began it, and the answer in as few `token` events as can be. Text that
    was dropped is left out.
    """
    return [part for pair in _said(events) for part in pair]


def _said(events: Iterable[Event]) -> list[tuple[str, str]]:
    told: list[tuple[str, str]] = []
    run: list[dict[str, Any]] = []
    for event in events:
        if event.kind == Kind.RESTARTED:
            run.clear()
            told = [one for one in told if one[0] != Kind.TOKEN]
        elif event.kind == Kind.TOKEN:
            piece = event.payload()
            if run and _sort(run[0]) != _sort(piece):
                told.append((Kind.TOKEN, _merged(run)))
                run = []
            run.append(piece)
        elif event.kind not in _OF_THE_JOB:
            told += [(Kind.TOKEN, _merged(run))] if run else []
            told.append((event.kind, event.data))
            run = []
    return told + ([(Kind.TOKEN, _merged(run))] if run else [])


def _sort(piece: Mapping[str, Any]) -> str:
    """Pieces of one sort become one event; calls stay as they are."""
    return next((sort for sort in ("content", "reasoning") if sort in piece), str(id(piece)))


def _merged(run: list[dict[str, Any]]) -> str:
    count = sum(piece.get("n", 1) for piece in run)
    sort = _sort(run[0])
    if sort == "reasoning":
        return reasoning_event("".join([piece["reasoning"] for piece in run]), count)
    if sort == "content":
        sure = [entry for piece in run for entry in piece.get("logprobs", ())]
        return text_event("".join([piece["content"] for piece in run]), count, sure)
    return json.dumps(run[0], ensure_ascii=False, separators=(",", ":"))
