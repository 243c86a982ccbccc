"""The way in: several addresses of one API, as a client behind no load balancer uses them."""

import asyncio
from typing import Any

import httpx

#: Answers after which the same request may be sent again.
TRY_AGAIN = frozenset({429, 502, 503, 504})
PAUSE_S = 0.2


class Door:
    """Sends each request to the address that answered last, and after a failure to the next."""

    def __init__(self, urls: list[str]) -> None:
        self._urls = urls
        self._turn = 0
        self.retries = 0
        self.client = httpx.AsyncClient(
            trust_env=False, verify=False, timeout=5, limits=httpx.Limits(max_connections=None)
        )

    @property
    def url(self) -> str:
        """The address to use now."""
        return self._urls[self._turn % len(self._urls)]

    async def rotate(self) -> None:
        """This address has failed: wait a little and use the next one."""
        self._turn += 1
        await asyncio.sleep(PAUSE_S)

    async def ask(self, method: str, path: str, **how: Any) -> httpx.Response:
        """Send it, again and again, until there is an answer that is not "try again"."""
        while True:
            try:
                reply = await self.client.request(method, f"{self.url}{path}", **how)
            except httpx.TransportError:
                self.retries += 1
                await self.rotate()
                continue
            if reply.status_code not in TRY_AGAIN:
                return reply
            self.retries += 1
            await asyncio.sleep(min(1.0, float(reply.headers.get("retry-after", PAUSE_S))))

    async def aclose(self) -> None:
        """Close every connection."""
        await self.client.aclose()
