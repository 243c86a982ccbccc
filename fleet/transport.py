"""kombu's Redis transport, writing down what a worker holds without waiting for the answer.

kombu notes every message it hands out (`unacked`) and forgets it at the ack, each time
in a transaction of its own that it waits for: half of a Celery consumer's CPU, and a
round trip before each task starts. The notes are the same here, under the same keys,
and restored by the same code; only the answers are read later, in order.

What is lost if Redis dies between a note and its answer is what is lost without one: a
wake-up. The ledger knows the job (docs/adr/0001).
"""

import logging
from contextlib import suppress
from queue import Empty
from time import time
from typing import Any

import kombu
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as stock
from kombu.transport.virtual import QoS as VirtualQoS
from kombu.utils.json import dumps
from redis.exceptions import ConnectionError

#: kombu's two commands, also when Redis' memory is full: a worker must go on then.
NOTE = """#!lua flags=allow-oom
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
"""

log = logging.getLogger(__name__)

#: Answers that may be outstanding before one is waited for.
OWED_MOST = 64


class QoS(stock.QoS):  # type: ignore[misc]
    """The notes of one channel, on a connection of their own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._line: Any = None
        self._owed = 0

    def append(self, message: Any, delivery_tag: str) -> None:
        """Note a message that a worker takes."""
        info = message.delivery_info
        note = dumps([message._raw, info["exchange"], info["routing_key"]])
        keys = (self.unacked_index_key, self.unacked_key)
        self._tell(("EVAL", NOTE, 2, *keys, time(), delivery_tag, note))
        VirtualQoS.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Forget a message that a worker is done with."""
        self._tell(
            ("ZREM", self.unacked_index_key, delivery_tag),
            ("HDEL", self.unacked_key, delivery_tag),
        )
        VirtualQoS.ack(self, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """See kombu; what was told before must have arrived."""
        self.settle()
        super().reject(delivery_tag, requeue)

    def restore_unacked(self, client: Any = None) -> None:
        """See kombu; what was told before must have arrived."""
        self.settle()
        super().restore_unacked(client)

    def settle(self) -> None:
        """Read every answer that is owed, and give the connection back.

        Raises:
            redis.exceptions.RedisError: Redis is away, or refused a note.
        """
        line, self._line = self._line, None
        if line is None:
            return
        try:
            while self._owed:
                self._read(line)
        except BaseException:
            line.disconnect()
            raise
        finally:
            self._owed = 0
            self.channel.client.connection_pool.release(line)

    def _tell(self, *commands: tuple[Any, ...]) -> None:
        line = self._line or self.channel.client.connection_pool.get_connection()
        self._line = line
        try:
            while self._owed and (self._owed >= OWED_MOST or line.can_read(0)):
                self._read(line)
            line.send_packed_command(line.pack_commands(commands), check_health=False)
        except BaseException:
            self._line, self._owed = None, 0
            line.disconnect()
            self.channel.client.connection_pool.release(line)
            raise
        self._owed += len(commands)

    def _read(self, line: Any) -> None:
        self._owed -= 1
        line.read_response()


class Channel(stock.Channel):  # type: ignore[misc]
    """A channel with these notes."""

    QoS = QoS

    def _connparams(self, asynchronous: bool = False) -> Any:
        """Guard for Celery 5.7.0: when Redis goes away it closes the connection before its
        channels, and a late ack then finds no connection to ask for its address. kombu's
        AttributeError would end the worker; as a lost connection it is outlived.
        """
        if self.connection.client is None:
            raise ConnectionError("the connection to Redis has been closed")
        return super()._connparams(asynchronous)

    def _brpop_read(self, **options: Any) -> Any:
        """Read a message; one that is none is dropped and does not end the worker."""
        try:
            return super()._brpop_read(**options)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            log.exception("bytes in a queue that are no message were dropped")
            raise Empty from error

    def close(self) -> None:
        """Give the notes' connection back."""
        if not self.closed and self._qos is not None:
            with suppress(*self.connection_errors):  # whoever reads next learns of an outage
                self._qos.settle()
        super().close()


class Transport(stock.Transport):  # type: ignore[misc]
    """kombu's Redis transport with these channels."""

    Channel = Channel


class Connection(kombu.Connection):  # type: ignore[misc]
    """A connection that is tried again each second at the most: kombu's own pauses grow to
    thirty, in which a Redis that is back has work for nobody.
    """

    def _ensure_connection(self, *args: Any, **kwargs: Any) -> Any:
        paces = {"interval_start": 0.2, "interval_step": 0.2, "interval_max": 1.0}
        return super()._ensure_connection(*args, **{**kwargs, **paces})


def install() -> None:
    """Make `redis://` mean this transport in this process."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
