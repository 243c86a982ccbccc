"""Looking for an answer that was given before, or is being given now; and what came of it."""

from fleet.cache.kept import Kept
from fleet.names import CACHE_COUNTS, cache_key, flight_key
from fleet.records import Records, pairs, store_errors


async def find(records: Records, digest: str) -> Kept:
    """What there is of the answer to a request with this digest (see `fleet.cache.key`).

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    key = cache_key(digest)
    async with store_errors():
        source, leader = await records.line.call("MGET", key, flight_key(digest))
    if source:
        kept = Kept.whole(key, source, await records.read_all(source))
        if kept.source:
            return kept
    return Kept.so_far(key, leader, await records.read_all(leader)) if leader else Kept(key)


async def counts(records: Records) -> dict[str, int]:
    """How requests that may be answered from the cache were answered: `hit`, `semantic`, `shared`
    and `miss`, in jobs; the `prompt_tokens` and `completion_tokens` that no model had to
    work for; `since` when (ms, Redis' clock; 0: nobody has asked yet).

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    async with store_errors():
        raw = pairs(await records.line.call("HGETALL", CACHE_COUNTS))
    names = ("hit", "semantic", "shared", "miss", "prompt_tokens", "completion_tokens", "since")
    return {name: int(raw.get(name, 0)) for name in names}
