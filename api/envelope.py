"""The one envelope of every error: OpenAI's, and in it whose fault it was."""

import logging
import math
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from fleet.errors import (
    Conflict,
    DeadlineExceeded,
    FleetError,
    FleetFault,
    InvalidRequest,
    JobCancelled,
    MethodNotAllowed,
    NotFound,
    TooLarge,
)

log = logging.getLogger(__name__)

#: The same request would end as this one, or nobody wants it any more. OpenAI's and Anthropic's
#: SDKs would send it again, by its status alone.
FINAL = (Conflict, DeadlineExceeded, JobCancelled)


def error_response(error: FleetError) -> JSONResponse:
    """An error as a response; 429 and 503 say when to come back, as far as that is known."""
    headers = dict(error.headers)
    shown = error.body()
    if error.retry_after_s is not None:
        shown["retry_after_s"] = error.retry_after_s
    wait_s = 1 if error.retry_after_s is None and error.status == 503 else error.retry_after_s
    if wait_s is not None and error.status in (409, 429, 503):
        headers["Retry-After"] = str(max(1, math.ceil(wait_s)))
    if isinstance(error, FINAL):
        headers["x-should-retry"] = "false"
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"error": shown}, error.status, headers=headers)


def install(app: FastAPI) -> None:
    """Dress every error of the application in the envelope."""
    app.add_exception_handler(FleetError, _fleet_error)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)


async def _fleet_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, FleetError)  # noqa: S101 - registered for this class
    return error_response(error)


async def _not_valid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class
    mistakes = [mistake(item) for item in error.errors()]
    first = mistakes[0]
    others = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
    message = f"{first[0]}: {first[1]}{others}" if first[0] else f"{first[1]}{others}"
    return error_response(InvalidRequest(message, param=first[0] or None))


def mistake(item: dict[str, Any]) -> tuple[str, str]:
    """Where a validation error is, in the caller's own words, and what is wrong there."""
    path = [part for part in item["loc"] if part not in ("body", "query", "path", "header")]
    if item["type"] == "json_invalid":
        reason = item.get("ctx", {}).get("error", "")
        return "", f"the body is not valid JSON: {reason}"
    where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".")
    if item["type"] == "extra_forbidden":
        return where, "no such field here"
    if item["type"] == "model_type" and not where:
        return "", "the body must be a JSON object"
    return where, item["msg"].removeprefix("Value error, ")


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class
    if error.status_code == 404:
        shown = NotFound(f"no such endpoint: {request.method} {request.url.path}").as_dict()
    elif error.status_code == 405:
        shown = MethodNotAllowed(
            f"{request.url.path} takes {(error.headers or {}).get('Allow', 'another method')}, "
            f"not {request.method}"
        ).as_dict()
    elif error.status_code == 413:
        shown = TooLarge(str(error.detail)).as_dict()
    else:
        shown = InvalidRequest(str(error.detail)).as_dict()
    return JSONResponse({"error": shown}, error.status_code, headers=error.headers)


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    log.error("unexpected error on %s %s", request.method, request.url.path, exc_info=error)
    return error_response(FleetFault("Something went wrong here; the log of the API tells more."))
