"""The body of a posted job: JSON, whatever `curl -d` calls it."""

from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from fleet.errors import InvalidRequest
from fleet.request import JobRequest

#: What `curl -d`, or a client that says nothing, calls a body that may well be JSON.
MISLABELLED = ("", "application/x-www-form-urlencoded", "text/plain")

#: What the route tells OpenAPI, which cannot see that the body is read by hand.
DESCRIBED: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": JobRequest.model_json_schema()}},
    }
}


async def _posted(request: Request) -> JobRequest:
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
    try:
        return JobRequest.model_validate_json(await request.body())
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_url=False)) from None


def _from_elsewhere(request: Request) -> bool:
    if request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
        return True
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != request.headers.get("host")


Posted = Annotated[JobRequest, Depends(_posted)]
