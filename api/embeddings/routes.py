"""`POST /v1/embeddings`: no job, the answer of a model's server in the same request."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from api.body import described, read_as
from api.closing import Closing
from api.embeddings.form import Embedded, EmbeddingsRequest, embedder
from api.guard import Asking
from api.naming import meant
from api.sse import gone
from api.state import Fleet
from fleet.errors import InvalidRequest, Restarting

if TYPE_CHECKING:
    from api.embeddings.server import Embedder

router = APIRouter()


@router.post("/v1/embeddings", openapi_extra=described(EmbeddingsRequest))
async def create_embeddings(
    request: Request,
    asked: Annotated[EmbeddingsRequest, read_as(EmbeddingsRequest)],
    fleet: Fleet,
    caller: Asking,
) -> Response:
    """Embed some texts; who goes away before the answer gives up its turn."""
    most = fleet.settings.limits.inputs
    if len(asked.input) > most:
        raise InvalidRequest(f"input: at most {most} ([limits] inputs)", param="input")
    name = meant(fleet.settings.api.aliases, asked.model)
    model = embedder(fleet.settings.catalogue.only(caller.models), name)
    asking = fleet.embedders[model.name]
    _check_length(asked, asking)
    left = await fleet.ledger.charge(caller, asked.tokens)
    answer = await _while_there(request, fleet.closing, asking, asked)
    if answer is None:
        return Response(status_code=499)  # nobody is there to read it
    _check_length(asked, asking)
    return StreamingResponse(
        _in_turns(answer.body(model.name, asked.encoding_format)),
        headers={"x-fleet-model": model.name, **left},
        media_type="application/json",
    )


async def _in_turns(body: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The others' streams go on between two parts of a long body."""
    for part in body:
        yield part
        await asyncio.sleep(0)


def _check_length(asked: EmbeddingsRequest, asking: "Embedder") -> None:
    """Vectors are given as they are: a shorter one would be another model's."""
    if asked.dimensions and asking.dimensions not in (0, asked.dimensions):
        raise InvalidRequest(
            f"dimensions: the vectors of {asking.model.name!r} have {asking.dimensions}; "
            "leave it out",
            param="dimensions",
        )


async def _while_there(
    request: Request, closing: Closing, asking: "Embedder", asked: EmbeddingsRequest
) -> Embedded | None:
    """The vectors; None if whoever asked went away first.

    Raises:
        Restarting: this process ends.
    """
    work = asyncio.create_task(asking.embed(asked.input))
    watch = asyncio.create_task(gone(request.receive))
    try:
        ends: set[asyncio.Future[Any]] = {work, watch, closing.told}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return await work
        if closing.begun:
            raise Restarting("This server restarts; ask again.", retry_after_s=1)
        return None
    finally:
        work.cancel()
        watch.cancel()
        await asyncio.gather(work, watch, return_exceptions=True)
