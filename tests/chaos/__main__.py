"""Chaos on the whole fleet: `python -m tests.chaos run --seed 1 --seconds 100`.

The exit code is 1 if anything was wrong.
"""

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from tests.chaos import report, scorecard
from tests.chaos.faults import NAMES
from tests.chaos.fleet import Fleet
from tests.chaos.lanes import check_names
from tests.chaos.orders import Mix
from tests.chaos.run import Outcome, Plan, run
from tests.chaos.soak import soak

#: More than 10,000 jobs and 200 faults on two cores: most answers are short.
LONG = Plan(seed=11, seconds=570, rate=18, gap_s=0.3, hang_most_s=12, mix=Mix(sizes=(90, 8, 2)))


def main() -> None:
    """Read the command line and do what it says."""
    options = _options()
    _forget_own_settings()
    failed: bool = options.command(options)
    sys.exit(1 if failed else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    commands = parser.add_subparsers(required=True)
    for name, plan, what in (
        ("run", Plan(), "load and faults, once for each seed"),
        ("long", LONG, "the big figure: over 10,000 jobs and 200 faults"),
    ):
        command = commands.add_parser(name, help=what)
        command.set_defaults(command=_run, plan=plan)
        command.add_argument("--seed", type=int, nargs="+", default=[plan.seed])
        command.add_argument("--seconds", type=float, default=plan.seconds)
        command.add_argument("--rate", type=float, default=plan.rate, help="jobs a second")
        command.add_argument("--gap", type=float, default=plan.gap_s, help="s between faults")
        command.add_argument("--faults", type=_names, default=NAMES, help=", ".join(NAMES))
        command.add_argument("--json", action="store_true")
    command = commands.add_parser("scorecard", help="plain Celery and chat-fleet, side by side")
    command.set_defaults(command=_scorecard)
    command.add_argument("--seed", type=int, default=scorecard.PLAN.seed)
    command.add_argument("--seconds", type=float, default=scorecard.PLAN.seconds)
    command.add_argument("--rate", type=float, default=scorecard.PLAN.rate, help="jobs a second")
    command = commands.add_parser("soak", help="steady load, no faults: does anything grow?")
    command.set_defaults(command=_soak)
    command.add_argument("--seed", type=int, default=31)
    command.add_argument("--seconds", type=float, default=600)
    command.add_argument("--rate", type=float, default=10, help="jobs a second")
    return parser.parse_args()


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    try:
        check_names(names)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return names


def _forget_own_settings() -> None:
    """The fleet under test is configured by its own file alone."""
    for variable in list(os.environ):
        if variable.startswith(("FLEET_", "ANTHROPIC_")) or variable.upper().endswith("_PROXY"):
            del os.environ[variable]


def _run(options: argparse.Namespace) -> bool:
    plan = replace(
        options.plan,
        seconds=options.seconds,
        rate=options.rate,
        gap_s=options.gap,
        faults=options.faults,
    )
    outcomes = [_once(replace(plan, seed=seed)) for seed in options.seed]
    if options.json:
        print(json.dumps([report.as_json(outcome) for outcome in outcomes]))
    else:
        print(*map(report.text, outcomes), report.summary(outcomes), sep="\n")
    return any(outcome.wrong for outcome in outcomes)


def _scorecard(options: argparse.Namespace) -> bool:
    """Wrong is a loss in the fleet, and no loss in plain Celery: then the judge is blind."""
    plan = replace(scorecard.PLAN, seed=options.seed, seconds=options.seconds, rate=options.rate)
    outcomes = scorecard.play(plan, _say)
    print(scorecard.table(outcomes))
    return bool(outcomes["chat-fleet"].wrong) or not outcomes["plain Celery"].wrong


def _soak(options: argparse.Namespace) -> bool:
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        soaked = asyncio.run(soak(Path(folder), options.seed, options.seconds, options.rate, _say))
    print(soaked)
    return soaked.wrong


def _once(plan: Plan) -> Outcome:
    """One run in a folder of its own, which is kept when something was wrong."""
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    outcome = asyncio.run(run(Fleet(folder, plan.mix.deadline_s), plan, _say))
    if outcome.wrong:
        details = json.dumps(report.as_json(outcome), indent=1)
        (folder / "outcome.json").write_text(details, encoding="utf-8")
        _say(f"seed {plan.seed}: {len(outcome.wrong)} wrong; outcome.json and logs: {folder}")
    else:
        shutil.rmtree(folder)
    return outcome


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
