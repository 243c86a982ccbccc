"""The Lua scripts of `lua/`: loaded once, called by their hash."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from redis.exceptions import NoScriptError

from fleet.line import Line

_FOLDER = Path(__file__).parent / "lua"


def _read(name: str) -> str:
    return (_FOLDER / f"{name}.lua").read_text(encoding="utf-8")


class Script:
    """One script. `keys` and `args` are in the order that the script's head lists; `more` names
    what it shares with some others, beside what all share.

    When Redis' memory is full no job and no feedback is taken in; jobs that are in go on to
    their ends. Redis reads all of a script at each call, so that the one for tokens carries no more
    than it needs.
    """

    def __init__(self, name: str, *more: str, when_full: bool = True) -> None:
        body = "\n".join(_read(part) for part in ("prelude", *more, name))
        head = "#!lua flags=allow-oom" if when_full else "#!lua"
        self.source = f"{head}\n{body}"
        self.sha = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    async def __call__(
        self, line: Line, keys: Sequence[str], args: Sequence[str | int | float]
    ) -> Any:
        """Run it; a Redis that has forgotten it (restart, failover) is told it again."""
        command = self.command(keys, args)
        try:
            return await line.call(*command)
        except NoScriptError:
            await self.load(line)
            return await line.call(*command)

    def command(
        self, keys: Sequence[str], args: Sequence[str | int | float]
    ) -> tuple[str | int | float, ...]:
        """The command that runs it."""
        return ("EVALSHA", self.sha, len(keys), *keys, *args)

    async def load(self, line: Line) -> None:
        """Tell Redis the script."""
        await line.call("SCRIPT", "LOAD", self.source)


CREATE = Script("create", "sharing", "money", when_full=False)
STAND = Script("stand")
LOOK = Script("look")
TAKE = Script("take", "sharing")
ROUTE = Script("route", "sharing")
ANSWER_AGAIN = Script("answer_again", "sharing")
NOTE_SIMILAR = Script("note_similar", when_full=False)
CLAIM = Script("claim", "sharing")
APPEND = Script("append")
FINISH = Script("finish", "sharing")
HAND_OVER = Script("hand_over", "sharing")
DIVERT = Script("divert", "sharing")
CLOSE = Script("close", "sharing")
DELETE = Script("delete", "sharing")
RENEW = Script("renew", "money")
BEGIN = Script("begin")
PUSH = Script("push")
BEAT = Script("beat")
REAP = Script("reap")
BREAKER = Script("breaker")
RESERVE = Script("reserve", "money")
SETTLE_CALL = Script("settle_call", "money")
READ_BOOK = Script("read_book", "money")
CHARGE = Script("charge")
KEY = Script("key")
GIVE_FEEDBACK = Script("feedback", when_full=False)
TAKE_WEBHOOKS = Script("take_webhooks")
SETTLE_WEBHOOK = Script("settle_webhook")
WAKE_WEBHOOKS = Script("wake_webhooks")
RETRY_WEBHOOK = Script("retry_webhook")
