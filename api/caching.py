"""Whether a post may be answered from the cache, and what it finds there."""

from collections.abc import Mapping
from typing import Any

from api.state import State
from fleet.cache.finding import find
from fleet.cache.kept import Kept
from fleet.cache.key import digest, repeatable
from fleet.callers import Caller
from fleet.catalogue import Catalogue
from fleet.request import JobRequest


async def kept_for(
    state: State,
    caller: Caller,
    request: JobRequest,
    record: Mapping[str, Any],
    catalogue: Catalogue,
) -> Kept | None:
    """What there is of the answer; None where it must come from a model, and is for nobody else.

    Args:
        record: what a backend reads of the request.
        catalogue: the models that may answer.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    rules = state.settings.cache
    if not request.cache or not repeatable(record, rules):
        return None
    owner = "" if rules.shared else caller.name
    return await find(state.ledger, digest(record, request.model, catalogue, owner))
