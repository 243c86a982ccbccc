"""How the state of a job is put into words. Pure."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

#: How APIs call an answer that was cut by the number of tokens it was given.
_OUT_OF_TOKENS = ("max_output_tokens", "max_tokens", "length")


def cut_at_limit(status: str, reason: Any) -> bool:
    """Whether a job stopped only because it had used up the tokens it was given."""
    return status == "incomplete" and reason in _OUT_OF_TOKENS


def limit_reached(job: Mapping[str, Any]) -> str:
    """`stopped at its limit of 48 tokens`: it used them all, so their number is the limit."""
    tokens = (job.get("usage") or {}).get("completion_tokens")
    return f"stopped at its limit of {tokens} tokens" if tokens else "stopped at its token limit"


def untold(tried: Iterable[Mapping[str, Any]] | None, told: str) -> list[str]:
    """Each failed model with what it died of, but those that the sentence `told` names so."""
    failures = [f"{t.get('model')}: {t.get('message') or t.get('code')}" for t in tried or ()]
    return [failure for failure in failures if failure.rstrip(".") not in told]


def arm_of(job: Mapping[str, Any]) -> str:
    """`heads: b`, the experiment and the arm that decided; empty if there was none."""
    return f"{job['experiment']}: {job.get('arm')}" if job.get("experiment") else ""


def dollars(amount: float | None) -> str:
    """An amount of US dollars, to its second digit where it is very small; `–` if not known."""
    if amount is None:
        return "–"
    sign, size = "-" * (amount < 0), abs(amount)
    places = max(4, 1 - math.floor(math.log10(size))) if 0 < size < 1 else 2
    return f"{sign}${size:,.{places}f}"


def stars(mean: float | None, count: int) -> str:
    """The mean of so many ratings, of five stars; `–` where there are none."""
    if mean is None:
        return "–"
    full = math.floor(mean + 0.5)
    return f"{'★' * full}{'☆' * (5 - full)} {mean:.1f} ({count})"


def waiting_line(model: str | None, health: Mapping[str, Any] | None) -> str:
    """Why a job does not move, by the API's health report. `model`: where it was routed to."""
    if health is None:
        return "still waiting: the API does not answer"
    if (redis := health.get("redis", "ok")) != "ok":
        return f"still waiting: {redis}"
    if "router" not in health:  # without the key it tells no more than this word
        return f"still waiting: the fleet is {health.get('status')}"
    if model is None:
        return _at_router(health["router"])
    return _at_model(model, (health.get("models") or {}).get(model) or {})


def _at_router(router: Mapping[str, Any]) -> str:
    if not router.get("workers"):
        return "still waiting: no router runs"
    return f"still waiting for the router: {_jobs(router.get('queued') or 0)} in its queue"


def _at_model(model: str, state: Mapping[str, Any]) -> str:
    if not state.get("workers"):
        return f"still waiting: no worker for {model}"
    if (server := state.get("server")) in ("down", "loading"):
        return f"still waiting: the server of {model} is {server}"
    if why := state.get("shut"):
        return f"still waiting: {model} is not asked for now: {why}"
    busy = f"{state.get('active') or 0} of {state.get('slots') or 0} slots busy"
    return f"waiting in the queue of {model}: {_jobs(state.get('queued') or 0)} in it, {busy}"


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"
