"""Health check of a container with a router or a worker: has it reported to Redis lately?"""

import os
import socket
import sys

from redis import Redis

from fleet.names import NODES, node_key


def alive(url: str, host: str) -> bool:
    """Whether a process on this host has a report in Redis that has not yet expired."""
    with Redis.from_url(url, decode_responses=True, socket_timeout=3) as redis:
        here = [node for node in redis.smembers(NODES) if f"@{host}:" in node]
        return bool(here and redis.exists(*map(node_key, here)))


if __name__ == "__main__":
    sys.exit(not alive(os.environ["FLEET_REDIS_URL"], socket.gethostname()))
