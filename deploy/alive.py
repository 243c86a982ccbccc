"""Health check of a container: the API takes jobs, a router or a worker has reported lately."""

import socket
import sys
from http.client import HTTPConnection, HTTPException

from redis import Redis

from fleet.names import NODES, node_key
from fleet.settings import load


def ready(port: int) -> bool | None:
    """What the API says of itself; None if there is none in this container."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    except ConnectionRefusedError:
        return None
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def reports(url: str, host: str) -> bool:
    """Whether a process on this host has a report in Redis that has not yet expired."""
    with Redis.from_url(url, decode_responses=True, socket_timeout=3) as redis:
        here = [node for node in redis.smembers(NODES) if f"@{host}:" in node]
        return bool(here and redis.exists(*map(node_key, here)))


def alive() -> bool:
    """Whether whoever runs here does its work."""
    settings = load()
    answer = ready(settings.api.port)
    return reports(settings.redis_url, socket.gethostname()) if answer is None else answer


if __name__ == "__main__":
    sys.exit(not alive())
