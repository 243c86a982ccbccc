"""Starts processes in order, keeps them alive, ends them in reverse. Leaves nothing behind."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path

from cli.backoff import Backoff
from cli.child import Child
from cli.failures import StartFailed
from cli.plan import DRAIN, WAVES, ProcessSpec, Role
from cli.runstate import ProcessMark, mark
from cli.screen import Announcer

#: Deaths before it was ready once, after which a process is given up.
DEATHS_AT_START = 3
#: Seconds until a process must be ready. A large model takes minutes to load from a slow disk.
START_S: dict[Role, float] = {"llama-server": 900.0, "valkey": 300.0}
USUAL_START_S = 90.0
POLL_S = 0.05

#: Of the processes given, those that are not ready yet, each with the reason.
Probe = Callable[[Sequence[ProcessSpec]], Awaitable[dict[str, str]]]


class Supervisor:
    """The processes of one fleet."""

    def __init__(
        self,
        logs: Path,
        announcer: Announcer,
        *,
        verbose: bool = False,
        on_change: Callable[[tuple[ProcessMark, ...]], None] = lambda marks: None,
        backoff: Callable[[], Backoff] = Backoff,
    ) -> None:
        self._logs = logs
        self._announcer = announcer
        self._verbose = verbose
        self._on_change = on_change
        self._backoff = backoff
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.children: dict[str, Child] = {}

    @property
    def marks(self) -> tuple[ProcessMark, ...]:
        """Every process that runs now."""
        pids = {name: child.pid for name, child in self.children.items()}
        return tuple(mark(name, pid) for name, pid in pids.items() if pid is not None)

    async def start(self, specs: Iterable[ProcessSpec], probe: Probe) -> None:
        """Start everything, wave by wave; each wave is ready before the next begins.

        Raises:
            StartFailed: a process keeps dying, or is not ready in time. What was started
                still runs: call `stop`.
        """
        specs = list(specs)
        for roles in WAVES:
            wave = [spec for spec in specs if spec.role in roles]
            for spec in wave:
                self._launch(spec)
            await self._ready(wave, probe)

    async def stop(self) -> None:
        """End everything in the order of the drain."""
        for child in self.children.values():
            child.close()
        for role in DRAIN:
            ending = [child for child in self.children.values() if child.spec.role == role]
            await asyncio.gather(*(child.stop() for child in ending))
        await asyncio.gather(*self._tasks.values())

    def kill(self) -> None:
        """End everything at once."""
        for child in self.children.values():
            child.kill()

    def _launch(self, spec: ProcessSpec) -> None:
        child = Child(
            spec,
            self._logs / f"{spec.name}.log",
            on_line=self._announcer.child_line,
            on_start=lambda: self._on_change(self.marks),
            on_death=self._died,
            show_all=self._verbose,
            backoff=self._backoff(),
        )
        self.children[spec.name] = child
        self._tasks[spec.name] = asyncio.create_task(child.run())

    def _died(self, child: Child, code: int, pause: float) -> None:
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        self._announcer.say(
            f"{child.spec.label} {how}; starting it again in {pause:g} s", style="yellow"
        )
        if not self._verbose and code > 0:  # what it died of; a signal comes from outside
            for line in list(child.tail)[-3:]:
                self._announcer.child_line(child.spec.name, line)

    async def _ready(self, wave: Sequence[ProcessSpec], probe: Probe) -> None:
        began = time.monotonic()
        while missing := await probe(wave):
            for name, reason in missing.items():
                self._give_up_if_hopeless(self.children[name], reason, time.monotonic() - began)
            await asyncio.sleep(POLL_S)

    def _give_up_if_hopeless(self, child: Child, reason: str, waited_s: float) -> None:
        allowed = START_S.get(child.spec.role, USUAL_START_S)
        if child.backoff.deaths >= DEATHS_AT_START:
            reason = f"it ended {child.backoff.deaths} times"
        elif waited_s < allowed:
            return
        else:
            reason = f"not within {allowed:g} s: {reason}"
        said = "\n".join(f"  {line}" for line in child.tail)
        raise StartFailed(
            f"{child.spec.label} did not start: {reason}.\n{said}\n"
            f"All it said: {self._logs / (child.spec.name + '.log')}"
        )
