"""The body of `POST /v1/messages`, and the job that it asks for. Pure."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.anthropic.tools import Choice, Tool, chosen, functions
from api.anthropic.turns import Turn, Words, messages
from api.nulls import NullIsNotGiven
from fleet.errors import InvalidRequest
from fleet.overflow import IfBusy
from fleet.request import Bounded, JobRequest, Share, Webhook

#: Fields without a meaning here whose loss nobody notices.
_MARKERS = frozenset({"cache_control", "service_tier"})


class Metadata(BaseModel):
    """Who asks."""

    user_id: Annotated[str, Field(max_length=512)] | None = None


class ThinkingWish(BaseModel):
    """Whether the model shall think before it answers."""

    model_config = ConfigDict(extra="allow")

    type: Literal["enabled", "disabled", "adaptive", "between_tools"]


class Schema(BaseModel):
    """What the answer must look like."""

    type: Literal["json_schema"]
    of: Annotated[dict[str, Any], Field(alias="schema")]


class Output(BaseModel):
    """How the answer is given."""

    model_config = ConfigDict(extra="allow")

    format: Schema | None = None


class MessagesRequest(NullIsNotGiven):
    """The body of `POST /v1/messages`, as far as it means something here."""

    model_config = ConfigDict(extra="allow")

    model: Bounded
    messages: Annotated[list[Turn], Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=1)]
    system: Words = Field(default=[])
    stop_sequences: Annotated[list[str], Field(max_length=16)] = Field(default=[])
    stream: bool = False
    temperature: Annotated[float, Field(ge=0, le=5)] | None = None
    top_p: Share | None = None
    top_k: Annotated[int, Field(ge=0)] | None = None
    tools: list[Tool] = Field(default=[])
    tool_choice: Choice | None = None
    thinking: ThinkingWish | None = None
    output_config: Output | None = None
    metadata: Metadata | None = None
    # The fleet's own: see `JobRequest`, which checks them.
    priority: int = 3
    deadline_s: float | None = None
    start_timeout_s: float | None = None
    conversation_id: str | None = None
    on_disconnect: Literal["continue", "cancel"] | None = None
    if_busy: IfBusy | None = None
    webhook: Webhook | None = None
    cache: bool = True

    @property
    def thinks_aloud(self) -> bool:
        """Whether the answer shows what the model thinks: unless that was switched off."""
        return self.thinking is None or self.thinking.type != "disabled"

    @property
    def ignored(self) -> Iterator[str]:
        """Names of the fields that change nothing."""
        yield from (name for name in self.model_extra or () if name not in _MARKERS)
        for name in ("thinking", "output_config"):
            wish = getattr(self, name)
            yield from (f"{name}.{key}" for key in (wish.model_extra or () if wish else ()))

    def job(self) -> JobRequest:
        """The job that it asks for.

        Raises:
            InvalidRequest: it cannot be had.
        """
        wanted = {
            "model": self.model,
            "messages": messages(self.system, self.messages),
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": self.top_k,
            "stop": self.stop_sequences or None,
            "tools": functions(self.tools) or None,
            **chosen(self.tool_choice, self.tools),
            **self._template(),
            **self._format(),
            "metadata": self._metadata(),
            "priority": self.priority,
            "deadline_s": self.deadline_s,
            "start_timeout_s": self.start_timeout_s,
            "if_busy": self.if_busy,
            "conversation_id": self.conversation_id,
            "webhook": self.webhook,
            "cache": self.cache,
        }
        try:
            return JobRequest.model_validate(wanted)
        except ValidationError as error:
            raise _invalid(error) from None

    def _template(self) -> dict[str, Any]:
        """Templates of models that can think or not read this; others do not mind it."""
        if self.thinking is None or self.thinking.type in ("adaptive", "between_tools"):
            return {}
        return {"chat_template_kwargs": {"enable_thinking": self.thinking.type == "enabled"}}

    def _format(self) -> dict[str, Any]:
        if self.output_config is None or self.output_config.format is None:
            return {}
        schema = {"name": "answer", "schema": self.output_config.format.of}
        return {"response_format": {"type": "json_schema", "json_schema": schema}}

    def _metadata(self) -> dict[str, str]:
        user = self.metadata.user_id if self.metadata else None
        return {"user_id": user} if user else {}


class CountRequest(MessagesRequest):
    """The body of `POST /v1/messages/count_tokens`."""

    max_tokens: Annotated[int, Field(ge=1)] = 1


def _invalid(error: ValidationError) -> InvalidRequest:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    said = first["msg"].removeprefix("Value error, ")
    return InvalidRequest(f"{where}: {said}" if where else said, param=where or None)
