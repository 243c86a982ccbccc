"""The whole fleet as processes, and a supervisor that starts again what has died."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from fleet.names import NODES, PRIORITY_STEPS, ROUTER_QUEUE, WEBHOOKS_QUEUE, queue_list
from tests.chaos.door import Door
from tests.chaos.history import Telling
from tests.chaos.tellings import tellings
from tests.fakes.handle import Fake
from tests.stack import Stack
from tests.support import NO_RETRY, Valkey, free_port, until

MODELS = ("fast", "tool")
WORKERS = tuple(f"worker-{model}-{number}" for model in MODELS for number in (1, 2))
ROUTERS = ("router-1", "router-2")
APIS = ("api-1", "api-2")
#: Streams at once of one worker; a model's server has room for both of its workers.
SLOTS = 8
LEASE_S = 2.0
MAX_ATTEMPTS = 5
DRAIN_S = 1.5
#: What a service manager waits before it starts something again.
RESTART_S = 0.3
#: A process that was told to end has to be gone after so many seconds.
GONE_S = 25.0
#: What `fleet router` and `fleet worker` give Celery, too.
ALONE = ("--without-gossip", "--without-mingle")
#: A process that was started is ready within so many seconds, if nothing is in its way.
READY_S = 6.0
CONFIG = """
[workers]
lease_s = {lease_s}
drain_s = {drain_s}
max_attempts = {max_attempts}

[limits]
deadline_s = {deadline_s}

[store]
retention_s = {retention_s}

[router]
log_size = {log_size}

