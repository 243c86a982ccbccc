"""The book of each day in Redis: what calls have cost, and what those under way may cost."""

import json
import time
from typing import Any

from fleet import scripts
from fleet.callers import NANO
from fleet.errors import CapReached
from fleet.line import Line
from fleet.names import BOOK_PREFIX, DECISIONS, HOLDS, book_key, job_key
from fleet.records import pairs, store_errors
from fleet.settings import Settings
from fleet.spend.day import Zone, month_until
from fleet.spend.sheet import (
    ALL,
    Cap,
    Figures,
    Hold,
    Sheet,
    Today,
    What,
    of_model,
    total,
    turns,
    used_up,
)

#: A hold that is not renewed for so many leases of a worker is given back.
HOLD_LEASES = 4
DAY_S = 86_400


class Book:
    """Reservations, and what came of them. Every move is one script and bears repeating."""

    def __init__(self, line: Line, settings: Settings) -> None:
        self._line = line
        self._catalogue, self._spend = settings.catalogue, settings.spend
        self.zone: Zone = settings.spend.zone
        self._hold_ms = int(HOLD_LEASES * settings.workers.lease_s * 1000)
        #: How long a hold's fate is remembered: no job can settle one later, and what nobody is
        #: there to give back is gone from its day's book with the day.
        self._kept_s = max(settings.store.retention_s, DAY_S) + int(settings.limits.deadline_s)
        self._log_size = settings.router.log_size

    @property
    def hold_ms(self) -> int:
        """How long a hold stands without being renewed, in milliseconds."""
        return self._hold_ms

    async def reserve(self, hold: Hold) -> None:
        """Count a call in every scope of its caps, and set its dollars aside.

        Raises:
            CapReached: one of the caps has no room for it; nothing was counted.
        """
        caps = [
            {"scope": cap.scope, "calls": cap.calls, "nano": round(cap.usd * NANO)}
            for cap in hold.caps
        ]
        order = {
            "id": hold.id,
            "nano": round(hold.usd * NANO),
            "caps": caps,
            "hold_ms": self._hold_ms,
            "kept_s": self._kept_s,
            "offset_ms": self._offset_ms(),
        }
        async with store_errors():
            told = await scripts.RESERVE(self._line, [HOLDS, BOOK_PREFIX], [json.dumps(order)])
        if told:
            place, what, used, now = told
            raise _reached(hold, hold.caps[place - 1], what, used, turns(self.zone, now))

    async def settle(
        self, job_id: str, hold: Hold, cost_usd: float | None, *, called: bool = True
    ) -> None:
        """Put the real cost of a call in the place of what was set aside for it; the job's record
        shows the sum of its calls. Only the first settling of a hold changes anything.

        Args:
            job_id: of the job that it was made for.
            hold: as it was reserved; one that was never reserved, or has run out, is counted too.
            cost_usd: None: nothing is known to have been used.
            called: False gives the call back: it was never made.
        """
        order: dict[str, Any] = {
            "id": hold.id,
            "scopes": [cap.scope for cap in hold.caps],
            "called": called,
            "kept_s": self._kept_s,
            "offset_ms": self._offset_ms(),
            "log_size": self._log_size,
        }
        if cost_usd is not None:
            order["nano"] = round(cost_usd * NANO)
        async with store_errors():
            await scripts.SETTLE_CALL(
                self._line, [HOLDS, BOOK_PREFIX, job_key(job_id), DECISIONS], [json.dumps(order)]
            )

    async def today(self, *scopes: str) -> Today:
        """The page of today, or these scopes of it; what has run out is given back before."""
        fields = [f"{scope}:{what}" for scope in scopes for what in Figures.__slots__]
        async with store_errors():
            now, day, flat = await scripts.READ_BOOK(
                self._line, [HOLDS, BOOK_PREFIX], [self._offset_ms(), *fields]
            )
        return Today(int(now), int(day), Sheet.read(pairs(flat)))

    async def used_up(self) -> dict[str, str]:
        """The models of which no call may be made any more today, each with the reason."""
        scopes = [of_model(model.name) for model in self._catalogue.enabled if model.paid]
        if not scopes:
            return {}
        return used_up((await self.today(ALL, *scopes)).sheet, self._catalogue, self._spend)

    async def month(self, day: int) -> Sheet:
        """Everything from the first of that day's month to that day."""
        commands = [("HGETALL", book_key(each)) for each in month_until(day)]
        async with store_errors():
            pages = await self._line.calls(commands)
        return total(Sheet.read(pairs(page)) for page in pages)

    def _offset_ms(self) -> int:
        """Redis' clock tells the day; ours only what the zone's clocks show beside UTC."""
        return self.zone.offset_ms(time.time() * 1000)


def _reached(hold: Hold, cap: Cap, what: What, used: int, turn: str) -> CapReached:
    if what == "usd" and round(cap.usd * NANO) > used:
        left = cap.usd - used / NANO
        return CapReached(
            f"this call may cost ${hold.usd:.6g}, and of {cap.told(what)} ${left:.6g} are left; "
            f"{turn}"
        )
    return CapReached(f"{cap.told(what)} are used up; {turn}")
