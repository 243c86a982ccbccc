"""Processor time and memory of processes that the bench has started."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class Meter:
    """Reads what the processes of a fleet use; without processes it measures nothing."""

    def __init__(self, pids: Mapping[str, int] | None = None) -> None:
        self._pids = dict(pids or {})

    def cpu_s(self) -> dict[str, float]:
        """Seconds of processor time so far, by role."""
        return {role: cpu_s(pid) for role, pid in self._pids.items()}

    def memory_mb(self) -> dict[str, float]:
        """Resident memory now, by role."""
        return {role: round(memory_mb(pid), 1) for role, pid in self._pids.items()}


def cpu_s(pid: int) -> float:
    """Processor time of a process and all its threads, those that have ended included."""
    if sys.platform != "linux":
        return _ps_seconds(pid)
    try:
        # Linux makes the clock's number from the pid: this is clock_getcpuclockid(3).
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:  # not every kernel lets others read it; this counts in 10 ms
        return _stat_seconds(pid)


def _stat_seconds(pid: int) -> float:
    # The second field is the name in brackets, which may hold anything.
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) * _TICK_S


def _ps_seconds(pid: int) -> float:
    return clock_seconds(_ps(pid, "time"))


def clock_seconds(text: str) -> float:
    """`1:02:03.45` as seconds. Pure."""
    seconds = 0.0
    for part in text.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    if sys.platform != "linux":
        return int(_ps(pid, "rss")) / 1024
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _ps(pid: int, what: str) -> str:
    argv = ["ps", "-o", f"{what}=", "-p", str(pid)]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
