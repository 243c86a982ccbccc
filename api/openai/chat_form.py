"""The body of OpenAI's `POST /v1/chat/completions`. Pure.

Clients of OpenAI send more than a model server needs, and their SDKs send back what they were
given. What changes nothing here is passed over; what would change the answer, and cannot be
had, is refused by name; what nobody knows is passed over and named in the answer's head.
Nothing of all that reaches a model server: messages and tools are built anew.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from api.nulls import NullIsNotGiven
from fleet.request import JobRequest, Message

#: Fields of OpenAI's that ask for nothing that could be missed in the answer.
HINTS = frozenset(
    {
        "prediction",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "user",
        "verbosity",
    }
)
#: What SDKs put into a message and send back with it.
SENT_BACK = frozenset({"annotations", "audio", "function_call", "reasoning_content", "refusal"})
#: What would change the answer and cannot be had here, and what helps.
REFUSED = {
    "audio": "answers here are text; leave it out",
    "web_search_options": "nothing searches the web here; give a function in `tools` that does",
    "moderation": "nothing moderates here; leave it out",
    "functions": "it is no longer served; send `tools`",
    "function_call": "it is no longer served; send `tool_choice`",
}

Tokens = Annotated[int, Field(ge=1)]


class ChatMessage(Message):
    """One turn, as clients of OpenAI send it."""

    model_config = ConfigDict(extra="allow")

    _unknown: tuple[str, ...] = PrivateAttr(())

    @property
    def unknown(self) -> tuple[str, ...]:
        """Fields that nobody knows."""
        return self._unknown

    @property
    def empty(self) -> bool:
        """Whether it says and does nothing."""
        return not self.content and not self.tool_calls

    @field_validator("content")
    @classmethod
    def _parts_are_known(cls, content: Any) -> Any:
        return [_part(part) for part in content] if isinstance(content, list) else content

    @field_validator("tool_calls")
    @classmethod
    def _calls_are_whole(cls, calls: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
        return [_call(call) for call in calls or ()] or None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        """Empty text is as good as any; only no content at all is not."""
        extra = self.__pydantic_extra__ or {}
        if extra.get("function_call"):
            raise ValueError("function_call is no longer served; send `tool_calls`")
        self._unknown = tuple(name for name in extra if name not in SENT_BACK)
        extra.clear()
        if self.role != "assistant" and self.content in (None, []):
            raise ValueError("content must be text, or a list of parts")
        if self.role == "assistant" and self.content == []:
            self.content = None
        return self


class StreamOptions(BaseModel):
    """What a stream shall say beside the answer."""

    include_usage: bool = False


class ChatRequest(NullIsNotGiven, JobRequest):
    """The body of `POST /v1/chat/completions`."""

    model_config = ConfigDict(extra="allow")

    messages: list[ChatMessage]  # type: ignore[assignment]
    #: The native API's shorthand is no field here.
    message: None = None
    max_completion_tokens: Tokens | None = None
    n: Literal[1] = 1
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    modalities: list[str] = Field(default=["text"])
    audio: Any = None
    web_search_options: Any = None
    moderation: Any = None
    functions: Any = None
    function_call: Any = None

    @property
    def ignored(self) -> list[str]:
        """The fields that nobody knows."""
        found = [name for name in self.model_extra or () if name not in HINTS]
        return found + [f"messages.{name}" for turn in self.messages for name in turn.unknown]

    @field_validator(*REFUSED)
    @classmethod
    def _cannot_be_had(cls, value: Any, info: ValidationInfo) -> Any:
        raise ValueError(REFUSED[str(info.field_name)])

    @field_validator("modalities")
    @classmethod
    def _only_text(cls, value: list[str]) -> list[str]:
        if value != ["text"]:
            raise ValueError("answers here are text: send ['text'], or leave it out")
        return value

    @field_validator("n", mode="before")
    @classmethod
    def _one_answer(cls, value: Any) -> Any:
        if value != 1:
            raise ValueError("must be 1: for several answers, send the request several times")
        return value

    @field_validator("messages")
    @classmethod
    def _without_empty_answers(cls, messages: list[ChatMessage]) -> list[ChatMessage]:
        return [turn for turn in messages if turn.role != "assistant" or not turn.empty]

    @field_validator("tools")
    @classmethod
    def _are_functions(cls, tools: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
        return [_tool(tool) for tool in tools or ()] or None

    @field_validator("tool_choice")
    @classmethod
    def _is_among_the_tools(cls, choice: Any, info: ValidationInfo) -> Any:
        tools = info.data.get("tools") or []
        return _choice(choice, tools) if isinstance(choice, dict) else choice

    @field_validator("response_format")
    @classmethod
    def _is_a_known_format(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        kind = (value or {}).get("type")
        if kind not in ("text", "json_object", "json_schema"):
            raise ValueError("type must be text, json_object or json_schema")
        if kind == "json_schema" and not isinstance(_inner(value, "json_schema", "schema"), dict):
            raise ValueError("json_schema.schema must be a JSON schema")
        return None if kind == "text" else value

    @model_validator(mode="after")
    def _has_one_length(self) -> Self:
        self.max_tokens = self.max_completion_tokens or self.max_tokens
        return self


def _inner(value: Any, *names: str) -> Any:
    """What lies in tables within tables; None if there is no such place."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _part(part: dict[str, Any]) -> dict[str, Any]:
    """One part of a message's content, with nothing else in it."""
    kind = part.get("type")
    if kind in ("text", "refusal") and isinstance(part.get(kind), str):
        return {"type": "text", "text": part[kind]}
    if kind != "image_url":
        raise ValueError(
            f"parts of type {str(kind)[:40]!r} are not served here: send text, or image_url "
            "with a data: URL"
        )
    url = _inner(part, "image_url", "url")
    if not str(url).startswith("data:image/"):
        raise ValueError("image_url.url must be data:image/…: no address is fetched from here")
    return {"type": "image_url", "image_url": {"url": url}}


def _call(call: dict[str, Any]) -> dict[str, Any]:
    """A call that the model has made, with nothing else in it."""
    if call.get("type", "function") != "function":
        raise ValueError("a call must be {id, type: function, function: {name, arguments}}")
    told = call["function"]
    function = {"name": told["name"], "arguments": told.get("arguments") or "{}"}
    return {"id": str(call.get("id") or ""), "type": "function", "function": function}


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    """A function that may be called, with nothing else in it."""
    kind, function = tool.get("type"), tool.get("function")
    if kind != "function":
        raise ValueError(f"tools of type {str(kind)[:40]!r} are not served here, only functions")
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise ValueError("a tool must be {type: function, function: {name, parameters}}")
    names = ("name", "description", "parameters", "strict")
    told = {name: function[name] for name in names if function.get(name) is not None}
    return {"type": "function", "function": told}


def _choice(choice: dict[str, Any], tools: list[dict[str, Any]]) -> dict[str, Any]:
    name = _inner(choice, "function", "name")
    if choice.get("type") != "function" or not isinstance(name, str):
        raise ValueError("must be none, auto, required or {type: function, function: {name}}")
    there_are = [tool["function"]["name"] for tool in tools]
    if name not in there_are:
        raise ValueError(f"no tool is called {name[:64]!r}; there are: {', '.join(there_are)}")
    return {"type": "function", "function": {"name": name}}
