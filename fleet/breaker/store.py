"""The breakers as all processes share them: in Redis, changed by compare-and-set."""

import random
import secrets
from typing import NamedTuple

from fleet import scripts
from fleet.breaker.machine import Event, Rules, State, after
from fleet.line import Line
from fleet.names import BREAKERS_CHANNEL, breaker_key
from fleet.records import store_errors

#: Seconds for which a breaker is remembered after its last change, beyond its longest pause.
TTL_S = 600


class Seen(NamedTuple):
    """A breaker as it stood at a moment of Redis' clock, in milliseconds."""

    state: State
    now: int


class Breakers:
    """Reads and changes breakers."""

    def __init__(self, line: Line, rules: Rules) -> None:
        self.rules = rules
        self._line = line
        self._ttl_s = TTL_S + max(rules.longest_pause_ms, rules.longest_wish_ms) // 1000

    async def read(self, server: str) -> Seen:
        """What is known of a server.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        _, text, now = await self._call(server)
        return Seen(State.from_json(text), now)

    async def change(self, server: str, *events: Event) -> Seen:
        """Let these events happen, in this order; the breaker after them. What another process
        does meanwhile counts as well.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        _, text, now = await self._call(server)
        luck = random.random()  # noqa: S311 - only to spread
        while True:
            before = state = State.from_json(text)
            for event in events:
                state = after(state, event, now, self.rules, luck)
            if state == before:
                return Seen(state, now)
            done, text, now = await self._call(server, text, state.as_json())
            if done:
                return Seen(state, now)

    async def _call(self, server: str, old: str = "", new: str = "") -> tuple[int, str, int]:
        key = breaker_key(server)
        async with store_errors():
            done, text, now = await scripts.BREAKER(
                self._line, [key], [BREAKERS_CHANNEL, secrets.token_hex(8), old, new, self._ttl_s]
            )
        return done, text, int(now)
