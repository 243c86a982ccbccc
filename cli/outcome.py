"""How a followed job ended, and how fast it was."""

from dataclasses import dataclass, field
from typing import Any

from cli.wording import cut_at_limit, dollars, limit_reached


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
    def cut(self) -> bool:
        """Stopped by the number of tokens it was given."""
        said = self.end.get("reason") or self.end.get("finish_reason")
        return cut_at_limit(self.status, said or self.job.get("finish_reason"))

    @property
    def well(self) -> bool:
        """Completed, or stopped only by the number of tokens it was given."""
        return self.status == "completed" or self.cut

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
            "cost_usd": self.job.get("cost_usd"),
            "claude_cost_usd": self.job.get("claude_cost_usd"),
            "experiment": self.job.get("experiment"),
            "arm": self.job.get("arm"),
            "error": self.job.get("error"),
        }


def first_token_ms(job: dict[str, Any]) -> int | None:
    """From the creation of the job to its first token. Pure."""
    created, first = job.get("created_at"), job.get("first_token_at")
    return int(first - created) if created and first else None


def tokens_per_second(job: dict[str, Any]) -> float | None:
    """The server's own figure, else tokens over the time after the first one. Pure.

    None where one cannot speak of a speed: of fewer than two tokens, or without their number.
    """
    usage = job.get("usage") or {}
    tokens = usage.get("completion_tokens") or 0
    if tokens < 2:
        return None
    measured = (usage.get("timings") or {}).get("predicted_per_second") or 0
    if measured > 0:
        return float(measured)
    first, end = job.get("first_token_at"), job.get("finished_at")
    return (tokens - 1) * 1000 / (end - first) if first and end and end > first else None


def ending(outcome: Outcome) -> str:
    """How it ended, in words. Pure."""
    if outcome.cut:
        return limit_reached(outcome.job)
    reason = outcome.end.get("reason")
    shown = reason and outcome.status != "cancelled"
    return f"{outcome.status} ({reason})" if shown else outcome.status


def speed_line(outcome: Outcome) -> str:
    """The dim line at the end. Pure."""
    job = outcome.job
    parts = [f"{job.get('model') or '?'}: {ending(outcome)}"]
    if (first := first_token_ms(job)) is not None:
        parts.append(f"first token {first} ms")
    tokens = (job.get("usage") or {}).get("completion_tokens")
    if tokens and not outcome.cut:  # else the number is in the words already
        parts.append(f"{tokens} tokens")
    again = (job.get("cache") or {}).get("status") in ("hit", "semantic")
    if again:
        parts.append("from the cache")
    elif speed := tokens_per_second(job):
        parts.append(f"{speed:.0f} tokens/s")
    if (cost := job.get("cost_usd")) is not None:
        parts.append(dollars(cost))
    return ", ".join(parts)
