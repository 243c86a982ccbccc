"""The envelope of every error: OpenAI's, and in it whose fault it was; or Anthropic's."""

import logging
import math
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from api.anthropic import fault
from fleet.errors import (
    AllModelsUnavailable,
    Conflict,
    FleetError,
    FleetFault,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    TooLarge,
)

log = logging.getLogger(__name__)


def error_response(error: FleetError, path: str = "", status: int = 0) -> JSONResponse:
    """An error as a response, in the form of whoever asks at that path.

    429 and 503 say when to come back, as far as that is known and helps.
    """
    status = status or error.status
    headers = dict(error.headers)
    wait_s = error.retry_after_s
    if wait_s is None and status == 503 and not isinstance(error, AllModelsUnavailable):
        wait_s = 1
    if wait_s is not None and status in (409, 429, 503):
        headers["Retry-After"] = str(max(1, math.ceil(wait_s)))
    if isinstance(error, Conflict):  # the SDKs would send it again, by its status alone
        headers["x-should-retry"] = "false"
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if fault.speaks(path):
        headers |= fault.headers(error)
        return JSONResponse(
            fault.enveloped(error, status, headers["request-id"]), status, headers=headers
        )
    shown = error.body()
    if error.retry_after_s is not None:
        shown["retry_after_s"] = error.retry_after_s
    return JSONResponse({"error": shown}, status, headers=headers)


def install(app: FastAPI, paths: Sequence[str]) -> None:
    """Dress every error of the application in the envelope; `paths` are its endpoints."""
    app.state.paths = paths
    app.add_exception_handler(FleetError, _fleet_error)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)


async def _fleet_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, FleetError)  # noqa: S101 - registered for this class
    return error_response(error, request.url.path)


async def _not_valid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class
    mistakes = [mistake(item) for item in error.errors()]
    first = mistakes[0]
    others = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
    message = f"{first[0]}: {first[1]}{others}" if first[0] else f"{first[1]}{others}"
    return error_response(InvalidRequest(message, param=first[0] or None), request.url.path)


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
    ours = _ours(request, error)
    ours.headers |= error.headers or {}
    return error_response(ours, request.url.path, error.status_code)


def _ours(request: Request, error: HTTPException) -> FleetError:
    """What the framework found wrong, in our tree."""
    path = request.url.path
    if error.status_code == 404:
        return NotFound(f"no such endpoint: {request.method} {path}{_instead(request)}")
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        return MethodNotAllowed(f"{path} takes {allowed}, not {request.method}")
    if error.status_code == 413:
        return TooLarge(str(error.detail))
    return InvalidRequest(str(error.detail))


def _instead(request: Request) -> str:
    """What may have been meant: `/v1` is often forgotten, or said twice."""
    known = request.app.state.paths
    bare = request.url.path.replace("/v1", "")
    near = [path for path in known if path.replace("/v1", "") == bare]
    near = near or get_close_matches(request.url.path, known, n=1, cutoff=0.75)
    return f"; did you mean {near[0]}?" if near else "; /openapi.json lists those there are"


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    log.error("unexpected error on %s %s", request.method, request.url.path, exc_info=error)
    told = FleetFault("Something went wrong here; the log of the API tells more.")
    return error_response(told, request.url.path)
