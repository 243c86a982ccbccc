"""Keys that are made and revoked while the fleet runs: kept in Redis, as digests only."""

import json
import secrets
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from fleet.callers import Caller
from fleet.line import Line
from fleet.names import KEY_DIGESTS, KEYS
from fleet.records import pairs, store_errors
from fleet.scripts import KEY

#: What every key of ours begins with: others are not looked up.
PREFIX = "fleet-"
#: Random bytes of a key.
ENTROPY = 24
#: Characters of a key that are kept, to tell it from others: the prefix and 24 of its 192 bits.
SHOWN = len(PREFIX) + 4


@dataclass(frozen=True, slots=True)
class Key:
    """What is kept of a key."""

    caller: Caller
    #: How the key begins.
    begins: str
    #: Milliseconds of Redis' clock.
    created_at: int
    digest: str

    def as_dict(self) -> dict[str, Any]:
        """The key as `--json` shows it."""
        return {"name": self.caller.name, **limits_of(self.caller)} | {
            "begins": self.begins,
            "created_at": self.created_at,
        }


def limits_of(caller: Caller) -> dict[str, Any]:
    """What a key allows; 0, and no models: no limit."""
    return {
        "models": list(caller.models),
        "rpm": caller.rpm,
        "tpm": caller.tpm,
        "concurrent": caller.concurrent,
        "budget_usd": caller.budget_usd,
        "paid_calls": caller.paid_calls,
    }


def digest_of(key: str | bytes) -> str:
    """By which a key is known."""
    return sha256(key.encode() if isinstance(key, str) else key).hexdigest()


class Keys:
    """The keys in Redis."""

    def __init__(self, line: Line) -> None:
        self._line = line

    async def create(self, caller: Caller) -> str | None:
        """Make a key; it is told this once. None if the name has one already."""
        key = PREFIX + secrets.token_urlsafe(ENTROPY)
        digest = digest_of(key)
        record = json.dumps({**limits_of(caller), "begins": key[:SHOWN], "digest": digest})
        async with store_errors():
            made = await KEY(self._line, [KEYS, KEY_DIGESTS], [caller.name, record, digest])
        return key if made else None

    async def revoke(self, name: str) -> bool:
        """Forget the key of that name; False if there is none."""
        async with store_errors():
            return bool(await KEY(self._line, [KEYS, KEY_DIGESTS], [name, "", ""]))

    async def get(self, name: str) -> Key | None:
        """The key of that name, or None."""
        async with store_errors():
            record = await self._line.call("HGET", KEYS, name)
        return _read(name, record) if record else None

    async def find(self, digest: str) -> Caller | None:
        """Whose key has that digest, or None."""
        async with store_errors():
            name = await self._line.call("HGET", KEY_DIGESTS, digest)
        key = await self.get(name) if name else None
        return key.caller if key and key.digest == digest else None

    async def all(self) -> list[Key]:
        """Every key, by name."""
        async with store_errors():
            records = pairs(await self._line.call("HGETALL", KEYS))
        return [_read(name, record) for name, record in sorted(records.items())]

    async def count(self) -> int:
        """How many there are."""
        async with store_errors():
            number: int = await self._line.call("HLEN", KEYS)
        return number


def _read(name: str, record: str) -> Key:
    raw = json.loads(record)
    caller = Caller(
        name,
        tuple(raw["models"]),
        raw["rpm"],
        raw["tpm"],
        raw["concurrent"],
        raw["budget_usd"],
        raw.get("paid_calls", 0),  # a key that was made when there was no such limit
    )
    return Key(caller, raw["begins"], raw["at"], raw["digest"])
