"""How many tries each host has at once, and when one that found no room comes back.

A receiver that hangs must not take all the room from the others, and what waits for it must
not be looked at again and again: each gets a time at which, as things went so far, there is room.
"""

import random
from collections import Counter

#: Seconds: the nearest time to come back; the farthest, beyond which nobody plans.
SOONEST_S, FARTHEST_S = 0.5, 60.0
#: Seconds that a try takes, as long as a host has shown nothing else.
USUAL_S = 0.1


class Hosts:
    """The tries of one process, by host."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._trying = Counter[str]()
        #: Seconds that a try at each host took lately, and the last time that was given away.
        self._pace: dict[str, float] = {}
        self._given: dict[str, float] = {}

    def begin(self, host: str, now: float) -> float | None:
        """Begin a try; or, where the host has all that it may, seconds until there is room."""
        if self._trying[host] < self._most:
            self._trying[host] += 1
            return None
        spacing = self._pace.get(host, USUAL_S) / self._most
        at = max(now + SOONEST_S, self._given.get(host, 0.0) + spacing)
        if at > now + FARTHEST_S:
            return FARTHEST_S * random.uniform(0.5, 1.0)  # noqa: S311 - only to spread
        self._given[host] = at
        return at - now

    def end(self, host: str, took_s: float) -> None:
        """A try has ended. A host at which none is left is forgotten."""
        self._pace[host] = (self._pace.get(host, took_s) + took_s) / 2
        self._trying[host] -= 1
        if not self._trying[host]:
            for kept in (self._trying, self._pace, self._given):
                kept.pop(host, None)
