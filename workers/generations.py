"""What the model server keeps for us, and that none of it outlives its job.

A server that keeps generations goes on when its reader is gone: that is how an answer
survives its worker, and why a job that ends must be followed by a word to the server.
Each claim is noted in Redis by the server's name before the server is asked; whoever
works with that server forgets what no unended job goes on with. So neither a cancel
nor a worker's death leaves a model talking to nobody.
"""

import asyncio
import logging

from fleet.errors import StoreUnavailable, TryNext
from fleet.ledger import Ledger
from workers.backend import Backend

log = logging.getLogger(__name__)

#: Generations that Redis is told about in one go.
TOGETHER_MOST = 50


class Generations:
    """The kept generations of one worker's server."""

    def __init__(self, backend: Backend, ledger: Ledger, every_s: float) -> None:
        self._backend = backend
        self._ledger = ledger
        self._every_s = every_s
        #: Those that this process uses now, and those that it has left: the server may have
        #: heard of such a one only after somebody had told it to forget it.
        self._used: set[str] = set()
        self._left: set[str] = set()
        self._over: asyncio.Queue[str] = asyncio.Queue()
        self._look = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to forget what is over, and to look for what others have left."""
        self._tasks = [
            asyncio.create_task(self._forget(), name="generations-over"),
            asyncio.create_task(self._search(), name="generations-search"),
        ]

    async def stop(self) -> None:
        """Forget what is over by now, then stop."""
        try:
            async with asyncio.timeout(1):
                await self._over.join()
        except TimeoutError:
            log.info("generations: left to whoever serves this server next")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def use(self, generation: str) -> None:
        """A stream of this process needs it."""
        if generation:
            self._used.add(generation)

    def over(self, generation: str) -> None:
        """Nobody needs it any more: stop it, now."""
        self._used.discard(generation)
        if generation:
            self._over.put_nowait(generation)

    def leave(self, generation: str) -> None:
        """This process does not need it any more; somebody else may."""
        self._used.discard(generation)
        if generation:
            self._left.add(generation)
            self._look.set()

    def look(self) -> None:
        """Something may be left over: search now."""
        self._look.set()

    async def _forget(self) -> None:
        while True:
            over = [await self._over.get()]
            while not self._over.empty() and len(over) < TOGETHER_MOST:
                over.append(self._over.get_nowait())
            try:
                if self._backend.server:
                    await self._drop(over)
            except (StoreUnavailable, TryNext) as error:  # a search will find them again
                log.debug("generations: %s", error)
            finally:
                for _ in over:
                    self._over.task_done()

    async def _search(self) -> None:
        while True:
            try:
                if self._backend.server:
                    await self._drop(await self._left_over())
            except (StoreUnavailable, TryNext) as error:
                log.debug("generations: %s", error)
            except Exception:  # one odd entry must not end the search for ever
                log.exception("generations: a search failed")
            try:
                async with asyncio.timeout(self._every_s):
                    await self._look.wait()
            except TimeoutError:
                continue
            self._look.clear()

    async def _left_over(self) -> list[str]:
        """Those that no unended job goes on with."""
        listed = await self._ledger.generations(self._backend.server)
        noted = [each for each in {*listed, *self._left} if each not in self._used]
        jobs = [generation.partition(".")[0] for generation in noted]
        present = await self._ledger.generations_of(jobs)
        over = [g for g, job in zip(noted, jobs, strict=True) if present.get(job) != g]
        self._left.difference_update(noted)
        self._left.update(over)  # until they are dropped
        return over

    async def _drop(self, generations: list[str]) -> None:
        for generation in generations:
            await self._backend.drop(generation)
        if generations:
            await self._ledger.forget_generations(self._backend.server, generations)
            self._left.difference_update(generations)
