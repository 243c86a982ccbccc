"""Anthropic's turns, made of blocks, as turns in OpenAI's form. Pure."""

import json
from collections.abc import Sequence
from itertools import groupby
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field

from fleet.errors import InvalidRequest


class Text(BaseModel):
    """Words."""

    type: Literal["text"]
    text: str


class Base64(BaseModel):
    """A picture that is in the request itself: no server fetches an address for us."""

    type: Literal["base64"]
    media_type: Annotated[str, Field(pattern=r"^image/[a-z0-9.+-]{1,64}$")]
    data: str


class Image(BaseModel):
    """A picture."""

    type: Literal["image"]
    source: Base64


class ToolUse(BaseModel):
    """A call that the model made."""

    type: Literal["tool_use"]
    id: Annotated[str, Field(max_length=128)]
    name: str
    input: dict[str, Any]


def _as_blocks(content: Any) -> Any:
    """A string is short for one block of text."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return content


def _short_for(blocks: Any) -> BeforeValidator:
    return BeforeValidator(_as_blocks, json_schema_input_type=str | blocks)


#: What a tool may show.
Shown = Annotated[Text | Image, Field(discriminator="type")]


class ToolResult(BaseModel):
    """What came of a call."""

    type: Literal["tool_result"]
    tool_use_id: Annotated[str, Field(max_length=128)]
    content: Annotated[list[Shown], _short_for(list[Shown])] = []
    is_error: bool = False


class Thinking(BaseModel):
    """What a model thought before it answered; models are not told it again."""

    type: Literal["thinking", "redacted_thinking"]


Block = Annotated[
    Text | Image | ToolUse | ToolResult | Thinking,
    Field(discriminator="type"),
]
#: What a system prompt is made of.
Words = Annotated[list[Text], _short_for(list[Text])]


class Turn(BaseModel):
    """One turn of the conversation."""

    role: Literal["user", "assistant", "system"]
    content: Annotated[list[Block], _short_for(list[Block])]


def messages(system: Sequence[Text], turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """The conversation in OpenAI's form; neighbours of one role become one turn, as there.

    Raises:
        InvalidRequest: a block stands where it cannot, or a turn says nothing.
    """
    said = [{"role": "system", "content": words(system)}] if words(system) else []
    for role, group in groupby(enumerate(turns), key=lambda numbered: numbered[1].role):
        blocks = [block for number, turn in group for block in _checked(number, turn)]
        said += _MAKERS[role](blocks)
    return said


def words(blocks: Sequence[Any]) -> str:
    """The text of those blocks that are text."""
    return "\n\n".join(block.text for block in blocks if isinstance(block, Text) and block.text)


#: Which blocks a role may say.
_MAY: dict[str, tuple[type[BaseModel], ...]] = {
    "user": (Text, Image, ToolResult),
    "assistant": (Text, ToolUse, Thinking),
    "system": (Text,),
}


def _checked(number: int, turn: Turn) -> list[Any]:
    where = f"messages[{number}].content"
    silent = all(isinstance(block, Text) and not block.text for block in turn.content)
    if silent and turn.role != "assistant":  # that may be an answer of ours without words
        raise InvalidRequest(f"{where}: must not be empty", param=where)
    for place, block in enumerate(turn.content):
        if not isinstance(block, _MAY[turn.role]):
            raise InvalidRequest(
                f"{where}[{place}]: a block `{block.type}` cannot stand in a turn of {turn.role!r}",
                param=f"{where}[{place}]",
            )
    return turn.content


def _user(blocks: Sequence[Any]) -> list[dict[str, Any]]:
    """Results first, each a turn of its tool; then what the user says and shows.

    A tool's turn holds words only, so the pictures of a result follow in the user's.
    """
    results = [block for block in blocks if isinstance(block, ToolResult)]
    shown = [b for result in results for b in result.content if isinstance(b, Image)]
    shown += [block for block in blocks if isinstance(block, Image)]
    text = words(blocks)
    said = [_result(result) for result in results]
    if shown:
        parts = [{"type": "text", "text": text}] if text else []
        said.append({"role": "user", "content": [*parts, *map(_picture, shown)]})
    elif text:
        said.append({"role": "user", "content": text})
    return said


def _result(result: ToolResult) -> dict[str, Any]:
    text = words(result.content) or "(no words)"
    if result.is_error:
        text = f"The tool failed: {text}"
    return {"role": "tool", "tool_call_id": result.tool_use_id, "content": text}


def _picture(image: Image) -> dict[str, Any]:
    source = image.source
    return {
        "type": "image_url",
        "image_url": {"url": f"data:{source.media_type};base64,{source.data}"},
    }


def _assistant(blocks: Sequence[Any]) -> list[dict[str, Any]]:
    calls = [_call(block) for block in blocks if isinstance(block, ToolUse)]
    text = words(blocks)
    if not calls and not text:
        return []
    said: dict[str, Any] = {"role": "assistant", "content": text or None}
    return [said | {"tool_calls": calls}] if calls else [said]


def _call(block: ToolUse) -> dict[str, Any]:
    arguments = json.dumps(block.input, ensure_ascii=False)
    function = {"name": block.name, "arguments": arguments}
    return {"id": block.id, "type": "function", "function": function}


def _system(blocks: Sequence[Any]) -> list[dict[str, Any]]:
    text = words(blocks)
    return [{"role": "system", "content": text}] if text else []


_MAKERS = {"user": _user, "assistant": _assistant, "system": _system}
