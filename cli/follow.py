"""Follows one job on the screen: its way, its tokens, its speed."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.markup import escape

from cli.client import FleetClient
from cli.failures import NoFleet
from cli.lines import printable
from cli.screen import err
from cli.sse import Frame

#: How APIs call an answer that was cut by the number of tokens it was given.
_OUT_OF_TOKENS = ("max_output_tokens", "max_tokens", "length")


@dataclass(slots=True)
class Outcome:
    """How a followed job ended."""

    status: str = ""
    content: str = ""
    #: The data of its last event.
    end: dict[str, Any] = field(default_factory=dict)
    #: The job's record after its end; what its events said, where the API is gone by then.
    job: dict[str, Any] = field(default_factory=dict)

    @property
    def well(self) -> bool:
        """Completed, or stopped only by the number of tokens it was given."""
        reason = self.end.get("reason") or self.end.get("finish_reason")
        return self.status == "completed" or (
            self.status == "incomplete" and reason in _OUT_OF_TOKENS
        )

    def as_dict(self) -> dict[str, Any]:
        """What `--json` prints."""
        usage = self.job.get("usage") or {}
        return {
            "id": self.job.get("id"),
            "status": self.status,
            "route": self.job.get("route"),
            "model": self.job.get("model"),
            "content": self.content,
            "usage": usage,
            "timings": usage.get("timings"),
            "first_token_ms": first_token_ms(self.job),
            "error": self.job.get("error"),
        }


class Follower:
    """Shows the events of a job as they come and gathers what they say."""

    def __init__(self, screen: Console, *, silent: bool = False) -> None:
        self.outcome = Outcome()
        self._screen = screen
        self._silent = silent
        self._midline = False

    def take(self, frame: Frame) -> None:
        """One event."""
        data = frame.payload()
        self._remember(frame.kind, data)
        if frame.kind == "routed":
            self._note(route_line(data))
        elif frame.kind == "token":
            self._token(data)
        elif frame.kind == "restarted":
            self.outcome.content = ""
            why = data.get("reason") or "unknown reason"
            self._note(f"begun again on {data.get('model')}: {why}", style="yellow")
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

    def _note(self, line: str, style: str = "dim") -> None:
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
            self._note(f"calls {function.get('name')}({function.get('arguments')})", "cyan")
        self._note(speed_line(self.outcome))
        return self.outcome


async def follow(
    client: FleetClient, job_id: str, screen: Console, *, silent: bool = False
) -> Outcome:
    """Show a job up to its end."""
    follower = Follower(screen, silent=silent)
    async for frame in client.events(job_id):
        follower.take(frame)
    try:
        record = await client.job(job_id)
    except NoFleet:  # it drains: running answers come to their end, new calls find nobody
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
    """`tool → large: why`. Pure."""
    reasons = "; ".join(str(reason) for reason in data.get("reasons") or ())
    way = f"{data.get('route') or '?'} → {data.get('model') or '?'}"
    return f"{way}: {reasons}" if reasons else way


def first_token_ms(job: dict[str, Any]) -> int | None:
    """From the creation of the job to its first token. Pure."""
    created, first = job.get("created_at"), job.get("first_token_at")
    return int(first - created) if created and first else None


def tokens_per_second(job: dict[str, Any]) -> float | None:
    """The server's own figure, else tokens over the time after the first one. Pure."""
    usage = job.get("usage") or {}
    if measured := (usage.get("timings") or {}).get("predicted_per_second"):
        return float(measured)
    first, end = job.get("first_token_at"), job.get("finished_at")
    tokens = usage.get("completion_tokens") or 0
    return (tokens - 1) * 1000 / (end - first) if first and end and end > first else None


def speed_line(outcome: Outcome) -> str:
    """The dim line at the end. Pure."""
    job = outcome.job
    parts = [f"{job.get('model') or '?'}: {outcome.status}"]
    if reason := outcome.end.get("reason"):
        parts[0] += f" ({reason})"
    if (first := first_token_ms(job)) is not None:
        parts.append(f"first token {first} ms")
    if tokens := (job.get("usage") or {}).get("completion_tokens"):
        parts.append(f"{tokens} tokens")
    if speed := tokens_per_second(job):
        parts.append(f"{speed:.0f} tokens/s")
    return ", ".join(parts)
