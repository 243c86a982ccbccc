"""`fleet bench --waits`: is what a job is told of its wait what comes true?

Two callers post jobs of very different lengths, faster than they can be served, half of them by
the name of a model and half to `auto`; the lines grow, and drain when all are posted. What each
202 said, and what the router said when it had chosen the model, is held against the real wait.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import httpx

from cli.bench.load import SEED

#: Two callers: who posts most, and who posts less.
KEYS = {"crowd": "crowd-of-the-benchmark", "single": "single-of-the-benchmark"}
CROWD_SHARE = 0.6
#: The model of easy questions, and that of hard ones.
EASY, HARD = "bench", "deep"
QUESTIONS = {
    EASY: "Hello! How are you today?",
    HARD: "Prove step by step that the square root of 2 is irrational.",
}
#: Jobs come so much faster than they are served.
LOAD = 1.3
#: Shorter waits are over before anybody looks at the prediction.
WORTH_TELLING_S = 1.0
#: What a job takes on average, in seconds, where nobody says otherwise; and how many there are.
MEAN_S, JOBS, SLOTS = 0.5, 400, 3


@dataclass(frozen=True, slots=True)
class Ask:
    """One job: when it is posted, by whom, for whom, and how long it takes."""

    at_s: float
    caller: str
    model: str
    named: bool
    takes_s: float

    def body(self) -> dict[str, Any]:
        """The body of its post."""
        how = f"[[stub n=1 ttft={self.takes_s * 1000:.0f}]]"
        question = QUESTIONS[self.model]
        turns = [{"role": "system", "content": how}, {"role": "user", "content": question}]
        return {"messages": turns, "model": self.model if self.named else "auto"}


@dataclass(frozen=True, slots=True)
class Waited:
    """What a job was told of its wait, by the 202 and by the router, and what came true."""

    ask: Ask
    told_s: float | None
    routed_s: float | None
    real_s: float

    def error(self, told_s: float | None) -> float | None:
        """By what part of the real wait a prediction was too long (below 0: too short); None: of
        no interest, or there was none.
        """
        if told_s is None or max(told_s, self.real_s) < WORTH_TELLING_S:
            return None
        return (told_s - self.real_s) / max(self.real_s, 1e-3)


def asks(count: int, slots: int, mean_s: float) -> list[Ask]:
    """The same in every run: exponential gaps, exponential lengths, both models alike."""
    chance, at_s, found = random.Random(SEED), 0.0, []  # noqa: S311 - no secret is made of it
    for _ in range(count):
        at_s += chance.expovariate(LOAD * 2 * slots / mean_s)
        caller = "crowd" if chance.random() < CROWD_SHARE else "single"
        model, named = chance.choice((EASY, HARD)), chance.random() < 0.5
        found.append(Ask(at_s, caller, model, named, 0.02 + chance.expovariate(1 / mean_s)))
    return found


def config_text(upstream: str, slots: int) -> str:
    """The configuration: two models on one stub, and a key for each caller."""
    keys = ", ".join(f'{name} = "{key}"' for name, key in KEYS.items())
    entries = "".join(
        f'\n[[models]]\nname = "{name}"\nurl = "{upstream}"\nslots = {slots}\nroles = {roles}\n'
        for name, roles in ((EASY, ["fast", "tool"]), (HARD, ["large"]))
    )
    return f"[api]\nport = 0\nkeys = {{ {keys} }}\n{entries}"


async def measure(url: str, jobs: Sequence[Ask]) -> list[Waited]:
    """Post all of them at their times; wait for their ends."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        base_url=url, timeout=60, limits=limits, trust_env=False
    ) as client:
        began = time.perf_counter()
        return await asyncio.gather(*(_one(client, began, ask) for ask in jobs))


async def _one(client: httpx.AsyncClient, began: float, ask: Ask) -> Waited:
    head = {"Authorization": f"Bearer {KEYS[ask.caller]}"}
    await asyncio.sleep(max(0.0, ask.at_s - (time.perf_counter() - began)))
    posted = (await client.post("/v1/jobs", json=ask.body(), headers=head)).raise_for_status()
    told = posted.json()
    while True:
        reply = await client.get(told["urls"]["self"], params={"wait": 30}, headers=head)
        job = reply.raise_for_status().json()
        if job["finished_at"]:
            break
    real_s = (job["started_at"] - job["created_at"]) / 1000
    return Waited(ask, told["predicted_wait_s"], job["predicted_wait_s"], real_s)


def figures(waited: Sequence[Waited]) -> dict[str, Any]:
    """The errors, of all jobs and of some."""
    parts: dict[str, Callable[[Waited], bool]] = {
        "all": lambda _: True,
        "named": lambda one: one.ask.named,
        "auto": lambda one: not one.ask.named,
        "crowd": lambda one: one.ask.caller == "crowd",
        "single": lambda one: one.ask.caller == "single",
    }
    return {name: _figures([one for one in waited if of(one)]) for name, of in parts.items()}


def _figures(waited: Sequence[Waited]) -> dict[str, Any]:
    return {
        "jobs": len(waited),
        "waited": sum(one.real_s >= WORTH_TELLING_S for one in waited),
        "longest_s": round(max((one.real_s for one in waited), default=0.0), 3),
        "posted": _errors([one.error(one.told_s) for one in waited]),
        "routed": _errors([one.error(one.routed_s) for one in waited]),
    }


def _errors(errors: Sequence[float | None]) -> dict[str, Any]:
    signed = [error for error in errors if error is not None]
    if not signed:
        return {"predicted": 0, "bias": None, "median": None, "p90": None}
    sizes = sorted(map(abs, signed))
    told = {"bias": median(signed), "median": median(sizes), "p90": sizes[len(sizes) * 9 // 10]}
    return {"predicted": len(signed)} | {name: round(value, 3) for name, value in told.items()}
