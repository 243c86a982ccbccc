"""The llama-servers that embed texts, as the API asks them: the one border of foreign errors."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx

from api.embeddings.form import Embedded, Input, embedded
from fleet.catalogue import Catalogue, Model
from fleet.errors import (
    ContextExceeded,
    InvalidRequest,
    QueueFull,
    ServerFailed,
    ServerStalled,
    ServerUnreachable,
)
from fleet.server_words import error_of

#: Requests at one server at once, for each of its slots: one is served, one is on its way.
FOR_EACH_SLOT = 2
#: Requests that may wait for their turn, and for how many seconds.
WAITING_MOST, WAIT_S = 200, 30.0
#: Seconds for which a server's word about itself holds.
STATE_S = 2.0


class Embedder:
    """One embedding model, and how much it is asked at once by this process."""

    def __init__(self, model: Model, client: httpx.AsyncClient) -> None:
        self.model = model
        #: Length of its vectors; 0: not seen yet.
        self.dimensions = 0
        self.active = self.waiting = 0
        self._client = client
        self._turns = asyncio.Semaphore(model.slots * FOR_EACH_SLOT)
        self._state, self._state_until = "unknown", 0.0

    async def embed(self, inputs: Sequence[Input]) -> Embedded:
        """The vectors of some inputs.

        Raises:
            InvalidRequest: an input is too long, or the server refuses it.
            QueueFull: too many wait already, or it has waited too long.
            ModelError: the server is away, or what it says cannot be read.
        """
        async with self._turn():
            # In base64 vectors are a quarter as long, and read in a sixteenth of the time.
            body = await self._ask({"input": list(inputs), "encoding_format": "base64"})
        answer = embedded(body, len(inputs))
        self.dimensions = answer.dimensions
        return answer

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self.waiting >= WAITING_MOST:
            raise QueueFull(
                f"{self.waiting} requests wait for {self.model.name!r} already; ask again later"
            )
        self.waiting += 1
        try:
            async with asyncio.timeout(WAIT_S):
                await self._turns.acquire()
        except TimeoutError:
            raise QueueFull(
                f"{self.model.name!r} had no time for it in {WAIT_S:g} s; ask again later"
            ) from None
        finally:
            self.waiting -= 1
        self.active += 1
        try:
            yield
        finally:
            self.active -= 1
            self._turns.release()

    async def _ask(self, body: dict[str, Any]) -> Any:
        """The server's reply, or its error in our tree."""
        try:
            reply = await self._client.post(
                f"{self._address}/v1/embeddings", json=body, headers=self.model.auth_headers
            )
            said = _json(reply)
        except httpx.ConnectTimeout as error:
            raise ServerUnreachable(
                f"The server of {self.model.name!r} does not answer."
            ) from error
        except httpx.TimeoutException as error:
            raise ServerStalled(f"The server of {self.model.name!r} took too long.") from error
        except httpx.HTTPError as error:
            raise ServerUnreachable(
                f"The server of {self.model.name!r} does not answer."
            ) from error
        if reply.status_code == 200:
            return said
        failure = error_of(said, reply.status_code)
        if isinstance(failure, ContextExceeded):
            raise InvalidRequest(
                f"input: too long for one embedding: {failure.message}", param="input"
            )
        raise failure

    @property
    def _address(self) -> str:
        if not self.model.base_url:
            raise ServerUnreachable(
                f"The address of {self.model.name!r} is not known: give it a `url`, "
                "or start it by `fleet up`."
            )
        return self.model.base_url

    async def state(self) -> str:
        """`ok`, `loading` or `down`: what the server says of itself, or has said just now."""
        if time.monotonic() >= self._state_until:
            self._state = await self._asked_state()
            self._state_until = time.monotonic() + STATE_S
        return self._state

    async def _asked_state(self) -> str:
        patience = min(1.0, self.model.timeouts.connect_s)
        try:
            reply = await self._client.get(f"{self._address}/health", timeout=patience)
        except (httpx.HTTPError, ServerUnreachable):
            return "down"
        return {200: "ok", 503: "loading"}.get(reply.status_code, "down")

    async def report(self) -> dict[str, Any]:
        """What `/health` says of it; what is active and waits, does so in this process."""
        return {
            "server": await self.state(),
            "slots": self.model.slots,
            "active": self.active,
            "waiting": self.waiting,
        }


def _json(reply: httpx.Response) -> Any:
    try:
        return reply.json()
    except ValueError:
        if reply.status_code == 200:
            raise ServerFailed("The model's server sent embeddings that are no JSON.") from None
        return None


@asynccontextmanager
async def open_embedders(catalogue: Catalogue) -> AsyncIterator[dict[str, Embedder]]:
    """The embedding models of a catalogue, by name; their connections end with the block."""
    async with AsyncExitStack() as stack:
        yield {
            name: Embedder(model, await stack.enter_async_context(_client(model)))
            for name, model in catalogue.embedders.items()
        }


def _client(model: Model) -> httpx.AsyncClient:
    times = model.timeouts
    timeout = httpx.Timeout(times.first_token_s, connect=times.connect_s)
    # llama-server closes a connection that it said it would keep.
    limits = httpx.Limits(max_keepalive_connections=0)
    # Only the catalogue says where it is: no proxy of the environment, no redirect.
    return httpx.AsyncClient(
        timeout=timeout, limits=limits, trust_env=False, follow_redirects=False
    )
