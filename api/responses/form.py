"""The body of `POST /v1/responses`. Pure."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator

from api.nulls import NullIsNotGiven
from fleet.overflow import IfBusy
from fleet.request import Bounded, Sampling, Webhook

LOGPROBS = "message.output_text.logprobs"

Hint = Annotated[str, Field(max_length=512)] | None


def _text_or_items(value: Any) -> Any:
    if isinstance(value, str) and value:
        return value
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return value
    raise ValueError("must be some text, or a list of items")


class ResponseForm(NullIsNotGiven, Sampling):
    """What a caller may ask for; what we do not know is ignored and named in the answer's head.

    Of `Sampling`, llama-server's own fields work beside OpenAI's.
    """

    model_config = ConfigDict(extra="allow")

    model: Bounded | None = None
    input: Annotated[str | list[dict[str, Any]], BeforeValidator(_text_or_items)]
    instructions: str | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    max_tool_calls: Annotated[int, Field(ge=1)] | None = None
    text: dict[str, Any] | None = None
    reasoning: dict[str, Any] | None = None
    include: list[str] | None = None
    #: Nothing is ever cut off: a conversation goes to a model that can hold it, or fails.
    truncation: Literal["auto", "disabled"] | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    background: bool | None = None
    stream: bool | None = None
    previous_response_id: Annotated[str, Field(max_length=255)] | None = None
    conversation: Any = None
    prompt: Any = None
    #: Hints to OpenAI's own machines; the first three are shown again, no more.
    user: Hint = None
    safety_identifier: Hint = None
    prompt_cache_key: Hint = None
    prompt_cache_retention: Any = None
    prompt_cache_options: Any = None
    service_tier: Any = None
    stream_options: Any = None
    #: The fleet's own; see `JobRequest`.
    priority: Annotated[int, Field(ge=0, le=9)] = 3
    deadline_s: Annotated[float, Field(gt=0)] | None = None
    start_timeout_s: Annotated[float, Field(gt=0)] | None = None
    on_disconnect: Literal["continue", "cancel"] | None = None
    if_busy: IfBusy | None = None
    conversation_id: str | None = None
    webhook: Webhook | None = None
    cache: bool = True

    @field_validator("conversation")
    @classmethod
    def _no_conversations(cls, value: Any) -> Any:
        if value is not None:
            raise ValueError(
                "there are no stored conversations here; go on from a response with "
                "`previous_response_id`, and name the talk with `conversation_id`"
            )
        return value

    @field_validator("prompt")
    @classmethod
    def _no_prompts(cls, value: Any) -> Any:
        if value is not None:
            raise ValueError("there are no stored prompts here; send the words as `input`")
        return value

    @model_validator(mode="after")
    def _background_is_stored(self) -> "ResponseForm":
        if self.background and self.store is False:
            raise ValueError("background: needs `store`; who waits for it must find it again")
        return self

    @property
    def stored(self) -> bool:
        """Whether it can be found again."""
        return self.store is not False

    def ignored(self) -> Iterator[str]:
        """Names of what was asked and does nothing here."""
        yield from self.model_extra or {}
        yield from (f"include.{name}" for name in self.include or () if name != LOGPROBS)
        yield from (f"text.{name}" for name in self.text or {} if name != "format")
        yield from (f"reasoning.{name}" for name in self.reasoning or {} if name != "effort")
