"""What does not belong into a queue."""

import base64
import json
import pickle
import uuid
from pathlib import Path

HUGE_BYTES = 20_000_000


def proof(folder: Path) -> Path:
    """The file that is there when somebody has executed the pickle."""
    return folder / "executed"


class Bomb:
    """Whoever unpickles it makes the file."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)

    def __reduce__(self) -> tuple[object, ...]:
        return (open, (self._path, "w"))


def make_garbage(kind: str, queue: str, folder: Path) -> bytes:
    """Bytes that are no message (`bytes`), a `pickle`, or a `huge` message."""
    if kind == "bytes":
        return b"\x00\xff not json \xfe"
    if kind == "pickle":
        return _envelope(queue, pickle.dumps(Bomb(proof(folder))), "application/x-python-serialize")
    return _envelope(queue, b'["' + b"x" * HUGE_BYTES + b'"]', "application/json")


def _envelope(queue: str, body: bytes, kind: str) -> bytes:
    """A message in kombu's form."""
    task_id = str(uuid.uuid4())
    properties = {
        "correlation_id": task_id,
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": queue},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": str(uuid.uuid4()),
    }
    return json.dumps(
        {
            "body": base64.b64encode(body).decode(),
            "content-encoding": "binary",
            "content-type": kind,
            "headers": {"lang": "py", "task": "workers.run", "id": task_id},
            "properties": properties,
        }
    ).encode()
