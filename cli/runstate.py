"""What a running fleet leaves in FLEET_HOME: its lock, and where it can be found."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cli.failures import AlreadyRunning


@dataclass(frozen=True, slots=True)
class ProcessMark:
    """A process, told apart from a later one with the same number by its start."""

    name: str
    pid: int
    started: str

    def alive(self) -> bool:
        """Whether this very process still runs."""
        return bool(self.started) and process_started(self.pid) == self.started


@dataclass(frozen=True, slots=True)
class RunState:
    """A running `fleet up`: enough to talk to it, and to end what it left behind."""

    process: ProcessMark
    api_url: str
    api_key: str = field(repr=False)
    #: What its processes agree on; `fleet worker` joins by it.
    environment: dict[str, str] = field(repr=False)
    children: tuple[ProcessMark, ...] = ()


def process_started(pid: int) -> str:
    """When a process began, in the system's own words; empty if there is none."""
    if sys.platform == "linux":
        try:
            # The second field is the name in brackets, which may hold anything.
            after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if after_name[0] == "Z" else after_name[19]
    shown = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return shown.stdout.strip()


def mark(name: str, pid: int) -> ProcessMark:
    """The mark of a process that runs now."""
    return ProcessMark(name, pid, process_started(pid))


def _path(home: Path) -> Path:
    return home / "run.json"


def write(home: Path, state: RunState) -> None:
    """Leave the state, readable by its owner only, in one step."""
    fresh = _path(home).with_suffix(".new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(asdict(state), file)
    fresh.replace(_path(home))


def read(home: Path) -> RunState | None:
    """What the last fleet left, alive or not."""
    try:
        raw: dict[str, Any] = json.loads(_path(home).read_text(encoding="utf-8"))
        return RunState(
            process=ProcessMark(**raw["process"]),
            api_url=raw["api_url"],
            api_key=raw["api_key"],
            environment=raw["environment"],
            children=tuple(ProcessMark(**child) for child in raw["children"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def running(home: Path) -> RunState | None:
    """The fleet that runs now in this FLEET_HOME, or None."""
    state = read(home)
    return state if state and state.process.alive() else None


def remove(home: Path) -> None:
    """The fleet is gone."""
    _path(home).unlink(missing_ok=True)


def end_leftovers(home: Path) -> list[str]:
    """End processes of a fleet that was itself killed; gives their names."""
    state = read(home)
    if state is None or state.process.alive():
        return []
    left = [child for child in state.children if child.alive()]
    for child in left:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    remove(home)
    return [child.name for child in left]


@contextlib.contextmanager
def only_one(home: Path) -> Iterator[None]:
    """Hold FLEET_HOME for one `fleet up`; the system lets go when the process ends.

    Raises:
        AlreadyRunning: another one holds it; the message names its pid.
    """
    with (home / "up.lock").open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            raise AlreadyRunning(
                f"a fleet runs already in {home} (pid {lock.read().strip() or 'unknown'}); "
                "stop it first, or set FLEET_HOME to another folder"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def join_running(home: Path, environ: dict[str, str] | os._Environ[str]) -> RunState | None:
    """Let a role that is started by hand find the fleet that runs here.

    Only where nobody said otherwise: a named configuration or Redis is left alone.
    """
    if "FLEET_CONFIG" in environ or "FLEET_REDIS_URL" in environ:
        return None
    state = running(home)
    for key, value in (state.environment if state else {}).items():
        environ.setdefault(key, value)
    return state
