"""`fleet up`: everything on this machine, until Ctrl-C."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from cli import launch, runstate
from cli.fetch import mib
from cli.launch import Prepared, Wishes
from cli.plan import ProcessSpec
from cli.ready import Probes
from cli.screen import Announcer, out
from cli.supervisor import Supervisor
from fleet.callers import WITH_A_KEY
from fleet.home import home
from fleet.settings import preset_path

DEFAULT_PRESET = "demo"


def choose_config(
    config: Path | None, preset: str | None, environ: Mapping[str, str], here: Path
) -> tuple[Path, str]:
    """The file to start from, and how it was chosen: what is named, else here, else the demo."""
    if config is not None:
        return config, str(config)
    if preset is not None:
        return preset_path(preset), f"preset {preset!r}"
    if named := environ.get("FLEET_CONFIG"):
        return Path(named), f"{named} (FLEET_CONFIG)"
    if named := environ.get("FLEET_PRESET"):
        return preset_path(named), f"preset {named!r} (FLEET_PRESET)"
    if (here / "fleet.toml").is_file():
        return here / "fleet.toml", "./fleet.toml"
    return preset_path(DEFAULT_PRESET), f"preset {DEFAULT_PRESET!r}: no configuration was named"


def up(wishes: Wishes, chosen: str, *, verbose: bool) -> int:
    """Run the fleet in the foreground. Gives the exit code."""
    announcer = Announcer()
    announcer.say(f"Configuration: {chosen}")
    where = home()
    with runstate.only_one(where):
        for name in runstate.end_leftovers(where):
            announcer.say(f"Ended {name}, left over from a fleet that was killed", "yellow")
        fresh = not (where / "logs").exists()
        prepared = launch.prepare(wishes, where)
        if fresh:
            announcer.say(disk_cost(prepared))
        announcer.say("Starting …")
        asyncio.run(launch.run(prepared, show_and_wait, announcer, verbose=verbose))
    announcer.say("Stopped.")
    return 0


async def show_and_wait(prepared: Prepared, supervisor: Supervisor, probes: Probes) -> int:
    """Print the table, then stay until a signal comes."""
    health = await probes.health() or {}
    out.print(table(prepared, supervisor, health))
    keyed = health.get("access") == WITH_A_KEY
    out.print(how_to_ask(prepared, keyed=keyed), markup=False, soft_wrap=True)
    await asyncio.Event().wait()
    return 0


def table(prepared: Prepared, supervisor: Supervisor, health: Mapping[str, Any]) -> Table:
    """What runs where."""
    shown = Table(title="The fleet is up", title_justify="left", title_style="bold")
    for column, justify in (("name", "left"), ("what", "left"), ("address", "left")):
        shown.add_column(column, justify=justify)  # type: ignore[arg-type]
    shown.add_column("pid", justify="right")
    shown.add_column("slots", justify="right")
    if prepared.facts.valkey is None:
        shown.add_row("redis", "redis", "as configured", "", "")
    for name, child in supervisor.children.items():
        spec = child.spec
        slots = str(spec.slots) if spec.slots else ""
        shown.add_row(name, spec.role, address(spec, health), str(child.pid or ""), slots)
    return shown


def address(spec: ProcessSpec, health: Mapping[str, Any]) -> str:
    """Where it answers; for a worker also when its model's server does not."""
    models = health.get("models") or {}
    server = (models.get(spec.name) or {}).get("server", "ok") if spec.role == "worker" else "ok"
    return f"{spec.address} ({server})" if server in ("down", "loading") else spec.address


def how_to_ask(prepared: Prepared, *, keyed: bool = False) -> str:
    """The lines below the table; `keyed`: the fleet takes nothing without a key."""
    facts, url = prepared.facts, prepared.api_url
    needs = keyed and not prepared.settings.api.own_key
    key = " -H 'Authorization: Bearer KEY'" if keyed else ""
    lines = [
        f'Ask:    {"FLEET_KEY=KEY " if needs else ""}fleet ask "Write a haiku about coding"',
        f"        curl -N {url}/api/chat/stream{key} -H 'Content-Type: application/json' "
        '-d \'{"message": "Hello"}\'',
        f"OpenAI: base URL {url}/v1, model auto" + (", and the key" if keyed else ", any key"),
    ]
    lines += [f"Off:    {m.name} ({m.off})" for m in prepared.settings.catalogue.models if m.off]
    if facts.flower_port is not None:
        login = f"user fleet, password {facts.flower_password}"
        lines.append(f"Flower: http://127.0.0.1:{facts.flower_port} ({login})")
    lines.append(f"Logs:   {facts.home / 'logs'}    Stop: Ctrl-C")
    return "\n".join(lines)


def disk_cost(prepared: Prepared) -> str:
    """What the parts take on disk, in one line."""
    parts: dict[str, Path] = {}
    for program in prepared.facts.servers.values():
        argv = program.argv
        if "--model" in argv:
            weights = Path(argv[argv.index("--model") + 1])
            parts[f"weights {weights.stem}"] = weights
        if Path(argv[0]).parent.name == "bin" and program.env:
            parts["llama-server"] = Path(argv[0]).parent
    if prepared.facts.valkey is not None:
        parts["Valkey"] = Path(prepared.facts.valkey.argv[0])
    sizes = {name: _size(path) for name, path in parts.items()}
    listed = ", ".join(f"{name} {mib(size)}" for name, size in sizes.items())
    total = mib(sum(sizes.values()))
    return f"On disk: {listed or 'nothing of ours'}; {total} in all, plus data and logs"


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
