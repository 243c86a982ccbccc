"""The Lua scripts of `lua/`: loaded once, called by their hash."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from redis.exceptions import NoScriptError

from fleet.line import Line

_FOLDER = Path(__file__).parent / "lua"
_PRELUDE = (_FOLDER / "prelude.lua").read_text(encoding="utf-8")


class Script:
    """One script. `keys` and `args` are in the order that the script's head lists.

    When Redis' memory is full no job and no feedback is taken in; jobs that are in go on to
    their ends.
    """

    def __init__(self, name: str, *, when_full: bool = True) -> None:
        body = (_FOLDER / f"{name}.lua").read_text(encoding="utf-8")
        head = "#!lua flags=allow-oom" if when_full else "#!lua"
        self.source = f"{head}\n{_PRELUDE}\n{body}"
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


CREATE = Script("create", when_full=False)
STAND = Script("stand")
LOOK = Script("look")
TAKE = Script("take")
ROUTE = Script("route")
CLAIM = Script("claim")
APPEND = Script("append")
FINISH = Script("finish")
HAND_OVER = Script("hand_over")
CLOSE = Script("close")
DELETE = Script("delete")
RENEW = Script("renew")
BEGIN = Script("begin")
PUSH = Script("push")
BEAT = Script("beat")
REAP = Script("reap")
SPEND_CALL = Script("spend_call")
CHARGE = Script("charge")
KEY = Script("key")
GIVE_FEEDBACK = Script("feedback", when_full=False)
TAKE_WEBHOOKS = Script("take_webhooks")
SETTLE_WEBHOOK = Script("settle_webhook")
WAKE_WEBHOOKS = Script("wake_webhooks")
RETRY_WEBHOOK = Script("retry_webhook")
