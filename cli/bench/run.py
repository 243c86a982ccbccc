"""The whole of `fleet bench`: find or start both ways, measure, show."""

import asyncio
import json
import os
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import uvloop

from cli import launch, runstate
from cli.ask import INTERRUPTED
from cli.bench import report, waits
from cli.bench.crowd import Crowd, among, make_room
from cli.bench.drive import Level, closed_loop, compare, measured, warm_up
from cli.bench.figures import Tally, count_errors, level_figures, throughput_figures
from cli.bench.load import HEADROOM, Load, real_load, stub_load
from cli.bench.private import MODEL, STILL, meter_of, private_fleet
from cli.bench.processes import Meter
from cli.bench.targets import Direct, Fleet, Target
from cli.client import find_api
from cli.failures import NoFleet
from cli.launch import Prepared
from cli.ready import Probes, answering
from cli.screen import Announcer, err, out
from cli.supervisor import Supervisor
from fleet import settings as configuration
from fleet.errors import ConfigError
from fleet.home import home

T = TypeVar("T")

#: Enough clients that the fleet always has a job at hand.
_MANY, _FEW = 64, 8
_FLOOD_TOKENS = 1_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asked for."""

    upstream: str | None
    api: str | None
    stub: bool
    start: bool
    slots: int | None
    streams: tuple[int, ...]
    tokens: int
    tps: float
    ttft_ms: float
    requests: int | None
    rounds: int
    real: bool
    closed: bool
    throughput: bool
    seconds: float
    followers: int = 0
    waits: bool = False

    @property
    def levels(self) -> list[Level]:
        """How many streams at once, and how many requests for each."""
        return [
            Level(streams, self.requests or 15 * streams, self.rounds, self.closed)
            for streams in self.streams
        ]

    @property
    def load(self) -> Load:
        """What is sent at every level."""
        return (
            real_load(self.tokens) if self.real else stub_load(self.tokens, self.tps, self.ttft_ms)
        )

    @property
    def what(self) -> str:
        """The load in words."""
        if self.real:
            return f"a real model, at most {self.tokens} tokens"
        return f"{self.tokens} tokens at {self.tps:g}/s, the first after {self.ttft_ms:g} ms"

    def refuse_nonsense(self) -> None:
        """Say which options do not go together.

        Raises:
            ConfigError: some do not.
        """
        if self.stub and (self.upstream or self.real):
            raise ConfigError("--stub goes neither with --upstream nor with --real")
        if self.stub and not self.start:
            raise ConfigError("--stub needs --start: a fleet that runs does not know our stub")
        if self.start and self.api:
            raise ConfigError("--start brings its own API: leave --api out")
        if self.start and not (self.stub or self.upstream):
            raise ConfigError("--start needs a model server: --upstream URL, or --stub")
        if self.throughput and self.real:
            raise ConfigError("--throughput needs a stub: a real model would be what is measured")
        if self.followers and not self.stub:
            raise ConfigError("--followers needs --start --stub: their jobs must stand still")
        if self.followers and (self.throughput or self.closed):
            raise ConfigError("--followers goes neither with --throughput nor with --closed")
        if self.waits and not self.stub:
            raise ConfigError("--waits needs --start --stub: what its jobs take must be known")
        if self.waits and (self.throughput or self.closed or self.followers):
            raise ConfigError("--waits goes with no other measurement")
        if self.followers and not self.load.reply_s:
            raise ConfigError("--followers: flat-out replies of no length have no rate; set --tps")


def run(wanted: Wanted, as_json: bool) -> int:
    """Measure and show. Gives the exit code: 1 if any answer was not whole."""
    wanted.refuse_nonsense()
    figures = _with_private_fleet(wanted) if wanted.start else _with_running_fleet(wanted)
    if figures is None:
        return INTERRUPTED
    if as_json:
        out.print(json.dumps(figures), markup=False, soft_wrap=True)
    else:
        show(figures, wanted.what)
    return 1 if count_errors(figures) else 0


def show(figures: dict[str, Any], what: str) -> None:
    """Tables, and the line that sums them up."""
    if crowd := figures.get("followers"):
        for level in crowd["levels"]:
            out.print(report.crowd_table(level, what, crowd["count"]))
        for line in report.crowd_lines(crowd):
            _say(line)
        return
    if told := figures.get("waits"):
        out.print(report.waits_table(told))
        return
    for level in figures["levels"]:
        out.print(report.level_table(level, what))
        _say(report.client_line(level))
        if cpu := level["cpu_ms_per_job"]:
            _say(report.cpu_line("CPU ms per job", cpu))
    if throughput := figures["throughput"]:
        for line in report.throughput_lines(throughput):
            _say(line)
    if memory := figures["memory"]:
        _say(report.memory_line(memory))
    _say(report.summary(figures))


def _say(line: str) -> None:
    out.print(line, markup=False, soft_wrap=True)


def _with_private_fleet(wanted: Wanted) -> dict[str, Any] | None:
    if wanted.upstream:
        _refuse_silence(wanted.upstream)
    usual = waits.SLOTS if wanted.waits else max(_MANY, HEADROOM * max(wanted.streams))
    slots = wanted.slots or usual
    figures: dict[str, Any] = {}

    async def work(prepared: Prepared, supervisor: Supervisor, probes: Probes) -> int:
        meter = meter_of(supervisor)
        if wanted.followers:
            figures.update(await _among_followers(wanted, prepared.api_url, meter))
            return 0
        if wanted.waits:
            figures.update(await _waits(wanted, prepared.api_url, slots))
            return 0
        upstream = wanted.upstream or prepared.facts.servers[MODEL].address
        fleet = Fleet(prepared.api_url, "", "auto")
        figures.update(await measure(wanted, Direct(upstream, MODEL), fleet, meter))
        return 0

    make_room(wanted.followers)
    fleet_of = private_fleet(wanted.upstream, slots, wanted.followers, waiting=wanted.waits)
    with fleet_of as prepared:
        _note("Starting Valkey, router, worker and API …")
        _loop(launch.run(prepared, work, Announcer(quiet=True), verbose=False))
    return figures or None


def _with_running_fleet(wanted: Wanted) -> dict[str, Any] | None:
    runstate.join_running(home(), os.environ)
    url, key = find_api(wanted.api, home())
    model = next((m for m in configuration.load().catalogue.enabled if not m.external), None)
    if model is None:
        raise ConfigError("the configuration has no enabled model with a server of its own")
    upstream = wanted.upstream or model.base_url
    _refuse_silence(upstream)
    if not answering([url]):
        raise NoFleet(url)
    direct = Direct(upstream, model.model or model.name)
    try:
        return _loop(measure(wanted, direct, Fleet(url, key, model.name), Meter()))
    except KeyboardInterrupt:
        return None


def _refuse_silence(upstream: str) -> None:
    if not answering([upstream]):
        raise ConfigError(f"no model server answers at {upstream}/health")


def _loop(work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


async def _among_followers(wanted: Wanted, url: str, meter: Meter) -> dict[str, Any]:
    fleet, still = Fleet(url, "", MODEL), Fleet(url, "", STILL)
    _note(f"{wanted.followers} idle readers: without them, among them, without them again …")
    crowd = Crowd(still)
    figures = await among(fleet, crowd, wanted.followers, wanted.load, wanted.levels, meter)
    fleet.close()
    return {"machine": {"cpus": os.cpu_count()}, "followers": figures}


async def _waits(wanted: Wanted, url: str, slots: int) -> dict[str, Any]:
    jobs = waits.asks(wanted.requests or waits.JOBS, slots, waits.MEAN_S)
    _note(f"{len(jobs)} jobs in {jobs[-1].at_s:.0f} s, {slots} slots for each of two models …")
    told = waits.figures(await waits.measure(url, jobs))
    return {"machine": {"cpus": os.cpu_count()}, "waits": told}


async def measure(wanted: Wanted, direct: Direct, fleet: Fleet, meter: Meter) -> dict[str, Any]:
    """Every level, and the throughput if it was asked for."""
    idle, levels = meter.memory_mb(), []
    for level in wanted.levels:
        _note(f"{level.streams} streams: {level.requests} requests each way …")
        tallies = await compare(direct, fleet, wanted.load, level, meter)
        _complain(direct, fleet, *tallies)
        levels.append(level_figures(level.streams, *tallies))
    throughput = await _throughput(fleet, wanted.seconds, meter) if wanted.throughput else None
    after = meter.memory_mb()
    fleet.close()
    return {
        "machine": {"cpus": os.cpu_count()},
        "levels": levels,
        "throughput": throughput,
        "memory": {r: {"idle_mb": idle[r], "after_mb": after[r]} for r in idle},
    }


async def _throughput(fleet: Target, seconds: float, meter: Meter) -> dict[str, Any]:
    tallies = []
    for load, clients in ((stub_load(1), _MANY), (stub_load(_FLOOD_TOKENS), _FEW)):
        _note(f"{clients} clients, replies of {load.tokens} tokens, flat out …")
        await warm_up(fleet, load, clients)
        async with measured(meter) as tally:
            tally.samples += await closed_loop(fleet, load, clients, seconds)
        _complain(fleet, fleet, tally, Tally())
        tallies.append(tally)
    return throughput_figures(*tallies)


def _complain(direct: Target, fleet: Target, first: Tally, second: Tally) -> None:
    """The first of what went wrong, as it went wrong."""
    for target, tally in ((direct, first), (fleet, second)):
        if errors := tally.errors:
            line = f"{target.name}: {len(errors)} not whole; the first: {errors[0]}"
            err.print(line, style="red", markup=False, soft_wrap=True)


def _note(line: str) -> None:
    err.print(line, style="dim", markup=False, soft_wrap=True)
