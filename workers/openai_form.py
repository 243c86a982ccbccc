"""A request as any API of OpenAI's chat completions takes it. Pure."""

from typing import Any

from fleet.catalogue import Model

#: Fields of OpenAI's own; what llama-server has beside them would be refused.
FIELDS = frozenset(
    {
        *("temperature", "top_p", "seed", "stop", "presence_penalty", "frequency_penalty"),
        *("logit_bias", "logprobs", "top_logprobs", "reasoning_effort", "response_format"),
    }
)
#: Those that are refused where there are no tools.
OF_TOOLS = frozenset({"tools", "tool_choice", "parallel_tool_calls"})


def to_completion(request: dict[str, Any], model: Model) -> dict[str, Any]:
    """The body for a request as `JobRequest.for_model` writes it; always asked to stream."""
    fields = FIELDS | OF_TOOLS if request.get("tools") else FIELDS
    wanted = request.get("max_tokens") or model.max_tokens
    return {
        **{name: value for name, value in request.items() if name in fields},
        "model": model.model,
        "messages": [_message(message) for message in request["messages"]],
        model.length_field: min(wanted, model.max_tokens),
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def _message(message: dict[str, Any]) -> dict[str, Any]:
    """A turn; `developer` is a word that only OpenAI knows, and `system` means the same there."""
    return {**message, "role": "system"} if message["role"] == "developer" else message
