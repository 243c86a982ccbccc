"""`fleet demo`: a fleet, three questions that go three ways, and the end of it."""

import asyncio
from typing import Any

from cli import launch, runstate
from cli.ask import INTERRUPTED, end_message
from cli.client import FleetClient
from cli.follow import ask
from cli.launch import Prepared, Wishes
from cli.outcome import Outcome
from cli.ready import Probes
from cli.screen import Announcer, err, out
from cli.supervisor import Supervisor
from cli.up import disk_cost, show_and_wait
from fleet.home import home

#: Temperature 0: the same answers on every machine, and a tiny model's best ones.
QUESTIONS: tuple[dict[str, Any], ...] = (
    {"message": "Write a haiku about coding", "max_tokens": 48},
    {"message": "What is the weather in Paris?", "max_tokens": 48},
    {
        "message": "Analyze and compare the pros and cons of message queues and direct calls, "
        "step by step",
        "max_tokens": 96,
    },
)


def demo(wishes: Wishes, chosen: str, *, keep: bool, verbose: bool) -> int:
    """Start, ask, show, stop. Gives the exit code."""
    announcer = Announcer(quiet=not verbose)
    announcer.say(f"Configuration: {chosen}")
    where = home()

    async def work(prepared: Prepared, supervisor: Supervisor, probes: Probes) -> int:
        code = await ask_all(prepared)
        return await show_and_wait(prepared, supervisor, probes) if keep else code

    with runstate.only_one(where):
        runstate.end_leftovers(where)
        prepared = launch.prepare(wishes, where)
        announcer.say(disk_cost(prepared))
        announcer.say("Starting Valkey, model servers, router, workers, API and Flower …")
        code = asyncio.run(launch.run(prepared, work, announcer, verbose=verbose))
    announcer.say("Stopped; nothing is left running.")
    return INTERRUPTED if code is None and not keep else code or 0


async def ask_all(prepared: Prepared) -> int:
    """The questions one after the other; 0 if all went well, and each its own way."""
    outcomes = []
    async with FleetClient(prepared.api_url, prepared.settings.api.own_key) as client:
        for question in QUESTIONS:
            out.print(f"\n? {question['message']}", style="bold", markup=False, soft_wrap=True)
            outcomes.append(await ask(client, {**question, "temperature": 0}, out))
    complaint = what_went_wrong(outcomes)
    if complaint:
        err.print(complaint, style="red", markup=False)
    return 1 if complaint else 0


def what_went_wrong(outcomes: list[Outcome]) -> str:
    """Empty if every job ended well and each on another model. Pure."""
    bad = [end_message(outcome) for outcome in outcomes if not outcome.well]
    models = [str(outcome.job.get("model")) for outcome in outcomes]
    if len(set(models)) < len(models):
        bad.append(f"the questions went to {', '.join(models)}, not to one model each")
    return "\n".join(bad)
