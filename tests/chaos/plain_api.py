"""A thin adapter: plain Celery behind the paths that the load knows."""

import json
import uuid
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import FastAPI, Header
from fastapi.responses import JSONResponse, Response, StreamingResponse
from redis.asyncio import Redis

from tests.chaos.history import TERMINAL
from tests.chaos.plain_celery import MODELS, REDIS_URL, app, channel, chat, redis

#: Celery's states in our words.
STATES = {"PENDING": "queued", "STARTED": "running", "SUCCESS": "completed", "FAILURE": "failed"}

api = FastAPI()


@api.post("/v1/jobs")
def post_job(
    body: dict[str, Any], idempotency_key: Annotated[str, Header(alias="Idempotency-Key")]
) -> JSONResponse:
    """Send the task, once for each key."""
    fresh = f"job_{uuid.uuid4().hex}"
    task_id = redis.set(f"plain:key:{idempotency_key}", fresh, nx=True, get=True) or fresh
    if task_id == fresh:
        model = body["model"] if body["model"] in MODELS else next(iter(MODELS))
        chat.apply_async((body, model), task_id=fresh, queue=model, priority=body["priority"])
    return JSONResponse({"id": task_id}, 202)


@api.get("/v1/jobs")
def list_jobs() -> dict[str, Any]:
    """Plain Celery has no list of its tasks."""
    return {"jobs": [], "next": None}


@api.get("/v1/jobs/{task_id}")
def get_job(task_id: str) -> dict[str, Any]:
    """What the result backend tells."""
    result = app.AsyncResult(task_id)
    value = result.result if result.successful() else {}
    return {
        "status": value.get("status") or STATES.get(result.state, result.state),
        "attempt": 1,
        "answer": {"content": value.get("content", "")},
        "created_at": 0,
        "finished_at": None,
        "error": {"message": str(result.result)} if result.failed() else None,
        "tried": [],
    }


@api.get("/v1/jobs/{task_id}/events")
async def get_events(task_id: str) -> Response:
    """What is announced from now on; nothing when the task has ended."""
    client = Redis.from_url(REDIS_URL, decode_responses=True)
    pubsub = client.pubsub(ignore_subscribe_messages=True)
    await pubsub.subscribe(channel(task_id))
    if app.AsyncResult(task_id).ready():
        await client.aclose()
        return Response(status_code=204)

    async def frames() -> AsyncIterator[str]:
        async with client, pubsub:
            async for message in pubsub.listen():
                said = json.loads(message["data"])
                data = json.dumps(said["data"])
                yield f"id: {said['seq']}\nevent: {said['kind']}\ndata: {data}\n\n"
                if said["kind"] in TERMINAL:
                    return

    return StreamingResponse(frames(), media_type="text/event-stream")


@api.get("/health")
def health() -> dict[str, int]:
    """How many workers answer."""
    return {"workers": len(app.control.ping(timeout=1))}
