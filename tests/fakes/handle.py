"""A test's hand on a fake that runs as a process of its own."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from tests.support import start_process, stop_process, wait_for_line


class Fake:
    """A running fake: where it listens, what was done to it, how it shall behave."""

    def __init__(self, program: str, log: Path, *args: str) -> None:
        self.program = program
        self.log = log
        self.args = args
        self.process: subprocess.Popen[bytes] | None = None
        self.url = ""
        # There is nothing to verify on the loopback, and certificates take 30 ms to read.
        self._client = httpx.Client(trust_env=False, timeout=5, verify=False)

    def start(self) -> None:
        """Start it, on the port that it had before if it was stopped."""
        port = self.url.rpartition(":")[2] or "0"
        # Without site-packages it starts in a third of the time.
        command = [sys.executable, "-S", "-m", f"tests.fakes.{self.program}"]
        self.log.write_bytes(b"")
        self.process = start_process([*command, "--port", port, *self.args], self.log)
        found = wait_for_line(self.log, r"^listening on (\S+)$", self.process)
        self.url = f"http://{found[1]}"

    def get(self, path: str) -> httpx.Response:
        """What it answers to anybody who looks."""
        return self._client.get(f"{self.url}{path}")

    def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        """What it answers to anybody who asks."""
        return self._client.post(f"{self.url}{path}", json=body)

    def stats(self) -> dict[str, Any]:
        """Its counters, and `bodies`: the last 50 requests."""
        stats: dict[str, Any] = self.get("/stats").raise_for_status().json()
        return stats

    def control(self, *, times: int | None = None, **mode: Any) -> None:
        """Behave like this for the next `times` requests, or until changed; no mode: well."""
        reply = self._client.post(f"{self.url}/control", json={"mode": mode, "times": times})
        assert reply.status_code == 200, reply.text

    def stop(self) -> None:
        """End the process, and with it every connection."""
        if self.process is not None:
            stop_process(self.process)
            self.process = None

    def close(self) -> None:
        """End it for good."""
        self.stop()
        self._client.close()
