"""From a form to the job that it asks for."""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from api.envelope import mistake
from api.responses import tools
from api.responses.form import LOGPROBS, ResponseForm
from api.responses.input import check_calls, messages_of
from fleet.errors import InvalidRequest
from fleet.request import JobRequest, Sampling

Table = dict[str, Any]

#: What an object shows again as it was given.
REPEATED = (
    *("instructions", "max_tool_calls", "previous_response_id", "truncation", "user"),
    *("safety_identifier", "prompt_cache_key"),
)


def job_request(
    form: ResponseForm, items: Sequence[Table], earlier: Sequence[Table], conversation_id: str
) -> JobRequest:
    """What the router and the models read: the instructions, the earlier turns, the new ones.

    Raises:
        InvalidRequest: something in it is wrong; `param` names the field.
    """
    told = [{"role": "system", "content": form.instructions}] if form.instructions else []
    new = messages_of(items)
    check_calls([*earlier, *new])
    fields = _sampling(form) | {
        "messages": [*told, *earlier, *new],
        "model": form.model or "auto",
        "priority": form.priority,
        "deadline_s": form.deadline_s,
        "start_timeout_s": form.start_timeout_s,
        "if_busy": form.if_busy,
        "metadata": form.metadata or {},
        "webhook": form.webhook,
        "cache": form.cache,
        "conversation_id": form.conversation_id or conversation_id or None,
    }
    try:
        return JobRequest.model_validate(fields)
    except ValidationError as error:
        where, why = mistake(dict(error.errors()[0]))
        ours = "input" if where.startswith("messages") or not where else where
        raise InvalidRequest(f"{ours}: {why}", param=ours) from None


def _sampling(form: ResponseForm) -> Table:
    plain = form.model_dump(include=set(Sampling.model_fields), exclude_none=True)
    functions, choice = tools.for_model(form.tools or ()), form.tool_choice
    choice, functions = tools.chosen(choice, functions)
    asks = {
        "tools": functions or None,
        "tool_choice": choice,
        "max_tokens": form.max_output_tokens or form.max_tokens,
        "reasoning_effort": (form.reasoning or {}).get("effort") or form.reasoning_effort,
        "response_format": tools.response_format((form.text or {}).get("format"))
        or form.response_format,
        "logprobs": True if LOGPROBS in (form.include or ()) or form.top_logprobs else None,
    }
    return plain | asks


def form_of(form: ResponseForm, items: Sequence[Table]) -> Table:
    """What the record keeps, beside the request, so that the object can be shown again."""
    kept = {name: getattr(form, name) for name in REPEATED}
    asked_format = (form.text or {}).get("format") or {"type": "text"}
    return {name: value for name, value in kept.items() if value is not None} | {
        "input": list(items),
        "background": bool(form.background),
        "store": form.stored,
        "format": asked_format,
        "tools": [tools.given(tool) for tool in form.tools or ()],
        "tool_choice": form.tool_choice or "auto",
    }
