"""Errors in Anthropic's envelope. Pure."""

import secrets
from typing import Any

from fleet.errors import FleetError

PATH = "/v1/messages"

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "An error in Anthropic's envelope.",
    "required": ["type", "error", "request_id"],
    "properties": {
        "type": {"const": "error"},
        "error": {
            "type": "object",
            "required": ["type", "message"],
            "properties": {
                "type": {"type": "string"},
                "message": {"type": "string", "description": "What is wrong, and what helps."},
            },
        },
        "request_id": {"type": "string"},
    },
}


def speaks(path: str) -> bool:
    """Whether who asks there understands this envelope."""
    return path == PATH or path.startswith(f"{PATH}/")


def kind(status: int) -> str:
    """Anthropic's word for an error of that status."""
    return _TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")


def enveloped(error: FleetError, status: int, request_id: str) -> dict[str, Any]:
    """The error as the body of a response, or the data of an `error` event."""
    told = {"type": kind(status), "message": error.message, **error.more}
    return {"type": "error", "error": told, "request_id": request_id}


def headers(error: FleetError) -> dict[str, str]:
    """What its SDKs read beside the envelope: the request's name."""
    return {"request-id": error.headers.get("x-fleet-job-id") or f"req_{secrets.token_hex(12)}"}
