"""Prepares a fleet (files, ports, programs) and runs it until it is told to stop."""

import asyncio
import contextlib
import os
import secrets
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from cli import runstate
from cli.embedded import find_llama_server, llama_program, valkey_program
from cli.plan import Facts, Program, could_start, needs_valkey, plan_processes, shared_environment
from cli.ports import free_ports, is_free
from cli.ready import Probes, answering
from cli.roles import refuse_open_door
from cli.screen import Announcer
from cli.supervisor import Supervisor
from cli.weights import find_weights
from fleet import settings as configuration
from fleet.catalogue import Model
from fleet.errors import ConfigError
from fleet.settings import Settings

#: A terminal's Ctrl-C may arrive twice: from the terminal, and passed on by a launcher.
_SAME_KEYSTROKE_S = 0.5


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line asked for."""

    config: Path
    flower: bool = True
    yes: bool = False
    #: Where the API's port is taken: choose another one instead of refusing.
    any_port: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything known that must be known before the first process starts."""

    settings: Settings
    facts: Facts

    @property
    def api_url(self) -> str:
        """Where this machine reaches the API."""
        host = self.settings.api.host
        reachable = "127.0.0.1" if host in ("0.0.0.0", "", "::") else host  # noqa: S104
        bracketed = f"[{reachable}]" if ":" in reachable else reachable
        return f"http://{bracketed}:{self.facts.api_port}"


def prepare(wishes: Wishes, home: Path) -> Prepared:
    """Find or fetch what is needed and choose the ports. Nothing is started here.

    Raises:
        ConfigError: something is missing or taken; the message says what to set.
    """
    settings = configuration.load(wishes.config)
    if not settings.models:
        raise ConfigError(f"{wishes.config}: there is no [[models]] in it")
    if not needs_valkey(settings):  # keys may be in Redis; ours does not run yet
        asyncio.run(refuse_open_door(settings))
    facts = Facts(
        environ=dict(os.environ),
        config=wishes.config.resolve(),
        home=home.resolve(),
        redis_url=settings.redis_url,
        api_port=_api_port(settings, any_port=wishes.any_port),
        flower_port=_flower_port(settings) if wishes.flower else None,
        flower_password=secrets.token_urlsafe(12),
        health_key=settings.api.health_key or secrets.token_urlsafe(12),
    )
    facts = replace(facts, servers=_servers(settings, facts, yes=wishes.yes))
    if needs_valkey(settings):
        valkey, url = valkey_program(facts.home, free_ports(1)[0])
        facts = replace(facts, valkey=valkey, redis_url=url)
    return Prepared(settings, facts)


def _api_port(settings: Settings, *, any_port: bool) -> int:
    host, port = settings.api.host, settings.api.port
    if port == 0:
        return free_ports(1)[0]
    if is_free(host, port):
        return port
    if any_port:
        return free_ports(1)[0]
    raise ConfigError(
        f"api.port: {port} on {host} is taken or not allowed; set FLEET_API__PORT to another "
        "port, or to 0 for a free one"
    )


def _flower_port(settings: Settings) -> int | None:
    """Flower is a guest: where its port is taken, it gets another."""
    if not settings.flower.enabled:
        return None
    port = settings.flower.port
    return port if port and is_free("127.0.0.1", port) else free_ports(1)[0]


def _servers(settings: Settings, facts: Facts, *, yes: bool) -> dict[str, Program]:
    """The llama-servers to start: those that could be, and do not answer already."""
    models = could_start(settings)
    there = answering([model.base_url for model in models if model.url])
    missing = [model for model in models if model.base_url not in there]
    ports = free_ports(len(missing))
    return {
        model.name: _server(model, port, facts, yes=yes)
        for model, port in zip(missing, ports, strict=True)
    }


def _server(model: Model, port: int, facts: Facts, *, yes: bool) -> Program:
    assert model.server is not None  # noqa: S101
    where = f"models.{model.name}.server.weights"
    weights = find_weights(model.server.weights, where, facts.config, facts.home, yes=yes)
    host = "127.0.0.1"
    if model.url is not None and model.url.port is not None:
        host, port = (model.url.host or host).strip("[]"), model.url.port
    return llama_program(model, find_llama_server(model), weights, host, port)


#: What to do once everything runs; its result is the exit code.
Work = Callable[[Prepared, Supervisor, Probes], Awaitable[int]]


async def run(prepared: Prepared, work: Work, announcer: Announcer, *, verbose: bool) -> int | None:
    """Start everything, do the work, and end everything, however the work ended.

    Gives what the work gave, or None when a signal ended it.
    """
    facts = prepared.facts

    def remember(children: tuple[runstate.ProcessMark, ...]) -> None:
        runstate.write(facts.home, _state(prepared, children))

    supervisor = Supervisor(facts.home / "logs", announcer, verbose=verbose, on_change=remember)
    probes = Probes(facts.redis_url, prepared.api_url, facts.health_key)
    remember(())

    async def live() -> int:
        specs = plan_processes(prepared.settings, facts)
        stores = [spec for spec in specs if spec.role == "valkey"]
        await supervisor.start(stores, probes.missing)
        if stores:
            await refuse_open_door(
                prepared.settings.model_copy(update={"redis_url": facts.redis_url})
            )
        await supervisor.start(specs[len(stores) :], probes.missing)
        return await work(prepared, supervisor, probes)

    living = asyncio.create_task(live())
    with _signals(living.cancel, supervisor.kill, announcer):
        try:
            return await living
        except asyncio.CancelledError:
            return None
        finally:
            await supervisor.stop()
            await probes.close()
            runstate.remove(facts.home)


def _state(prepared: Prepared, children: tuple[runstate.ProcessMark, ...]) -> runstate.RunState:
    return runstate.RunState(
        process=runstate.mark("fleet", os.getpid()),
        api_url=prepared.api_url,
        api_key=prepared.settings.api.own_key,
        environment=shared_environment(prepared.settings, prepared.facts),
        children=children,
    )


@contextlib.contextmanager
def _signals(
    drain: Callable[[], object], kill: Callable[[], None], announcer: Announcer
) -> Iterator[None]:
    """The first signal drains, the next one kills."""
    loop = asyncio.get_running_loop()
    first: list[float] = []

    def heard() -> None:
        if not first:
            first.append(time.monotonic())
            announcer.say("Stopping: running answers may still finish. Ctrl-C again stops at once.")
            drain()
        elif time.monotonic() - first[0] > _SAME_KEYSTROKE_S:
            kill()

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for each in signals:
        loop.add_signal_handler(each, heard)
    try:
        yield
    finally:
        for each in signals:
            loop.remove_signal_handler(each)
