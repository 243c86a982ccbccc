"""A fleet for one measurement alone: a Valkey, a router, a worker, an API; nothing shared."""

import contextlib
import os
import sys
from collections.abc import Iterator, MutableMapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from cli import launch
from cli.bench import waits
from cli.bench.processes import Meter
from cli.launch import Prepared, Wishes
from cli.plan import Program
from cli.ports import free_ports
from cli.supervisor import Supervisor

MODEL = "bench"
#: A model with one slot, for jobs that are to stand still.
STILL = "still"
#: The roles that are the fleet; the stub's cost is not the fleet's.
_ROLES = ("api", "router", "worker", "valkey")
#: Variables that lead to another fleet. Others, such as the log level, hold here too.
_ELSEWHERE = (
    *("FLEET_CONFIG", "FLEET_PRESET", "FLEET_HOME", "FLEET_REDIS_URL", "FLEET_BROKER_URL"),
    *("FLEET_API__", "FLEET_FLOWER__", "FLEET_MODELS__"),
)


@contextlib.contextmanager
def private_fleet(
    upstream: str | None, slots: int, followers: int = 0, *, waiting: bool = False
) -> Iterator[Prepared]:
    """Prepare a fleet in a folder that is gone afterwards; `upstream` None: with our stub.

    With `followers` it also has a model whose jobs stand still, so many of them; when it is
    about `waiting`, two models and two callers.
    """
    forget_other_fleets(os.environ)
    with TemporaryDirectory(prefix="fleet-bench-") as folder:
        port = free_ports(1)[0]
        address = upstream or f"http://127.0.0.1:{port}"
        config = Path(folder, "fleet.toml")
        text = waits.config_text(address, slots) if waiting else config_text(address, slots)
        still = still_text(address, followers) if followers else ""
        config.write_text(text + still, encoding="utf-8")
        prepared = launch.prepare(Wishes(config, flower=False), Path(folder))
        yield prepared if upstream else with_stub(prepared, address, port)


def config_text(upstream: str, slots: int) -> str:
    """The configuration: one model, pinned to its server."""
    return f'[api]\nport = 0\n\n[[models]]\nname = "{MODEL}"\nurl = "{upstream}"\nslots = {slots}\n'


def still_text(upstream: str, followers: int) -> str:
    """What the configuration has beside it when so many jobs are to stand still."""
    room = followers + 1_000
    return (
        f'\n[[models]]\nname = "{STILL}"\nurl = "{upstream}"\nslots = 1\n'
        "timeouts = { first_token_s = 86_400 }\n"
        f"\n[limits]\nqueue_jobs = {room}\ncaller_jobs = {room}\n\n[workers]\ndrain_s = 0\n"
    )


def forget_other_fleets(environ: MutableMapping[str, str]) -> None:
    """Drop what would lead our processes to a fleet that is not this one."""
    for variable in [name for name in environ if name.startswith(_ELSEWHERE)]:
        del environ[variable]


def with_stub(prepared: Prepared, address: str, port: int) -> Prepared:
    """Have the stub started like any model server."""
    argv = (sys.executable, "-m", "cli.bench.stub", "--port", str(port))
    servers = {MODEL: Program(argv, address)}
    return replace(prepared, facts=replace(prepared.facts, servers=servers))


def meter_of(supervisor: Supervisor) -> Meter:
    """Watches the processes of the fleet."""
    children = supervisor.children.values()
    pids = {str(child.spec.role): child.pid for child in children if child.spec.name != STILL}
    return Meter({role: pid for role in _ROLES if (pid := pids[role]) is not None})
