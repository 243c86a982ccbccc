"""What router and worker processes share: logging, signs of life, the queue they serve."""

import asyncio
import json
import logging
import os
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from redis.exceptions import RedisError

from fleet.errors import StoreUnavailable
from fleet.ledger import Ledger
from fleet.names import NODE_TTL_S, NODES, node_key
from fleet.records import store_errors
from fleet.scripts import BEAT

log = logging.getLogger(__name__)


def set_up_logging(level: str) -> None:
    """One line per record on stderr: time, level, name, message."""
    logging.basicConfig(
        level=level.upper(),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        force=True,
    )
    # These tell of every task or request; the ledger and Flower tell it better.
    for chatty in ("celery.worker.strategy", "celery.app.trace", "kombu", "amqp", "httpx"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def node_name(role: str) -> str:
    """Name of this process: role, host and pid."""
    return f"{role}@{socket.gethostname()}:{os.getpid()}"


async def wait_for_store(ledger: Ledger) -> None:
    """Return when Redis answers; says every few seconds that it does not."""
    told = 0.0
    while True:
        try:
            await ledger.ping()
        except StoreUnavailable as error:
            if time.monotonic() - told > 5:
                log.warning("waiting: %s", error)
                told = time.monotonic()
            await asyncio.sleep(0.2)
        else:
            return


class Heartbeat:
    """Reports this process to Redis every few seconds, so that `/health` can count it."""

    def __init__(self, ledger: Ledger, node: str, report: Callable[[], dict[str, Any]]) -> None:
        self._line = ledger.line
        self._node = node
        self._report = report
        self._started = time.time()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Report now, and then regularly."""
        await self.beat()
        self._task = asyncio.create_task(self._run(), name="heartbeat")

    async def stop(self) -> None:
        """Take the report back."""
        if self._task:
            self._task.cancel()
        try:
            await self._line.call("DEL", node_key(self._node))
            await self._line.call("SREM", NODES, self._node)
        except RedisError as error:
            log.warning("heartbeat: could not sign off: %s", error)

    async def beat(self) -> None:
        """Report once."""
        report = {"pid": os.getpid(), "since": int(self._started), **self._report()}
        try:
            key = node_key(self._node)
            await BEAT(self._line, [key, NODES], [json.dumps(report), NODE_TTL_S, self._node])
        except RedisError as error:
            log.warning("heartbeat: Redis does not answer: %s", error)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(NODE_TTL_S / 3)
            await self.beat()


async def living_nodes(ledger: Ledger) -> list[dict[str, Any]]:
    """The reports of all living processes. Names of dead ones are forgotten here."""
    line = ledger.line
    async with store_errors():
        names = sorted(await line.call("SMEMBERS", NODES))
        reports = await line.call("MGET", *map(node_key, names)) if names else []
        dead = [name for name, report in zip(names, reports, strict=True) if not report]
        if dead:
            await line.call("SREM", NODES, *dead)
    return [json.loads(report) for report in reports if report]
