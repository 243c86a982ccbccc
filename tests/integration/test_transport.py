"""The notes of what a worker holds: kombu's own keys, readable by kombu's own recovery."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from kombu import Connection, Exchange, Queue
from kombu.transport.redis import Transport as StockTransport
from redis import Redis

from fleet.transport import OWED_MOST, Transport
from tests.support import wait_until

QUEUE = Queue("fast", Exchange(""), routing_key="fast")


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    with Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


def connection(url: str, transport: type = Transport) -> Any:
    return Connection(url, transport=transport)


def taken(channel: Any, count: int = 1) -> list[Any]:
    """Messages as a worker takes them: handed out, not acknowledged."""
    return [channel.basic_get("fast", no_ack=False) for _ in range(count)]


def nothing_noted(client: Any) -> bool:
    return not client.exists("unacked", "unacked_index")


def publish(url: str, count: int = 1) -> None:
    with connection(url) as sender:
        producer = sender.Producer()
        for n in range(count):
            producer.publish({"n": n}, routing_key="fast", declare=[QUEUE], serializer="json")


def test_a_held_message_is_noted_as_kombu_would_and_forgotten_at_the_ack(
    redis_url: str, client: Any
) -> None:
    publish(redis_url, 2)
    notes = {}
    for transport in (Transport, StockTransport):
        with connection(redis_url, transport) as worker:
            channel = worker.channel()
            [message] = taken(channel)
            held = wait_until(lambda: client.hgetall("unacked"), "the message is noted")
            [(tag, note)] = held.items()
            assert client.zscore("unacked_index", tag)
            notes[transport] = json.loads(note)[1:]
            message.ack()
            wait_until(lambda: nothing_noted(client), "the message is forgotten")
    assert notes[Transport] == notes[StockTransport]


def test_kombus_own_recovery_puts_back_what_a_dead_worker_held(redis_url: str, client: Any) -> None:
    publish(redis_url)
    dead = connection(redis_url).channel()
    taken(dead)
    assert client.llen("fast") == 0
    [tag] = wait_until(lambda: client.hkeys("unacked"), "the message is noted")
    with connection(redis_url, StockTransport) as other:
        other.channel().qos.restore_by_tag(tag)
    assert client.llen("fast") == 1
    assert nothing_noted(client)
    dead.qos._delivered.clear()
    dead.connection.client.close()


def test_what_is_not_acknowledged_goes_back_at_the_end(redis_url: str, client: Any) -> None:
    publish(redis_url, 3)
    with connection(redis_url) as worker:
        first, *_ = taken(worker.channel(), 3)
        first.ack()
    assert client.llen("fast") == 2
    assert nothing_noted(client)


def test_many_notes_are_settled_and_none_is_left(redis_url: str, client: Any) -> None:
    many = 3 * OWED_MOST
    publish(redis_url, many)
    with connection(redis_url) as worker:
        channel = worker.channel()
        messages = taken(channel, many)
        wait_until(lambda: client.hlen("unacked") == many, "all messages are noted")
        for message in messages:
            message.ack()
        channel.qos.settle()
        assert nothing_noted(client)
        assert channel.qos._owed == 0


def test_a_rejected_message_is_back_in_its_queue(redis_url: str, client: Any) -> None:
    publish(redis_url)
    with connection(redis_url) as worker:
        [message] = taken(worker.channel())
        message.reject(requeue=True)
        assert client.llen("fast") == 1
        assert nothing_noted(client)
