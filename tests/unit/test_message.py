"""The message form of our own against what Celery itself sends."""

import base64
import json
from typing import Any

from redis import Redis

from fleet.message import encode
from fleet.names import RUN_TASK, queue_list
from fleet.queueing import make_app
from fleet.settings import Settings

MODEL: Any = {"name": "fast", "url": "http://127.0.0.1:1"}


def opened(raw: str) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(raw)
    message["body"] = json.loads(base64.b64decode(message["body"]))
    return message


def test_a_script_enqueues_what_celery_would_have_sent(redis_url: str) -> None:
    app = make_app("test", Settings(redis_url=redis_url, models=(MODEL,)))
    app.send_task(
        RUN_TASK, args=("job_1",), task_id="t1", queue="fast", priority=4, ignore_result=True
    )
    with Redis.from_url(redis_url, decode_responses=True) as client:
        raw: Any = client.lindex(queue_list("fast", 4), 0)
    app.close()
    theirs, ours = opened(raw), opened(encode(RUN_TASK, "job_1", "t1", "fast", 4))
    for volatile in ("reply_to", "delivery_tag"):
        assert bool(theirs["properties"].pop(volatile)) >= bool(ours["properties"].pop(volatile))
    theirs["properties"]["delivery_info"].pop("exchange")
    ours["properties"]["delivery_info"].pop("exchange")
    assert (
        ours["headers"].pop("origin").partition("@")[2]
        == theirs["headers"].pop("origin").partition("@")[2]
    )
    assert ours == theirs


def test_a_priority_belongs_to_the_step_below_it() -> None:
    assert queue_list("q", 0) == queue_list("q", 2) == "q"
    assert queue_list("q", 3) == queue_list("q", 5) == "q\x06\x163"
    assert queue_list("q", 9) == "q\x06\x169"
