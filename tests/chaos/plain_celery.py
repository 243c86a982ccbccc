"""The same chat with plain Celery, set up as its documentation and common advice say.

Tokens go out by pub/sub, the whole answer into the result backend. The harness has to
find what this loses; else it could not be trusted when it finds nothing.
"""

import json
import os
from collections.abc import Iterator
from typing import Any

import httpx
from celery import Celery
from redis import Redis

REDIS_URL = os.environ["FLEET_REDIS_URL"]
MODELS: dict[str, str] = json.loads(os.environ["PLAIN_MODELS"])

app = Celery("plain", broker=REDIS_URL, backend=REDIS_URL)
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    task_track_started=True,
    broker_transport_options={"visibility_timeout": 3600},
    broker_connection_retry_on_startup=True,
    result_expires=3600,
    worker_hijack_root_logger=False,
)
redis = Redis.from_url(REDIS_URL, decode_responses=True)


def channel(task_id: str) -> str:
    """Where the tokens of a task are announced."""
    return f"plain:{task_id}"


class Voice:
    """Announces the events of one task, numbered."""

    def __init__(self, task_id: str) -> None:
        self._channel = channel(task_id)
        self._number = 0

    def say(self, kind: str, **data: Any) -> None:
        """Announce the next event."""
        message = {"seq": self._number, "kind": kind, "data": {"type": kind, **data}}
        redis.publish(self._channel, json.dumps(message))
        self._number += 1


@app.task(name="plain.chat", bind=True)  # type: ignore[untyped-decorator]
def chat(task: Any, body: dict[str, Any], model: str) -> dict[str, str]:
    """Stream an answer: each token to the channel, the whole as the result."""
    voice = Voice(task.request.id)
    voice.say("started", attempt=1, worker=f"plain:{os.getpid()}")
    text, finish = "", "stop"
    for content, reason in _stream(body, MODELS[model]):
        if content:
            voice.say("token", content=content)
        text, finish = text + content, reason or finish
    status = "incomplete" if finish == "length" else "completed"
    voice.say(status, finish_reason=finish)
    return {"status": status, "content": text}


def _stream(body: dict[str, Any], url: str) -> Iterator[tuple[str, str]]:
    """Pieces of the model's answer, each with the reason for the end or ''."""
    asked = {
        "messages": [{"role": "user", "content": body["message"]}],
        "stream": True,
        **({"max_tokens": body["max_tokens"]} if "max_tokens" in body else {}),
    }
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=asked, timeout=10) as reply:
        for line in reply.iter_lines():
            if line.startswith("data: {"):
                for choice in json.loads(line[6:])["choices"]:
                    yield choice["delta"].get("content") or "", choice["finish_reason"] or ""
