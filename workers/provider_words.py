"""What a provider of models says when it does not answer, in our tree of errors. Pure."""

import re

from fleet.catalogue import Model
from fleet.errors import (
    Barred,
    ContextExceeded,
    ModelError,
    Refused,
    ServerBusy,
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
#: Too many questions, of ours or of everybody's.
BUSY = (429, 529)
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
    wish_s: float = 0.0,
) -> ModelError:
    """The error for an answer with that status, or with an error of that type in a 200.

    `wish_s` is what its head asks us to wait (`Retry-After`); 0: nothing.
    """
    status = STATUS.get(kind, status) if status == 200 else status
    words = f"{kind} {code} {message}".lower()
    said = f"{model.provider} says: {message}" if message else f"{model.provider} answered {status}"
    if status in (401, 403):
        return Barred(f"{said} (the key is in {model.api_key_env})")
    if status == 402 or (status in (400, 429) and any(word in words for word in NO_MONEY)):
        return Barred(f"{said} (the account of {model.api_key_env})")
    if status == 404:
        return Barred(f"{said} (asked for {model.model!r} there)")
    if status == 413 or (status == 400 and any(word in words for word in TOO_LONG)):
        return ContextExceeded(said, needs=_tokens(message))
    if status in (408, 504):
        return ServerStalled(said)
    if status in BUSY or (status == 503 and wish_s):
        told = f"{said} (again in {wish_s:.0f} s)" if wish_s else said
        return ServerBusy(told, retry_after_s=wish_s or None)
    if 400 <= status < 500 and status != 409:
        return Refused(said)
    return ServerFailed(said)


def _tokens(message: str) -> int:
    """How long a prompt was that is too long: the larger one of the figures told; 0: none is."""
    found = (int(figure.replace(",", "")) for figure in _TOKENS.findall(message))
    return max(found, default=0)
