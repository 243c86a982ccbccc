"""The document at `/openapi.json`: what FastAPI knows of the routes, and what holds for all."""

from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from api.anthropic import fault
from api.guard import OPEN
from api.sse import EventStream
from fleet.errors import (
    AllModelsUnavailable,
    Conflict,
    DeadlineExceeded,
    FleetError,
    FleetFault,
    InvalidRequest,
    ModelError,
    NotFound,
    TooLarge,
    TooManyJobs,
    Unauthorized,
)

Document = dict[str, Any]

#: The errors that any request may meet, and those of requests with a body.
ALWAYS: tuple[type[FleetError], ...] = (InvalidRequest, FleetFault, AllModelsUnavailable)
WITH_BODY: tuple[type[FleetError], ...] = (
    *(NotFound, Conflict, TooLarge, TooManyJobs, ModelError, DeadlineExceeded),
)
STREAM = EventStream.media_type
#: FastAPI's own word for a request that is not valid; ours is a 400.
_THEIRS = ("HTTPValidationError", "ValidationError")

ERROR: Document = {
    "type": "object",
    "description": "The envelope of every error, but for Anthropic's clients.",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string", "description": "What is wrong, and what helps."},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"], "description": "The field at fault."},
                "code": {"type": ["string", "null"], "description": "What machines read."},
                "fault": {"enum": ["caller", "model", "fleet"], "description": "Whose it was."},
                "retry_after_s": {"type": "number"},
            },
        }
    },
}
#: One frame of a stream (`itemSchema`: OpenAPI 3.2).
FRAME: Document = {
    "type": "object",
    "required": ["data"],
    "properties": {
        "id": {"type": "string", "description": "The event's number."},
        "event": {"type": "string", "description": "Its kind."},
        "data": {"type": "string", "description": "JSON."},
        "retry": {"type": "integer"},
    },
}
KEY: Document = {
    "type": "http",
    "scheme": "bearer",
    "description": "A key of the settings or of `fleet keys`. Where there is none, none is needed.",
}
HEADER_KEY: Document = {
    "type": "apiKey",
    "in": "header",
    "name": "x-api-key",
    "description": "The same key, as Anthropic's clients send it.",
}


def install(app: FastAPI) -> None:
    """Serve our document instead of FastAPI's."""

    def openapi() -> Document:
        if app.openapi_schema is None:
            routes = app.routes
            found = get_openapi(
                title=app.title, version=app.version, routes=routes, description=app.description
            )
            app.openapi_schema = completed(found)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def operation_id(route: APIRoute) -> str:
    """An operation is called as its function is."""
    return route.name


def completed(document: Document) -> Document:
    """Errors, keys and shared schemas, in FastAPI's document."""
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for path, operations in document["paths"].items():
        for operation in operations.values():
            operation.setdefault("tags", [_tag(path)])
            schemas |= _taken_out(operation)
            _describe_streams(operation)
            _add_errors(operation, path)
            if path not in OPEN:
                operation["security"] = [{"key": []}, {"x-api-key": []}]
    for name in _THEIRS:
        schemas.pop(name, None)
    schemas |= {"Error": ERROR, "AnthropicError": fault.SCHEMA}
    components["securitySchemes"] = {"key": KEY, "x-api-key": HEADER_KEY}
    return document


def _taken_out(operation: Document) -> Document:
    """The definitions inside the schema of a body, for all to refer to."""
    found: Document = {}
    for content in operation.get("requestBody", {}).get("content", {}).values():
        found |= content.get("schema", {}).pop("$defs", {})
    return found


def _tag(path: str) -> str:
    """`/v1/jobs/{job_id}` is about jobs."""
    about = [part for part in path.split("/") if part not in ("", "v1", "api")]
    return about[0]


def _describe_streams(operation: Document) -> None:
    """Whoever may ask with `stream` is told that the answer may be one."""
    if _may_stream(operation):
        operation["responses"]["200"].setdefault("content", {})[STREAM] = {}
    for response in operation["responses"].values():
        if STREAM in response.get("content", {}):
            response["content"][STREAM] = {"itemSchema": FRAME}


def _may_stream(operation: Document) -> bool:
    queries = (parameter["name"] for parameter in operation.get("parameters", ()))
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return "stream" in queries or "stream" in body.get("schema", {}).get("properties", {})


def _add_errors(operation: Document, path: str) -> None:
    """What a route itself says of a status stays."""
    responses = operation["responses"]
    responses.pop("422", None)
    for error in _errors(operation, path):
        responses.setdefault(str(error.status), _response(error, path))


def _errors(operation: Document, path: str) -> Iterable[type[FleetError]]:
    yield from ALWAYS
    if path not in OPEN:
        yield Unauthorized
    if "{" in path:
        yield NotFound
    if "requestBody" in operation:
        yield from WITH_BODY


def _response(error: type[FleetError], path: str) -> Document:
    name = "AnthropicError" if fault.speaks(path) else "Error"
    schema = {"$ref": f"#/components/schemas/{name}"}
    said = " ".join((error.__doc__ or "").split())
    shown: Document = {"description": said, "content": {"application/json": {"schema": schema}}}
    if error.status in (429, 503):
        seconds = {"schema": {"type": "integer", "minimum": 1}}
        shown["headers"] = {"Retry-After": {"description": "Seconds.", **seconds}}
    return shown
