"""From a host's name to its addresses, off the loop that decides."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address

from fleet.webhooks.addresses import Address

Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]

#: Threads of their own: a name that hangs must not hold those that the router's work needs.
THREADS = 8


class Resolver:
    """Asks the system."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="names")

    async def __call__(self, host: str, port: int) -> list[Address]:
        """The addresses of a host, the preferred one first.

        Raises:
            OSError: there are none.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _ask, host, port)

    def close(self) -> None:
        """Wait for nobody."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _ask(host: str, port: int) -> list[Address]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ip_address(str(place[0])) for *_, place in found]
