"""Which processes a fleet needs, in the order in which they start. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cli.environment import (
    api_keys,
    for_ours,
    for_stranger,
    model_variable,
    secrets,
    webhook_keys,
)
from cli.roles import LINGER_S, STUCK_S, api_argv, flower_argv, router_argv, worker_argv
from fleet.catalogue import Model
from fleet.settings import Settings

Role = Literal["valkey", "llama-server", "router", "worker", "api", "flower"]

#: Roles that start together, once everything before them is ready.
WAVES: tuple[frozenset[Role], ...] = (
    frozenset({"valkey"}),
    frozenset({"llama-server"}),
    frozenset({"router", "worker", "api"}),
    # Nobody waits for it, so it must not take the processor from those somebody waits for.
    frozenset({"flower"}),
)
#: The order of the end. The API outlives the workers, so that readers see the answers that still
#: come to their end; what is posted meanwhile waits in the store for the next start.
DRAIN: tuple[Role, ...] = ("flower", "worker", "api", "router", "llama-server", "valkey")


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process: how it is started, what it is told, how it is shown and ended."""

    name: str
    role: Role
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    #: Address to show, where it has one.
    address: str = ""
    slots: int | None = None
    #: Seconds between SIGTERM and SIGKILL.
    grace_s: float = 5.0
    #: Ours speak in levels; what others say goes to the log file only.
    speaks_levels: bool = True

    @property
    def label(self) -> str:
        """How it is called in a sentence."""
        return self.name if self.name == self.role else f"{self.role} {self.name}"


@dataclass(frozen=True, slots=True)
class Program:
    """A program that is not ours, ready to be started."""

    argv: tuple[str, ...]
    address: str
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the plan depends on beside the settings: found out beforehand, by others."""

    environ: Mapping[str, str] = field(repr=False)
    config: Path
    home: Path
    redis_url: str = field(repr=False)
    api_port: int
    #: None: Redis is somebody else's.
    valkey: Program | None = None
    #: By model: the llama-servers to start.
    servers: Mapping[str, Program] = field(default_factory=dict)
    #: None: no Flower.
    flower_port: int | None = None
    flower_password: str = field(default="", repr=False)
    #: With which we ask the API how the whole fleet is.
    health_key: str = field(default="", repr=False)


def needs_valkey(settings: Settings) -> bool:
    """Whether nobody named a Redis, in the file or in the environment."""
    return "redis_url" not in settings.model_fields_set


def could_start(settings: Settings) -> tuple[Model, ...]:
    """Models whose server we may start: the file says how, and it belongs on this machine."""
    return tuple(
        model
        for model in (*settings.catalogue.enabled, *settings.catalogue.embedders.values())
        if model.server is not None
        and (model.url is None or model.url.host in ("127.0.0.1", "localhost", "::1", "[::1]"))
    )


def working_models(settings: Settings, environ: Mapping[str, str]) -> tuple[Model, ...]:
    """Models that get a worker: those enabled, and paid ones only with their key at hand."""
    return tuple(
        model
        for model in settings.catalogue.enabled
        if not model.external or environ.get(model.api_key_env)
    )


def shared_environment(settings: Settings, facts: Facts) -> dict[str, str]:
    """What every process of ours must agree on."""
    shared = {
        "FLEET_CONFIG": str(facts.config),
        "FLEET_HOME": str(facts.home),
        "FLEET_REDIS_URL": facts.redis_url,
        "FLEET_API__PORT": str(facts.api_port),
    }
    for name, server in facts.servers.items():
        shared[model_variable(name, "url")] = server.address
    # A process without the key would think the model is off; it is told instead.
    working = working_models(settings, facts.environ)
    for model in settings.models:
        if model.external:
            shared[model_variable(model.name, "enabled")] = str(model in working).lower()
    return shared


def plan_processes(settings: Settings, facts: Facts) -> list[ProcessSpec]:
    """Every process of this fleet, in the order of its start."""
    hidden = secrets(settings.models, facts.environ)
    shared = shared_environment(settings, facts)
    env = for_ours(facts.environ, hidden, shared)
    signing = webhook_keys(facts.environ)
    router_env = for_ours(facts.environ, hidden, shared, signing)
    own_keys = [model.api_key_env for model in settings.catalogue.embedders.values()]
    known = [*api_keys(facts.environ), *signing, *own_keys]
    api_env = for_ours(facts.environ, hidden, shared, known)
    api_env["FLEET_API__HEALTH_KEY"] = facts.health_key
    return [
        *_others(settings, facts, for_stranger(facts.environ, hidden)),
        ProcessSpec("router", "router", router_argv(settings.log_level), router_env),
        *_workers(settings, facts, shared),
        _api(settings, facts, api_env),
        *_flower(facts, env),
    ]


def _others(settings: Settings, facts: Facts, env: Mapping[str, str]) -> Iterable[ProcessSpec]:
    valkey = [facts.valkey] if facts.valkey is not None else []
    slots_of = {model.name: model.slots for model in settings.models}
    programs: list[tuple[str, Role, Program, int | None]] = [
        *(("valkey", "valkey", program, None) for program in valkey),
        *(
            (f"llama-{name}", "llama-server", server, slots_of[name])
            for name, server in facts.servers.items()
        ),
    ]
    for name, role, program, slots in programs:
        yield ProcessSpec(
            name,
            role,
            program.argv,
            {**env, **program.env},
            address=program.address,
            slots=slots,
            speaks_levels=False,
        )


def _workers(settings: Settings, facts: Facts, shared: Mapping[str, str]) -> Iterable[ProcessSpec]:
    hidden = secrets(settings.models, facts.environ)
    for model in working_models(settings, facts.environ):
        server = facts.servers.get(model.name)
        yield ProcessSpec(
            model.name,
            "worker",
            worker_argv(model, settings.log_level),
            for_ours(facts.environ, hidden, shared, [model.api_key_env]),
            address=server.address if server else model.base_url or model.kind,
            slots=model.slots,
            grace_s=settings.workers.drain_s + LINGER_S,
        )


def _api(settings: Settings, facts: Facts, env: Mapping[str, str]) -> ProcessSpec:
    host = f"[{settings.api.host}]" if ":" in settings.api.host else settings.api.host
    return ProcessSpec(
        "api",
        "api",
        api_argv(),
        env,
        address=f"http://{host}:{facts.api_port}",
        grace_s=STUCK_S + LINGER_S,
    )


def _flower(facts: Facts, env: Mapping[str, str]) -> Iterable[ProcessSpec]:
    if facts.flower_port is not None:
        login = {
            "FLOWER_BASIC_AUTH": f"fleet:{facts.flower_password}",
            "FLOWER_READ_ONLY": "true",
        }
        yield ProcessSpec(
            "flower",
            "flower",
            flower_argv(facts.flower_port),
            {**env, **login},
            address=f"http://127.0.0.1:{facts.flower_port}",
        )
