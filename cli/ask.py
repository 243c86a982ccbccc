"""`fleet ask`: one question, its answer as it comes."""

import asyncio
import sys
from typing import Any

from cli.client import FleetClient, find_api
from cli.follow import ask
from cli.outcome import Outcome
from cli.screen import err, out, print_json
from cli.wording import untold
from fleet.errors import InvalidRequest
from fleet.home import home

INTERRUPTED = 130


def run(text: str, wishes: dict[str, Any], url: str | None, as_json: bool) -> int:
    """Ask and show; `wishes` are fields of the body, None: not given. Gives the exit code."""
    body = {"message": _words(text)} | {k: v for k, v in wishes.items() if v is not None}
    try:
        outcome = asyncio.run(_ask(body, url, as_json))
    except KeyboardInterrupt:
        err.print("\ncancelled")
        return INTERRUPTED
    if as_json:
        print_json(outcome.as_dict())
    if not outcome.well and not as_json:
        err.print(end_message(outcome), style="red", markup=False, soft_wrap=True)
    return 0 if outcome.well else 1


async def _ask(body: dict[str, Any], url: str | None, silent: bool) -> Outcome:
    async with FleetClient(*find_api(url, home())) as client:
        return await ask(client, body, out, silent=silent)


def _words(text: str) -> str:
    words = sys.stdin.read() if text == "-" else text
    if not words.strip():
        raise InvalidRequest("there is nothing to ask: the text is empty")
    return words


def end_message(outcome: Outcome) -> str:
    """Why a job did not complete. Pure."""
    if outcome.status == "cancelled":
        return outcome.status
    error = outcome.job.get("error") or outcome.end.get("error") or {}
    reason = str(error.get("message") or outcome.end.get("reason") or "no reason was given")
    tried = [f"  {failure}" for failure in untold(outcome.job.get("tried"), reason)]
    return "\n".join([f"{outcome.status}: {reason}", *tried])
