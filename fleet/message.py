"""Celery's message form for our two tasks, so that a script can enqueue one.

The record and its message are written by one script wherever broker and store are
the same Redis: no moment exists in which one is there without the other. Pure; a
test holds the bytes against what Celery itself sends. Protocol:
https://docs.celeryq.dev/en/stable/internals/protocol.html (version 2).
"""

import base64
import json
import os
import socket
import uuid

_ORIGIN = f"{os.getpid()}@{socket.gethostname()}"


def encode(task: str, job_id: str, task_id: str, queue: str, priority: int) -> str:
    """One message that asks a worker of `queue` to run `task(job_id)`."""
    body = json.dumps([[job_id], {}, {"callbacks": None, "errbacks": None, "chain": None,
                                      "chord": None}])  # fmt: skip
    headers: dict[str, object] = {
        "lang": "py",
        "task": task,
        "id": task_id,
        "shadow": None,
        "eta": None,
        "expires": None,
        "group": None,
        "group_index": None,
        "retries": 0,
        "timelimit": [None, None],
        "root_id": task_id,
        "parent_id": None,
        "argsrepr": f"('{job_id}',)",
        "kwargsrepr": "{}",
        "origin": _ORIGIN,
        "ignore_result": True,
        "replaced_task_nesting": 0,
        "stamped_headers": None,
        "stamps": {},
    }
    properties = {
        "correlation_id": task_id,
        "reply_to": "",
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": queue},
        "priority": priority,
        "body_encoding": "base64",
        "delivery_tag": str(uuid.uuid4()),
    }
    return json.dumps(
        {
            "body": base64.b64encode(body.encode()).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": headers,
            "properties": properties,
        }
    )
