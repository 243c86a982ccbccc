"""What a llama-server must be told more plainly than OpenAI's API has it. Pure."""

from typing import Any


def insisting(request: dict[str, Any]) -> dict[str, Any]:
    """What is laid over a request: asked for the rivals of no token, the server gives no log
    probabilities at all; asked for JSON without a schema, it gives any text.
    """
    more: dict[str, Any] = {}
    if request.get("logprobs"):
        more["top_logprobs"] = request.get("top_logprobs") or 1
    wanted = request.get("response_format") or {}
    if wanted.get("type") == "json_object" and not wanted.get("schema"):
        more["response_format"] = {**wanted, "schema": {"type": "object"}}
    return more
