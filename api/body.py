"""The body of a post: JSON, whatever `curl -d` calls it."""

import json
from difflib import get_close_matches
from typing import Any, TypeVar
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from fleet.errors import InvalidRequest

T = TypeVar("T", bound=BaseModel)

#: What `curl -d`, or a client that says nothing, calls a body that may well be JSON.
MISLABELLED = ("", "application/x-www-form-urlencoded", "text/plain")


def described(form: type[BaseModel]) -> dict[str, Any]:
    """What a route tells OpenAPI, which cannot see that the body is read by hand."""
    schema = form.model_json_schema(ref_template="#/components/schemas/{model}")
    content = {"application/json": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}


def read_as(form: type[T]) -> Any:
    """The dependency that reads a route's body: `Annotated[Form, read_as(Form)]`."""

    async def posted(request: Request) -> T:
        return await _read(request, form)

    return Depends(posted)


async def _read(request: Request, form: type[T]) -> T:
    """Read and check the body.

    A browser sends mislabelled types across sites without asking; what it says of itself
    in `Sec-Fetch-Site` and `Origin` keeps other sites' pages out.
    """
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if declared in MISLABELLED:
        if _from_elsewhere(request):
            raise InvalidRequest("send Content-Type: application/json from another site")
    elif declared != "application/json" and not declared.endswith("+json"):
        raise InvalidRequest(f"Content-Type: must be application/json, not {declared}")
    body = await request.body()
    try:
        return form.model_validate_json(body)
    except ValidationError as error:
        mistakes = error.errors(include_url=False)
        if mistakes[0]["type"] != "json_invalid":
            told = json.loads(body)
            mistakes = [misspelt(told, within(told, item), form) for item in mistakes]
        raise RequestValidationError(mistakes) from None


def misspelt(body: Any, mistake: Any, form: type[BaseModel]) -> Any:
    """A mistake with the field that may stand for one that is missing."""
    if mistake["type"] != "missing" or len(mistake["loc"]) != 1 or not isinstance(body, dict):
        return mistake
    unknown = [name for name in body if name not in form.model_fields]
    near = get_close_matches(str(mistake["loc"][0]), unknown, n=1)
    return {**mistake, "msg": f"{mistake['msg']}; is {near[0]!r} meant?"} if near else mistake


def within(body: Any, mistake: Any) -> Any:
    """A mistake with the place where the caller has made it. Where several types were tried,
    pydantic names those, too.
    """
    place: list[str | int] = []
    for part in mistake["loc"]:
        there = isinstance(body, dict) and part in body
        if there or (isinstance(body, list) and isinstance(part, int)):
            body = body[part]
        elif not isinstance(body, dict) or mistake["type"] != "missing":
            continue
        place.append(part)
    return {**mistake, "loc": tuple(place)}


def _from_elsewhere(request: Request) -> bool:
    if request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
        return True
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != request.headers.get("host")
