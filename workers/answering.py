"""What an attempt reads: the rest of the answer that the server has kept, its continuation, or a
new one.
"""

import logging
from collections.abc import Iterable
from contextlib import aclosing
from typing import Any

from fleet.errors import CapReached, NotBegunAgain, Refused
from fleet.events import Event, Kind, fold
from fleet.insist import insist
from fleet.ledger import Ledger
from fleet.settings import Settings
from workers.backend import Backend, Step, Steps
from workers.generations import Generations
from workers.purse import Purse
from workers.running import Running, Stop

log = logging.getLogger(__name__)

LOST = "the worker before was lost"


class Answering:
    """The answers of one model in one process."""

    def __init__(
        self,
        model: str,
        backend: Backend,
        ledger: Ledger,
        generations: Generations,
        purse: Purse | None,
        settings: Settings,
    ) -> None:
        self._model = model
        self._backend = backend
        self._ledger = ledger
        self._generations = generations
        self._purse = purse
        self._after_first_token = settings.fallback.after_first_token

    async def steps(self, running: Running) -> Steps:
        """The steps of an attempt: the rest of the one before where there is one, else the
        model is asked (again)."""
        job = running.job
        if job.generation and not job.generation.endswith(f".{job.attempt}"):
            kept = await self._backend.attach(job.generation, job.place)
            if kept is not None:
                log.info("job %s: attempt %s goes on at byte %s", job.id, job.attempt, job.place)
                if job.streamed and not job.place:  # the text so far is of an earlier answer
                    running.attempt.restart(job.restart_reason or LOST)
                return self._paid(running, kept)
            await self._new_generation(running)
        await self._reserve(running)
        return self._paid(running, self._asked(running))

    async def _reserve(self, running: Running) -> None:
        """Set aside what the call may cost, where it costs anything.

        Raises:
            CapReached: a cap has no room for it. NotServed: there would be no call.
        """
        if self._purse is None:
            return
        self._backend.check(running.job.request)
        running.bill = self._purse.bill(running.job)
        try:
            await self._purse.reserve(running.bill)
        except CapReached:
            running.bill = None
            raise

    def _paid(self, running: Running, steps: Steps) -> Steps:
        """The steps, with what they cost noted."""
        if self._purse is None:
            return steps
        running.bill = running.bill or self._purse.bill(running.job)
        return self._purse.paid(running.bill, steps)

    def _asked(self, running: Running) -> Steps:
        job = running.job
        if not job.streamed:
            return self._backend.stream(job.request, running.generation)
        if self._after_first_token == "continue" and self._backend.continues:
            return self._continued(running)
        return self._again(running)

    def _again(self, running: Running) -> Steps:
        job = running.job
        reason = job.restart_reason or LOST
        if self._after_first_token == "fail":
            raise NotBegunAgain(f"{reason}; the configuration says not to begin again")
        running.attempt.restart(reason)
        return self._backend.stream(job.request, running.generation)

    async def _new_generation(self, running: Running) -> None:
        """What the server kept is gone, and with it its name: no two answers may share one."""
        self._generations.leave(running.generation)
        server = self._backend.server
        name = await insist(lambda: self._ledger.begin(running.job, server)) if server else ""
        if name is None:
            running.stopped_by = running.stopped_by or Stop.LOST
            raise TimeoutError
        running.generation = name
        self._generations.use(name)

    async def _continued(self, running: Running) -> Steps:
        """Let the model go on from the text so far, as its own last message; where that cannot
        be, begin again."""
        job = running.job
        events = await insist(lambda: self._ledger.read_all(job.id))
        so_far = fold(events)
        begun = False
        if so_far.content and not so_far.reasoning and not so_far.tool_calls:
            request = with_tokens_left(job.request, tokens_of(events))
            try:
                async with aclosing(continued(self._backend, request, so_far.content)) as steps:
                    async for step in steps:
                        begun = True
                        yield step
                return
            except Refused as error:
                if begun:
                    raise
                log.info("job %s: %s does not go on from a text: %s", job.id, self._model, error)
        async with aclosing(self._again(running)) as steps:
            async for step in steps:
                yield step


async def continued(backend: Backend, request: dict[str, Any], so_far: str) -> Steps:
    """The steps after a text that the model takes for the beginning of its own answer.

    llama-server repeats that text before it goes on; it is cut off here.
    """
    turns = [*request["messages"], {"role": "assistant", "content": so_far}]
    left = so_far
    async with aclosing(backend.stream({**request, "messages": turns})) as steps:
        async for step in steps:
            pieces = []
            for piece in step.pieces:
                if left and piece.kind == "text":
                    said = piece.value[: len(left)]
                    if not left.startswith(said):
                        raise Refused("it does not repeat the text that it was given")
                    piece, left = piece._replace(value=piece.value[len(said) :]), left[len(said) :]
                if piece.value:
                    pieces.append(piece)
            if pieces or step.end:
                yield Step(pieces, end=step.end)


def tokens_of(events: Iterable[Event]) -> int:
    """Tokens of the answer so far, as the server sent them."""
    tokens = 0
    for event in events:
        if event.kind == Kind.RESTARTED:
            tokens = 0
        elif event.kind == Kind.TOKEN:
            tokens += event.payload().get("n", 1)
    return tokens


def with_tokens_left(request: dict[str, Any], used: int) -> dict[str, Any]:
    """The request for the rest of an answer of which so many tokens are there."""
    asked = request.get("max_tokens")
    return {**request, "max_tokens": max(1, asked - used)} if asked else request
