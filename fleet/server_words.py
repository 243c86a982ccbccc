"""What a llama-server says when it does not answer, in our tree of errors. Pure."""

from typing import Any

from fleet.errors import (
    Barred,
    ContextExceeded,
    ModelError,
    Refused,
    ServerBusy,
    ServerFailed,
    ServerLoading,
)


def error_of(body: Any, status: int, wish_s: float = 0.0) -> ModelError:
    """The error that a llama-server's error body stands for, or one of a server before it.

    `wish_s` is what its head asks us to wait (`Retry-After`); 0: nothing.
    """
    error = body.get("error") if isinstance(body, dict) else None
    error = error if isinstance(error, dict) else {"message": str(error or "")}
    message = str(error.get("message") or f"The model's server answered {status}.")
    kind = error.get("type")
    if kind == "exceed_context_size_error":
        size, room = error.get("n_prompt_tokens"), error.get("n_ctx")
        needs = size if isinstance(size, int) else 0
        return ContextExceeded(
            f"The prompt has {size} tokens, the model's context {room}.", needs=needs
        )
    if "too large to process" in message:  # an embedding's whole input is one batch
        return ContextExceeded(message)
    if status == 503 and "loading" in message.lower():
        return ServerLoading(message)
    if status in (429, 529) or (status == 503 and wish_s):
        return ServerBusy(message, retry_after_s=wish_s or None)
    if status in (401, 403, 404):
        return Barred(f"The model's server answered {status}: {message}")
    if 400 <= status < 500 and status != 408:
        return Refused(message)
    return ServerFailed(message)
