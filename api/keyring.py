"""The keys in Redis as this process knows them: looked up, and believed for a second."""

import asyncio
import time
from collections import OrderedDict
from contextlib import suppress

from fleet.callers import Caller
from fleet.errors import StoreUnavailable
from fleet.keys import PREFIX, Keys, digest_of

#: Seconds for which an answer of Redis is believed: a revoked key may open so long.
BELIEVED_S = 1.0
#: Keys that are remembered; those used longest ago are forgotten first.
MOST = 10_000


class Keyring:
    """Whose key it is. A key that is not known is asked for each time."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        #: By digest: whose it is, and until when that is believed.
        self._found: OrderedDict[str, tuple[Caller, float]] = OrderedDict()
        #: Whether there was any key so far; None: nobody has looked yet.
        self.any_seen: bool | None = None

    async def caller(self, key: bytes) -> Caller | None:
        """Whose key it is, or None.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        if not key.startswith(PREFIX.encode()):
            return None
        digest, now = digest_of(key), time.monotonic()
        known = self._found.get(digest)
        if known and known[1] > now:
            return known[0]
        self._found.pop(digest, None)
        caller = await self._keys.find(digest)
        if caller:
            self._found[digest] = caller, now + BELIEVED_S
            if len(self._found) > MOST:
                self._found.popitem(last=False)
        return caller

    async def any(self) -> bool:
        """Whether there is any key. Once there was one the door stays shut while this process
        lives: to revoke the last key lets nobody in.

        Raises:
            StoreUnavailable: that is not known yet, and Redis does not answer.
        """
        if self.any_seen is None:
            self.any_seen = await self._keys.count() > 0
        return self.any_seen

    async def watch(self) -> None:
        """Look for the first key, beside the requests: none of them waits for it."""
        while not self.any_seen:
            await asyncio.sleep(BELIEVED_S / 2)
            with suppress(StoreUnavailable):
                self.any_seen = await self._keys.count() > 0
