"""Reading the decision log, and what callers have said of routes."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import NamedTuple

from fleet.names import DECISIONS, FEEDBACK
from fleet.records import Records, pairs, store_errors
from fleet.rows import Entry, Joined, join

#: Entries read in one go.
PAGE = 1_000


class Example(NamedTuple):
    """A text and the route that a caller says it needs; `at` is in ms of Redis' clock."""

    text: str
    route: str
    at: int


async def read(records: Records, since_ms: int | None = None, limit: int | None = None) -> Joined:
    """What was noted from `since_ms` on, by job; of more decisions than `limit`, the newest.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    entries: list[Entry] = []
    decisions = 0
    async with aclosing(_backwards(records, DECISIONS, since_ms)) as pages:
        async for page in pages:
            read = [Entry(at, fields.get("k", ""), fields.get("d", "")) for at, fields in page]
            entries += read
            decisions += sum(entry.kind == "decision" for entry in read)
            if limit is not None and decisions >= limit:
                break
    joined = join(reversed(entries))
    rows = joined.rows
    newest = rows if limit is None else rows[len(rows) - min(limit, len(rows)) :]
    return joined._replace(rows=newest)


async def feedback_examples(records: Records) -> list[Example]:
    """What callers have said of routes, oldest first.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    async with aclosing(_backwards(records, FEEDBACK, None)) as pages:
        found = [
            Example(fields["text"], fields["route"], at)
            async for page in pages
            for at, fields in page
        ]
    return found[::-1]


async def _backwards(
    records: Records, stream: str, since_ms: int | None
) -> AsyncGenerator[list[tuple[int, dict[str, str]]]]:
    """The entries of a stream with their times, newest first, page by page."""
    newest, oldest = "+", "-" if since_ms is None else str(since_ms)
    while True:
        async with store_errors():
            page = await records.line.call("XREVRANGE", stream, newest, oldest, "COUNT", PAGE)
        yield [(int(place.split("-")[0]), pairs(flat)) for place, flat in page]
        if len(page) < PAGE:
            return
        newest = f"({page[-1][0]}"