[webhooks]
allow_http = true
allow_private = true
first_pause_s = 0.5
longest_pause_s = 2
timeout_s = 1.5
"""
MODEL = """
[[models]]
name = "{name}"
url = "{url}"
slots = {slots}
timeouts = {{ first_token_s = 2, between_tokens_s = 1.5 }}
"""


@dataclass(frozen=True)
class Exit:
    """A process that ended while it should have run."""

    at: float
    name: str
    status: int
    #: What it has written as its reason, if it ended by itself.
    words: str


class Fleet:
    """Two APIs, two routers, two workers for each of two models, their servers, Redis, and a
    receiver of webhooks.
    """

    has_log = True
    parts: tuple[str, ...] = (*ROUTERS, *WORKERS, *APIS)

    def __init__(
        self,
        folder: Path,
        deadline_s: float = 45,
        retention_s: int = 3600,
        log_size: int = 100_000,
    ) -> None:
        self.folder = folder
        self.valkey = Valkey(folder)
        self.servers = {
            name: Fake(
                "llama_server", folder / f"{name}.log", f"--slots={2 * SLOTS}", f"--name={name}"
            )
            for name in MODELS
        }
        self.receiver = Fake("receiver", folder / "receiver.log")
        self._limits = {
            "deadline_s": deadline_s,
            "retention_s": retention_s,
            "log_size": log_size,
        }
        self.stack: Stack
        self._ports: dict[str, int] = {}
        self._held: set[str] = set()
        #: Everything that went wrong with a process, as a sentence.
        self.remarks: list[str] = []
        self.exits: list[Exit] = []

    async def start(self) -> None:
        """Start everything and wait until it is ready."""
        await asyncio.to_thread(self.valkey.start)
        for server in self.servers.values():
            await asyncio.to_thread(server.start)
        await asyncio.to_thread(self.receiver.start)
        self.stack = Stack(self.folder, self.valkey.url, self._config(), **self.environment())
        self._ports = {name: free_port() for name in APIS[1:]} | {APIS[0]: self.stack.port}
        for name in self.parts:
            self.spawn(name)
        await asyncio.to_thread(self.wait_ready)

    def environment(self) -> dict[str, str]:
        """What its processes need to know beside the configuration."""
        return {}

    def wait_ready(self) -> None:
        """Return when all can work."""
        self.stack.wait_ready(*MODELS)

    async def stop(self) -> None:
        """End everything."""
        for name in self.parts:
            self.signal(name, signal.SIGCONT)
        await asyncio.to_thread(self.stack.stop)
        for server in self.servers.values():
            await asyncio.to_thread(server.close)
        await asyncio.to_thread(self.receiver.close)
        await asyncio.to_thread(self.valkey.stop)

    def door(self) -> Door:
        """A client of all its APIs."""
        return Door([f"http://127.0.0.1:{self._ports[name]}" for name in APIS])

    def redis(self) -> Redis:
        """Redis, as an operator reaches it."""
        return Redis.from_url(
            self.valkey.url, retry=NO_RETRY, socket_timeout=2, decode_responses=True
        )

    @property
    def hook(self) -> str:
        """Where the ends of jobs are told."""
        return f"{self.receiver.url}/hook"

    def hear(self, answers: list[dict[str, Any]]) -> None:
        """Have the receiver answer so, one post each, and all that follow well."""
        self.receiver.post("/control", {"answers": answers}).raise_for_status()

    def told(self) -> tuple[Telling, ...]:
        """What the receiver has been told."""
        return tellings(self.receiver.stats()["got"])

    def remarks_on(self, redis: Redis, ids: list[str]) -> dict[str, str]:
        """What Redis itself tells about jobs, for a report of those that were lost."""
        return {}

    def queue_lists(self) -> list[str]:
        """The Redis lists in which Celery's messages wait."""
        queues = (ROUTER_QUEUE, *MODELS, WEBHOOKS_QUEUE)
        return [queue_list(queue, step) for queue in queues for step in PRIORITY_STEPS]

    def spawn(self, name: str) -> None:
        """Start the process of that name (anew)."""
        self.stack.start(name, *self.command(name))

    def command(self, name: str) -> list[str]:
        """How an operator starts it."""
        role, _, rest = name.partition("-")
        if role == "api":
            return [
                "uvicorn", "--factory", "api.app:create_app", "--port", str(self._ports[name]),
                "--no-access-log", "--timeout-graceful-shutdown", "2",
            ]  # fmt: skip
        if role == "router":
            return ["celery", "-A", "router", "worker", "-Q", "router,webhooks", *ALONE]
        return ["celery", "-A", "workers", "worker", "-Q", rest.partition("-")[0], *ALONE]

    def process(self, name: str) -> "subprocess.Popen[bytes]":
        """The present process of that name."""
        return self.stack.processes[name]

    def pids(self) -> dict[str, int]:
        """Every process that lives, Redis among them."""
        living = {n: p.pid for n, p in self.stack.processes.items() if p.poll() is None}
        return living | {"redis": self.valkey.pid}

    def signal(self, name: str, number: signal.Signals) -> int:
        """Send a signal; the pid that got it."""
        process = self.process(name)
        process.send_signal(number)
        return process.pid

    async def alive(self, name: str) -> None:
        """Return when that process runs; the supervisor sees to it."""
        await until(lambda: self.process(name).poll() is None, f"{name} runs again")

    async def replace(self, name: str) -> int:
        """A new process, and when it is ready SIGTERM for the old one; its pid when it has gone."""
        old = self.process(name)
        self.spawn(name)
        with suppress(TimeoutError):  # Redis may be away: then an operator's patience ends, too
            async with asyncio.timeout(READY_S):
                await self._ready(self.process(name).pid)
        old.terminate()
        await self._gone(name, old)
        return old.pid

    async def restart(self, name: str) -> int:
        """SIGTERM, and a new process when the port is free."""
        old = self.process(name)
        self._held.add(name)
        old.terminate()
        await self._gone(name, old)
        self.spawn(name)
        self._held.discard(name)
        return old.pid

    async def _ready(self, pid: int) -> None:
        while True:
            if await asyncio.to_thread(self._registered, pid):
                return
            await asyncio.sleep(0.1)

    def _registered(self, pid: int) -> bool:
        try:
            with self.redis() as redis:
                return any(str(node).endswith(f":{pid}") for node in redis.sscan_iter(NODES))
        except RedisError:
            return False

    async def _gone(self, name: str, process: "subprocess.Popen[bytes]") -> None:
        try:
            await until(lambda: process.poll() is not None, f"{name} ends when told", GONE_S)
        except AssertionError as error:
            self.remarks.append(str(error))
            process.kill()

    @asynccontextmanager
    async def supervised(self) -> AsyncIterator[None]:
        """Meanwhile, whatever dies is started again."""
        task = asyncio.create_task(self._supervise())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _supervise(self) -> None:
        while True:
            await asyncio.sleep(RESTART_S)
            for name in self.parts:
                status = self.process(name).poll()
                if status is not None and name not in self._held:
                    words = last_words(self.folder / f"{name}.log") if status > 0 else ""
                    self.exits.append(Exit(time.time(), name, status, words))
                    self.spawn(name)

    def _config(self) -> str:
        fixed = {"lease_s": LEASE_S, "drain_s": DRAIN_S, "max_attempts": MAX_ATTEMPTS}
        models = (
            MODEL.format(name=name, url=server.url, slots=SLOTS)
            for name, server in self.servers.items()
        )
        return CONFIG.format(**self._limits, **fixed) + "".join(models)


def last_words(log: Path) -> str:
    """The last thing that a process called critical."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line for line in reversed(lines) if " CRITICAL " in line), "")


def freeze(pid: int) -> None:
    """SIGSTOP: the process is there and does nothing."""
    os.kill(pid, signal.SIGSTOP)


def thaw(pid: int) -> None:
    """SIGCONT, if it has not been killed meanwhile."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
