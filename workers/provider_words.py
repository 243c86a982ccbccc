"""What a provider of models says when it does not answer, in our tree of errors. Pure."""

import re

from fleet.catalogue import Model
from fleet.errors import (
    ContextExceeded,
    ModelError,
    NotServed,
    Refused,
    ServerFailed,
    ServerStalled,
)

#: The status that an error has by its type: in mid-stream there is none.
STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
#: Codes and words for a prompt that is too long, of several providers.
TOO_LONG = (
    "context_length_exceeded",
    "prompt is too long",
    "exceed context limit",
    "maximum context length",
    "exceeds the available context",
)
_TOKENS = re.compile(r"(\d[\d,]{0,12}) tokens")
#: … for an account without money: to wait does not help.
NO_MONEY = ("insufficient_quota", "credit balance", "billing")


def error_of(
    model: Model,
    status: int,
    message: str,
    *,
    kind: str = "",
    code: str = "",
    retry_after: str = "",
) -> ModelError:
    """The error for an answer with that status, or with an error of that type in a 200.

    `retry_after` is the header: whoever reads the error is told; the plan has other models.
    """
    status = STATUS.get(kind, status) if status == 200 else status
    words = f"{kind} {code} {message}".lower()
    said = f"{model.provider} says: {message}" if message else f"{model.provider} answered {status}"
    if status in (401, 403):
        return NotServed(f"{said} (the key is in {model.api_key_env})")
    if status == 402 or (status in (400, 429) and any(word in words for word in NO_MONEY)):
        return NotServed(f"{said} (the account of {model.api_key_env})")
    if status == 404:
        return NotServed(f"{said} (asked for {model.model!r} there)")
    if status == 413 or (status == 400 and any(word in words for word in TOO_LONG)):
        return ContextExceeded(said, needs=_tokens(message))
    if status in (408, 504):
        return ServerStalled(said)
    if 400 <= status < 500 and status not in (409, 429):
        return Refused(said)
    return ServerFailed(f"{said} (again in {retry_after[:40]} s)" if retry_after else said)


def _tokens(message: str) -> int:
    """How long a prompt was that is too long: the larger one of the figures told; 0: none is."""
    found = (int(figure.replace(",", "")) for figure in _TOKENS.findall(message))
    return max(found, default=0)
