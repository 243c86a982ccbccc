"""Records as the API shows them. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from fleet.attempts import attempts
from fleet.comparison import Reference
from fleet.events import Event, fold
from fleet.job import Glance, Job
from fleet.request import FeedbackRequest, last_user_turn
from fleet.waits import Expected

#: What the head calls an answer that a model gave for this job.
MISS = "miss"
#: How `GET /v1/jobs` names a place in the list: `created_at-id`.
Cursor = tuple[int, str]


def accepted(job_id: str, status: str, expected: Expected) -> dict[str, Any]:
    """The body of a 202."""
    return {
        "id": job_id,
        "object": "job",
        "status": status,
        "queue_position": expected.ahead,
        "predicted_wait_s": None if expected.wait_s is None else round(expected.wait_s, 3),
        "urls": urls(job_id),
    }


def urls(job_id: str) -> dict[str, str]:
    """Where a job is looked at, followed and cancelled."""
    return {
        "self": f"/v1/jobs/{job_id}",
        "events": f"/v1/jobs/{job_id}/events",
        "cancel": f"/v1/jobs/{job_id}/cancel",
    }


def summary(job: Job, reference: Reference) -> dict[str, Any]:
    """A job without its words. Times in ms since the epoch, null = not yet."""
    return {
        "id": job.id,
        "object": "job",
        "status": job.status,
        "asked_model": job.asked_model,
        "model": job.model or None,
        "route": job.route or None,
        "plan": job.plan,
        "reasons": job.reasons,
        "confidence": job.confidence,
        "classifier": job.classifier or None,
        "runner_up": job.runner_up or None,
        "domain": job.domain or None,
        "experiment": job.experiment or None,
        "arm": job.arm or None,
        "attempt": job.attempt,
        "priority": job.priority,
        "created_at": job.created_at,
        "routed_at": job.routed_at or None,
        "started_at": job.started_at or None,
        "first_token_at": job.first_token_at or None,
        "finished_at": job.finished_at or None,
        "deadline_at": job.deadline_at,
        "predicted_wait_s": None if (wait := job.predicted_wait_ms) is None else wait / 1000,
        "tried": job.tried,
        "usage": job.usage,
        "cost_usd": job.cost_usd,
        "claude_cost_usd": claude_cost_usd(job, reference),
        "cache": cache(job),
        "error": job.error,
        "metadata": job.metadata,
    }


def detail(
    job: Job, log: Sequence[Event], reference: Reference, matched: Job | None = None
) -> dict[str, Any]:
    """A job with its answer so far, who has tried, and what its caller has said of it. `matched`:
    the job whose answer it got, if there still is one.
    """
    answer = fold(log)
    return summary(job, reference) | {
        "cache": cache(job) | matching(job, matched),
        "answer": answer.as_dict(),
        "finish_reason": answer.finish_reason,
        "attempts": attempts(log),
        "feedback": job.feedback,
        "webhook": webhook(job),
    }


def claude_cost_usd(job: Job, reference: Reference) -> float | None:
    """What the job's answer would have cost at the model that is compared with."""
    usage = job.usage or {}
    tokens = usage.get("prompt_tokens"), usage.get("completion_tokens")
    return reference.cost_usd(None if job.cache else job.model, job.cost_usd, *tokens)


def cache(job: Job) -> dict[str, Any]:
    """Where the answer came from; for a similar question's, how near that one is."""
    told: dict[str, Any] = {"status": job.cache or MISS}
    return told if job.similarity is None else told | {"similarity": job.similarity}


def matching(job: Job, matched: Job | None) -> dict[str, Any]:
    """The similar question whose answer a job got; null where it is gone, or somebody else's."""
    if not job.similar_to:
        return {}
    if matched is None or matched.caller != job.caller:
        return {"source": None, "question": None}
    return {"source": matched.id, "question": last_user_turn(matched.request)}


def webhook(job: Job) -> dict[str, Any] | None:
    """How far the telling of a job's end has come; for its caller, who knows the URL."""
    if not job.webhook:
        return None
    return {
        "url": job.webhook,
        "state": job.webhook_state,
        "attempts": job.webhook_attempts,
        "last_status": job.webhook_status or None,
        "last_error": job.webhook_error or None,
        "next_at": job.webhook_next_at or None,
    }


def feedback(job_id: str, said: FeedbackRequest) -> dict[str, Any]:
    """The answer to a caller's feedback."""
    return {"id": job_id, "object": "job.feedback", **said.model_dump()}


def headers(said: Mapping[str, Any]) -> dict[str, str]:
    """Where a job went, in the head of an answer; empty before it is routed."""
    confidence = said.get("confidence")
    told = {
        "x-fleet-route": said.get("route"),
        "x-fleet-model": said.get("model"),
        "x-fleet-confidence": None if confidence is None else f"{confidence:.2f}",
        "x-fleet-cache": said.get("cache"),
    }
    return {name: value for name, value in told.items() if value}


def headers_of(job: Job | Glance) -> dict[str, str]:
    """The same of a job as it stands, and where its answer comes from."""
    told = {"route": job.route, "model": job.model, "confidence": job.confidence}
    return headers(told | {"cache": job.cache or MISS})


def parse_cursor(text: str) -> Cursor | None:
    """Read a cursor; None if it is none of ours."""
    created, dash, job_id = text.partition("-")
    ours = dash and created.isascii() and created.isdigit() and len(created) <= 15
    return (int(created), job_id) if ours else None


def after_cursor(jobs: list[Job], cursor: Cursor | None) -> list[Job]:
    """The jobs of a page (newest first) that come after the cursor."""
    return [job for job in jobs if cursor is None or (job.created_at, job.id) < cursor]
