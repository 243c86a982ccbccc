"""A reader of one job: follows its events, leaves at random moments, comes back where it was."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from random import Random

import httpx

from tests.chaos.door import PAUSE_S, TRY_AGAIN, Door
from tests.chaos.history import TERMINAL, Entry, Reading, Seen

#: Silence after which a reader takes its connection for dead; the API speaks every 15 s.
SILENCE_S = 20.0


async def follow(door: Door, job_id: str, reading: Reading, rng: Random) -> None:
    """Read until the terminal event, or until there is nothing (left) to read."""
    while not reading.refused and not _ended(reading):
        stays = None if reading.steady else rng.expovariate(1 / 0.7)
        try:
            async with asyncio.timeout(stays):
                more = await _visit(door, job_id, reading)
        except TimeoutError:
            await asyncio.sleep(rng.uniform(0, 0.8))
        except httpx.TransportError:
            await door.rotate()
        else:
            if not more:
                return
        reading.comebacks += 1


def _ended(reading: Reading) -> bool:
    return bool(reading.seen) and reading.seen[-1].entry.kind in TERMINAL


async def _visit(door: Door, job_id: str, reading: Reading) -> bool:
    """One connection. Gives whether it makes sense to come back."""
    headers = {"Last-Event-ID": str(reading.seen[-1].entry.seq)} if reading.seen else {}
    timeout = httpx.Timeout(5, read=SILENCE_S)
    url = f"{door.url}/v1/jobs/{job_id}/events"
    async with door.client.stream("GET", url, headers=headers, timeout=timeout) as reply:
        if reply.status_code == 204:
            return False
        if reply.status_code in TRY_AGAIN:
            await asyncio.sleep(PAUSE_S)
            return True
        if reply.status_code != 200:
            reading.refused = f"{reply.status_code} for Last-Event-ID {headers}"
            return False
        async for entry in entries(reply.aiter_lines()):
            reading.seen.append(Seen(time.time(), entry))
    return True


async def entries(lines: AsyncIterator[str]) -> AsyncIterator[Entry]:
    """Server-sent events as a browser reads them: a frame counts when its blank line has come."""
    fields: dict[str, str] = {}
    async for line in lines:
        name, _, value = line.partition(": ")
        if line:
            fields[name] = value
        else:
            if "data" in fields:
                yield Entry(int(fields["id"]), fields["event"], json.loads(fields["data"]))
            fields = {}
