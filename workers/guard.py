"""What stands between this process' jobs and the model's server: the server's breaker, which it
shares with every process that asks the same server."""

import asyncio
import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from fleet.breaker.copy import Copy
from fleet.breaker.machine import Event, Failed, Phase, Risen, Unused, Well, event_of
from fleet.breaker.store import Breakers
from fleet.catalogue import Model
from fleet.errors import FleetError, StoreUnavailable
from fleet.hosts import server_name
from workers.backend import Backend
from workers.running import Running

log = logging.getLogger(__name__)

#: How long a message is held when nobody may be asked, seconds; then it is somebody else's.
HOLD_S = 0.5
#: A breaker is read again after so long, in case an announcement was missed; with some jitter.
READ_S = 5.0
#: A probe of our own takes so long at most, and is taken for lost after so long.
PROBE_S, PROBE_LOST_S = 10.0, 20.0
#: … and a job that is one, if it has brought no word by then.
JOB_LOST_S = 60.0


def server_of(model: Model) -> str:
    """What has one breaker: a server of our own, whatever models it has; of a provider's, one
    model asked with one key, for that is what providers bound."""
    if not model.external:
        return server_name(model.base_url)
    return f"{server_name(model.base_url)} {model.kind} {model.model} {model.api_key_env}"


class Guard:
    """Lets jobs through to a model's server, or holds them while it is left alone."""

    def __init__(
        self, model: Model, backend: Backend, breakers: Breakers, *, enabled: bool = True
    ) -> None:
        self._backend = backend
        self._enabled = enabled
        self._copy = Copy(server_of(model), breakers, self._changed)
        self._stirred = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        #: Set whenever `report` says something new.
        self.news = asyncio.Event()
        self._reported = self.report()
        #: Hears what is announced of breakers.
        self.heard = self._copy.heard

    async def start(self) -> None:
        """Read the breaker, and begin to keep it."""
        if not self._enabled:
            return
        with suppress(StoreUnavailable):
            await self._copy.read()
        self._tasks = [
            asyncio.create_task(self._copy.tell(), name="breaker-tell"),
            asyncio.create_task(self._watch(), name="breaker-watch"),
        ]

    async def stop(self) -> None:
        """The opposite."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def report(self) -> dict[str, Any]:
        """What a sign of life says: the phase, and why no job is let through (empty: they are)."""
        state = self._copy.state
        phase = state.phase
        if phase is Phase.OPEN and self._job_may_probe:
            phase = Phase.HALF_OPEN
        asked = phase is Phase.CLOSED or (phase is Phase.HALF_OPEN and not self._backend.probes)
        return {"breaker": phase.value, "shut": "" if asked else state.reason}

    async def admit(self) -> str | None:
        """Whether a job may be taken: None if not. A name: it is the probe."""
        if self._copy.closed:
            return ""
        if self._job_may_probe:
            with suppress(StoreUnavailable):
                return await self._copy.take_probe(JOB_LOST_S)
        return None

    async def hold(self) -> None:
        """Return when something has changed, or after a moment."""
        with suppress(TimeoutError):
            async with asyncio.timeout(HOLD_S):
                await self._stirred.wait()

    def stir(self) -> None:
        """Whoever is held looks again."""
        self._stirred.set()
        self._stirred = asyncio.Event()

    @contextmanager
    def listening(self, running: Running) -> Iterator[None]:
        """Hears what becomes of a question to the server."""
        try:
            yield
        except FleetError as error:
            self.failed(error, running.probe)
            raise
        except BaseException:  # it was stopped: that says nothing of the server
            self.unused(running.probe)
            raise
        self.well(running.probe)

    def well(self, probe: str = "") -> None:
        """An answer has come; of a probe, its first words are enough."""
        if probe:
            self._copy.note(Well(probe=probe))
        elif self._enabled:
            self._copy.well()

    def failed(self, error: FleetError, probe: str = "") -> None:
        """An answer has not come."""
        event = event_of(error, probe, self._copy.rules)
        if event is None:
            self.unused(probe)
        elif self._enabled:
            self._copy.note(event)

    def unused(self, probe: str) -> None:
        """The probe has shown nothing."""
        if probe:
            self._copy.note(Unused(probe))

    def risen(self) -> None:
        """The server says that it is there again."""
        if self._copy.state.phase is Phase.OPEN:
            self._copy.note(Risen())

    @property
    def _job_may_probe(self) -> bool:
        return not self._backend.probes and not self._copy.closed and not self._copy.due_in_s

    async def _watch(self) -> None:
        """Look again every now and then; when a pause is over, probe."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s()):
                    await self._stirred.wait()
                    continue
            self._tell_news()
            try:
                if self._copy.closed or self._copy.due_in_s or not self._backend.probes:
                    await self._copy.read()
                else:
                    await self._probe()
            except StoreUnavailable as error:
                log.debug("breaker: %s", error)
                await asyncio.sleep(HOLD_S)
            except Exception:  # an odd answer must not leave a server alone for good
                log.exception("breaker: a look failed")
                await asyncio.sleep(HOLD_S)

    def _pause_s(self) -> float:
        usual = READ_S * random.uniform(0.8, 1.2)  # noqa: S311 - only to spread
        idle = self._copy.closed or self._job_may_probe
        return usual if idle else min(usual, self._copy.due_in_s)

    async def _probe(self) -> None:
        """Ask the server for a token, if nobody else does."""
        token = await self._copy.take_probe(PROBE_LOST_S)
        if not token:
            return
        event: Event = Well(probe=token)
        try:
            async with asyncio.timeout(PROBE_S):
                await self._backend.probe()
        except TimeoutError:
            event = Failed(f"it did not answer a probe in {PROBE_S:g} seconds", token)
        except FleetError as error:  # to refuse the question is to answer
            event = event_of(error, token, self._copy.rules) or event
        await self._copy.change(event)

    def _changed(self) -> None:
        self.stir()
        self._tell_news()

    def _tell_news(self) -> None:
        if (report := self.report()) != self._reported:
            self._reported = report
            self.news.set()
