"""What a caller may ask for and say: the bodies of posts, checked and bounded.

Only the fields named here reach a model server; anything else in a request is
refused by name, so that no caller can steer a server by a field nobody thought of.
"""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from fleet.overflow import IfBusy

Role = Literal["system", "developer", "user", "assistant", "tool"]


class Message(BaseModel):
    """One turn of the conversation, in OpenAI's form."""

    model_config = ConfigDict(extra="forbid")

    role: Role
    content: str | list[dict[str, Any]] | None = None
    name: Annotated[str, Field(max_length=64)] | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: Annotated[str, Field(max_length=128)] | None = None

    @field_validator("tool_calls")
    @classmethod
    def _arguments_are_json(cls, calls: list[dict[str, Any]] | None) -> Any:
        for call in calls or ():
            _check_call(call)
        return calls

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.role == "assistant" and self.tool_calls:
            return self
        if self.role == "tool" and self.content == "":
            return self  # a tool may have nothing to say
        if self.content is None or self.content in ("", []):
            raise ValueError("content must not be empty")
        for part in self.content if isinstance(self.content, list) else ():
            _check_part(part)
        return self

    @property
    def text(self) -> str:
        """The words of the turn, without images and other parts."""
        return text_of(self.content)


def _check_call(call: dict[str, Any]) -> None:
    """A server fails where the arguments of an earlier call are no JSON; so do all others."""
    function = call.get("function")
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise ValueError("a call must be {id, type: function, function: {name, arguments}}")
    try:
        json.loads(function.get("arguments") or "{}")
    except (ValueError, TypeError):
        name = function["name"][:64]
        raise ValueError(f"the arguments of {name!r} must be JSON, as text") from None


def _check_part(part: dict[str, Any]) -> None:
    """Text, or an image that is in the request itself: no server fetches an address for us."""
    if part.get("type") == "text" and isinstance(part.get("text"), str):
        return
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, dict) else None
    if part.get("type") == "image_url" and str(url).startswith("data:image/"):
        return
    raise ValueError(
        "a part must be {type: text, text} or {type: image_url, image_url: {url: data:image/…}}"
    )


def has_images(request: Mapping[str, Any]) -> bool:
    """Whether a record's request shows a picture."""
    contents = (message.get("content") for message in request.get("messages") or ())
    parts = (part for content in contents if isinstance(content, list) for part in content)
    return any(isinstance(part, dict) and part.get("type") == "image_url" for part in parts)


def text_of(content: Any) -> str:
    """The words of a message's `content`: a string, or a list of parts with `text`."""
    if isinstance(content, str):
        return content
    parts = content or ()
    return "\n".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))


def last_user_turn(request: Mapping[str, Any]) -> str:
    """The words of the last user turn of a record's request; empty if it is only a picture."""
    turns = [m for m in request.get("messages") or () if m.get("role") == "user"]
    return text_of(turns[-1].get("content")) if turns else ""


Bounded = Annotated[str, Field(max_length=512)]
VISIBLE = re.compile(r"[!-~]+")


Share = Annotated[float, Field(ge=0, le=1)]
Factor = Annotated[float, Field(ge=0, le=100)]
#: Tokens to look back on; -1: the whole context.
Window = Annotated[int, Field(ge=-1, le=1_048_576)]


