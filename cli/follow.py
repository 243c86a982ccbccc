"""Follows one job on the screen: its way, its tokens, its speed."""

import asyncio
import contextlib
from typing import Any

from rich.console import Console
from rich.markup import escape

from cli.client import FleetClient
from cli.failures import ApiError, NoFleet
from cli.lines import printable
from cli.outcome import Outcome, speed_line
from cli.screen import err
from cli.sse import Frame
from cli.waiting import Waiting
from cli.wording import arm_of


class Follower:
    """Shows the events of a job as they come and gathers what they say."""

    def __init__(self, screen: Console, job_id: str, *, silent: bool = False) -> None:
        self.outcome = Outcome()
        #: Shown once, with the first route.
        self._untold_id = job_id
        self._screen = screen
        self._silent = silent
        self._midline = False

    def take(self, frame: Frame) -> None:
        """One event."""
        data = frame.payload()
        self._remember(frame.kind, data)
        if frame.kind == "routed":
            self._routed(data)
        elif frame.kind == "token":
            self._token(data)
        elif frame.kind == "restarted":
            self.outcome.content = ""
            why = data.get("reason") or "unknown reason"
            self.note(f"begun again on {data.get('model')}: {why}", style="yellow")
        elif frame.kind in ("completed", "failed", "cancelled", "expired", "incomplete"):
            self.outcome.status, self.outcome.end = frame.kind, data

    def _remember(self, kind: str, data: dict[str, Any]) -> None:
        """Keep what the record would say."""
        job = self.outcome.job
        if kind in ("routed", "started", "restarted"):
            job |= {key: data[key] for key in ("route", "model") if data.get(key)}
        elif kind == "usage":
            job["usage"] = {key: data[key] for key in data if key not in ("type", "at")}
        elif data.get("error"):
            job |= {"error": data["error"], "tried": data.get("tried")}

    def _routed(self, data: dict[str, Any]) -> None:
        job_id, self._untold_id = self._untold_id, ""
        self.note(" · ".join(part for part in (route_line(data), job_id) if part))

    def _token(self, data: dict[str, Any]) -> None:
        text = str(data.get("content") or "")
        self.outcome.content += text
        self._write(text or str(data.get("reasoning") or ""), dim=not text)

    def _write(self, text: str, dim: bool) -> None:
        shown = printable(text)
        if self._silent or not shown:
            return
        self._screen.print(
            shown, end="", markup=False, soft_wrap=True, style="dim italic" if dim else None
        )
        self._midline = not shown.endswith("\n")

    def note(self, line: str, style: str = "dim") -> None:
        """A line of ours; never in the middle of one of the model's."""
        if self._silent:
            return
        self._end_line()
        err.print(f"[{style}]{escape(line)}[/]", soft_wrap=True)

    def _end_line(self) -> None:
        if self._midline:
            self._screen.print()
            self._midline = False

    def finish(self, record: dict[str, Any]) -> Outcome:
        """The job's record after its end: the speed, and what it called."""
        job = self.outcome.job = self.outcome.job | record
        self.outcome.status = self.outcome.status or str(job.get("status"))
        for call in (job.get("answer") or {}).get("tool_calls") or ():
            function = call.get("function") or {}
            self.note(f"calls {function.get('name')}({function.get('arguments')})", "cyan")
        self.note(speed_line(self.outcome))
        return self.outcome


async def follow(
    client: FleetClient, job_id: str, screen: Console, *, silent: bool = False
) -> Outcome:
    """Show a job up to its end."""
    follower = Follower(screen, job_id, silent=silent)
    waiting = Waiting(client, follower.note)
    async with contextlib.nullcontext() if silent else waiting.watched():
        async for frame in client.events(job_id):
            waiting.heard(frame)
            follower.take(frame)
    try:
        record = await client.job(job_id)
    except (NoFleet, ApiError):  # it is being stopped, or restarted: the events have said enough
        if not follower.outcome.status:
            raise
        record = {"id": job_id}
    return follower.finish(record)


async def ask(
    client: FleetClient, body: dict[str, Any], screen: Console, *, silent: bool = False
) -> Outcome:
    """Hand in a job and follow it. Cancelled from outside, it cancels the job."""
    job_id = str((await client.submit(body))["id"])
    try:
        return await follow(client, job_id, screen, silent=silent)
    except asyncio.CancelledError:
        await client.cancel(job_id)
        raise


def route_line(data: dict[str, Any]) -> str:
    """`tool → large: why (experiment: arm)`. Pure."""
    reasons = "; ".join(str(reason) for reason in data.get("reasons") or ())
    way = f"{data.get('route') or '?'} → {data.get('model') or '?'}"
    arm = f" ({named})" if (named := arm_of(data)) else ""
    return f"{way}: {reasons}{arm}" if reasons else f"{way}{arm}"
