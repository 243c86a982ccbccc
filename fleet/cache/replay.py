"""What a newcomer is told of an answer that others have heard already. Pure."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from fleet.events import Event, Kind

#: What a log says of the job itself, or of its end, and not of the answer.
_OF_THE_JOB = frozenset({Kind.QUEUED, Kind.USAGE, Kind.COMPLETED, Kind.INCOMPLETE})
#: A `token` event of mere text, as `fleet.events` writes it. Read as it stands: to decode them all
#: would be most of the time in which the reader of a long answer waits for its first token.
_PLAIN = re.compile(r'\{"type":"token","(content|reasoning)":"(.*)","n":(\d+)\}', re.DOTALL)


class _Piece(NamedTuple):
    #: `content`, `reasoning`, or `other`: calls, and text with what the model was sure of.
    sort: str
    #: As JSON has it between its quotes.
    text: str
    pieces: int
    data: str


def answer_events(events: Iterable[Event]) -> list[str]:
    """The `token` events (kind, json, …) that say the answer of a log, those of mere text in as
    few as can be.
    """
    return [part for kind, data in _said(events) if kind == Kind.TOKEN for part in (kind, data)]


def said_so_far(events: Iterable[Event]) -> list[str]:
    """The events (kind, json, …) that bring a newcomer to where the readers of a log are: where
    the job went, who began it, and the answer in as few `token` events as can be. Text that
    was dropped is left out.
    """
    return [part for pair in _said(events) for part in pair]


def _said(events: Iterable[Event]) -> list[tuple[str, str]]:
    told: list[tuple[str, str]] = []
    run: list[_Piece] = []
    for event in events:
        if event.kind == Kind.RESTARTED:
            run = []
            told = [one for one in told if one[0] != Kind.TOKEN]
        elif event.kind == Kind.TOKEN:
            piece = _piece(event.data)
            if run and (run[0].sort != piece.sort or piece.sort == "other"):
                told.append((Kind.TOKEN, _merged(run)))
                run = []
            run.append(piece)
        elif event.kind not in _OF_THE_JOB:
            told += [(Kind.TOKEN, _merged(run))] if run else []
            told.append((event.kind, event.data))
            run = []
    return told + ([(Kind.TOKEN, _merged(run))] if run else [])


def _piece(data: str) -> _Piece:
    if plain := _PLAIN.fullmatch(data):
        return _Piece(plain[1], plain[2], int(plain[3]), data)
    return _Piece("other", "", 1, data)


def _merged(run: list[_Piece]) -> str:
    """One event for pieces of one sort: escaped text beside escaped text is escaped text."""
    if len(run) == 1:
        return run[0].data
    text, count = "".join([piece.text for piece in run]), sum(piece.pieces for piece in run)
    return f'{{"type":"token","{run[0].sort}":"{text}","n":{count}}}'