class Sampling(BaseModel):
    """How the model picks its words: the fields of OpenAI's chat completions, and those that
    llama-server has beside them.
    """

    model_config = ConfigDict(extra="forbid")

    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=5)] | None = None
    top_p: Share | None = None
    top_k: Annotated[int, Field(ge=0)] | None = None
    min_p: Share | None = None
    typical_p: Share | None = None
    top_n_sigma: Annotated[float, Field(ge=-1, le=100)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: str | Annotated[list[str], Field(max_length=16)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    repeat_penalty: Annotated[float, Field(ge=0, le=5)] | None = None
    repeat_last_n: Window | None = None
    dry_multiplier: Factor | None = None
    dry_base: Factor | None = None
    dry_allowed_length: Window | None = None
    dry_penalty_last_n: Window | None = None
    xtc_probability: Share | None = None
    xtc_threshold: Share | None = None
    dynatemp_range: Factor | None = None
    dynatemp_exponent: Factor | None = None
    mirostat: Annotated[int, Field(ge=0, le=2)] | None = None
    mirostat_tau: Factor | None = None
    mirostat_eta: Factor | None = None
    logit_bias: (
        Annotated[dict[str, Annotated[float, Field(ge=-100, le=100)]], Field(max_length=1_024)]
        | None
    ) = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    reasoning_effort: Annotated[str, Field(max_length=32)] | None = None
    #: What the model's chat template takes, such as `{"enable_thinking": false}`.
    chat_template_kwargs: dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Literal["none", "auto", "required"] | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None


class WebhookTable(BaseModel):
    """A webhook as a table."""

    model_config = ConfigDict(extra="forbid")

    url: str


def _url_of(given: Any) -> Any:
    return WebhookTable.model_validate(given).url if isinstance(given, dict) else given


#: A URL, in a table or alone; `fleet.webhooks.target` says which may be used.
Webhook = Annotated[str, BeforeValidator(_url_of, json_schema_input_type=str | WebhookTable)]


class JobRequest(Sampling):
    """The body of `POST /v1/jobs`."""

    messages: list[Message] = []
    #: Shorthand for one user message (after `messages`, when both are given).
    message: str | None = None
    #: `auto`, or the name of a model or of a role.
    model: Bounded = "auto"
    #: 0 is served first, 9 last.
    priority: Annotated[int, Field(ge=0, le=9)] = 3
    #: Seconds from now after which nobody wants the answer.
    deadline_s: Annotated[float, Field(gt=0)] | None = None
    #: Seconds from now after which the job is given up if nobody has begun it.
    start_timeout_s: Annotated[float, Field(gt=0)] | None = None
    #: Whether the job goes on when the reader of its stream goes away.
    on_disconnect: Literal["continue", "cancel"] = "continue"
    #: What becomes of it if its model would keep it waiting; None: as the settings say.
    if_busy: IfBusy | None = None
    metadata: dict[str, str] = {}
    #: The caller's own name of the conversation, the same for each of its turns.
    conversation_id: str | None = None
    #: URL that is told of the job's end, or `{url}`.
    webhook: Webhook | None = None
    #: Whether an answer that was given before will do, and this one may be given again.
    cache: bool = True

    @field_validator("top_logprobs")
    @classmethod
    def _of_logprobs(cls, value: int | None, info: ValidationInfo) -> int | None:
        if info.data.get("logprobs"):
            return value
        if value:
            raise ValueError("set logprobs to true beside it")
        return None  # a llama-server refuses even a 0 without logprobs

    @field_validator("tools")
    @classmethod
    def _not_beside_logprobs(cls, value: Any, info: ValidationInfo) -> Any:
        if value and info.data.get("logprobs"):
            raise ValueError("not together with logprobs: a llama-server streams one or the other")
        return value

    @field_validator("tool_choice")
    @classmethod
    def _has_something_to_choose(cls, choice: Any, info: ValidationInfo) -> Any:
        if choice is None or info.data.get("tools", True):
            return choice
        if choice in ("none", "auto"):
            return None  # some send it always
        raise ValueError("there are no tools to choose from")

    @field_validator("conversation_id")
    @classmethod
    def _is_visible(cls, value: str | None) -> str | None:
        if value is not None and not VISIBLE.fullmatch(value):
            raise ValueError("use 1 or more visible characters of ASCII, none of them a space")
        return value

    @model_validator(mode="after")
    def _has_a_last_word(self) -> Self:
        if self.message is not None and not self.message.strip():
            raise ValueError("message must not be empty")
        if not self.messages and self.message is None:
            raise ValueError("give `messages` (a list of turns) or `message` (one user turn)")
        if self.message is not None:
            self.messages = [*self.messages, Message(role="user", content=self.message)]
            self.message = None
        if self.messages[-1].role == "assistant":
            raise ValueError("the last message must not be the assistant's own")
        return self

    def for_model(self) -> dict[str, Any]:
        """What the job record keeps and a backend reads: the conversation and the sampling."""
        fields = {"messages", *Sampling.model_fields}
        return self.model_dump(include=fields, exclude_none=True)


class FeedbackRequest(BaseModel):
    """The body of `POST /v1/jobs/{id}/feedback`: what a caller says of a job."""

    model_config = ConfigDict(extra="forbid")

    #: The route that the question needed.
    route: Bounded | None = None
    #: How good the answer was, from 1 to 5.
    rating: Annotated[int, Field(ge=1, le=5, strict=True)] | None = None
    comment: Annotated[str, Field(max_length=2_000)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.route is None and self.rating is None:
            raise ValueError("give `route` (what the question needed) or `rating` (1 to 5)")
        return self
