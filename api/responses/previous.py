"""The response before: what a chained request goes on from, and items that one refers to."""

from typing import Any, NamedTuple

from api.lookup import load
from api.responses.asked import Asked
from api.responses.input import kind_of, messages_of
from api.responses.items import input_items, response_of
from api.responses.telling import told_of
from api.state import State
from fleet.callers import Caller
from fleet.errors import Conflict, InvalidRequest, NoSuchPrevious, NoSuchResponse, NotFound
from fleet.job import Job

Table = dict[str, Any]

#: Responses to which the items of one request may refer.
REFERRED_MOST = 20


class Earlier(NamedTuple):
    """What comes before a request's own input."""

    messages: list[Table]
    conversation_id: str


async def find(fleet: State, caller: Caller, named: str) -> Job:
    """The caller's job by the name of a response.

    Raises:
        NoSuchResponse: there is none, or it was not to be stored.
    """
    try:
        job = await load(fleet, caller, named)
    except NotFound:
        raise _none(named) from None
    if not job.stored:
        raise _none(named)
    return job


def _none(named: str) -> NoSuchResponse:
    return NoSuchResponse(f"Response with id '{named[:80]}' not found.")


async def earlier(fleet: State, caller: Caller, named: str | None) -> Earlier:
    """What was said before, without the instructions of then.

    Raises:
        NoSuchPrevious: there is no such response.
        Conflict: it goes on still.
    """
    if not named:
        return Earlier([], "")
    job = await _ended(fleet, caller, named)
    messages = list(job.request["messages"])
    if job.api == "responses" and (job.form or {}).get("instructions"):
        messages = messages[1:]
    answer = [item for item in await _output(fleet, job) if not _half_a_call(item)]
    return Earlier([*messages, *messages_of(answer)], job.conversation_id)


async def _ended(fleet: State, caller: Caller, named: str) -> Job:
    try:
        job = await find(fleet, caller, named)
    except NoSuchResponse:
        raise NoSuchPrevious(
            f"Previous response with id '{named[:80]}' not found.", param="previous_response_id"
        ) from None
    if not job.ended:
        raise Conflict(
            f"previous_response_id: '{named[:80]}' is {job.status} still; wait for its end",
            param="previous_response_id",
        )
    return job


def _half_a_call(item: Table) -> bool:
    return bool(item["type"] == "function_call" and item["status"] != "completed")


async def _output(fleet: State, job: Job) -> list[Table]:
    output: list[Table] = told_of(Asked.of(job), await fleet.ledger.read_all(job.id))["output"]
    return output


async def resolved(fleet: State, caller: Caller, items: list[Table]) -> list[Table]:
    """The items, with what they refer to in place of a reference. An item's id says whose it is.

    Raises:
        InvalidRequest: there is no such item.
    """
    ids = [str(item.get("id")) for item in items if kind_of(item) == "item_reference"]
    responses = {named for item_id in ids if (named := response_of(item_id))}
    if len(responses) > REFERRED_MOST:
        raise InvalidRequest(
            f"input: items of at most {REFERRED_MOST} responses can be referred to; "
            "use previous_response_id",
            param="input",
        )
    known: dict[str, Table] = {}
    for named in responses:
        known |= await _items_of(fleet, caller, named)
    if strange := [item_id for item_id in ids if item_id not in known]:
        raise InvalidRequest(
            f"input: there is no item {strange[0][:80]!r} in a response of yours", param="input"
        )
    return [
        known[str(item.get("id"))] if kind_of(item) == "item_reference" else item for item in items
    ]


async def _items_of(fleet: State, caller: Caller, named: str) -> dict[str, Table]:
    try:
        job = await find(fleet, caller, named)
    except NoSuchResponse:
        return {}
    items = [*input_items(Asked.of(job)), *await _output(fleet, job)]
    return {item["id"]: item for item in items}
