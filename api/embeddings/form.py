"""The body of `POST /v1/embeddings`, and the reply. Pure."""

import base64
import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, field_validator

from api.nulls import NullIsNotGiven
from fleet.catalogue import Catalogue, Model
from fleet.errors import InvalidRequest, NoSuchModel, ServerFailed
from fleet.request import Bounded
from fleet.tokens import estimate_tokens

#: A text, or the tokens of one.
Input = str | list[int]
Encoding = Literal["float", "base64"]


class EmbeddingsRequest(NullIsNotGiven):
    """The body of `POST /v1/embeddings`."""

    model_config = ConfigDict(extra="forbid")

    #: One text or several, or their tokens.
    input: Annotated[
        Any,
        Field(
            json_schema_extra={
                "anyOf": [
                    {"type": "string"},
                    {"type": "array", "items": {"type": "string"}},
                    {"type": "array", "items": {"type": "integer"}},
                    {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}},
                ]
            }
        ),
    ]
    model: Bounded = "auto"
    encoding_format: Encoding = "float"
    dimensions: Annotated[int, Field(ge=1)] | None = None
    user: str | None = None

    @field_validator("input")
    @classmethod
    def _is_texts_or_tokens(cls, given: Any) -> list[Input]:
        inputs = [given] if isinstance(given, str) or _tokens(given) else given
        if not isinstance(inputs, list) or not inputs:
            raise ValueError("give a text, a list of texts, tokens, or a list of tokens")
        for number, one in enumerate(inputs):
            if one in ("", []):
                raise ValueError(f"input {number} is empty")
            if not isinstance(one, str) and not _tokens(one):
                raise ValueError(f"input {number} is neither a text nor a list of tokens")
        return inputs

    @property
    def tokens(self) -> int:
        """Roughly how many tokens the inputs have."""
        return sum(estimate_tokens(one) if isinstance(one, str) else len(one) for one in self.input)


def _tokens(given: Any) -> bool:
    """Whether it is a text in tokens; `True` is no number here."""
    return isinstance(given, list) and bool(given) and all(type(one) is int for one in given)


def embedder(catalogue: Catalogue, name: str) -> Model:
    """The model that is meant; `auto` means the only one.

    Raises:
        NoSuchModel: there is none of that name.
        InvalidRequest: it chats, or `auto` could be several.
    """
    known = catalogue.embedders
    names = ", ".join(known) or 'none (`task = "embedding"` of [[models]])'
    if name in known:
        return known[name]
    if name == "auto" and len(known) == 1:
        return next(iter(known.values()))
    if name == "auto" and known:
        raise InvalidRequest(f"model: say which one embeds: {names}", param="model")
    if name != "auto" and name in catalogue.addressable:
        raise InvalidRequest(
            f"model: {name[:80]!r} chats and embeds no texts; these do: {names}", param="model"
        )
    raise NoSuchModel(
        f"model: there is no {name[:80]!r} that embeds texts; there are: {names}", param="model"
    )


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors, one for each input, in the bytes of their 32-bit numbers; and what they took."""

    vectors: Sequence[bytes]
    tokens: int

    @property
    def dimensions(self) -> int:
        """Numbers in a vector."""
        return len(self.vectors[0]) // 4

    def body(self, model: str, encoding: Encoding) -> Iterator[bytes]:
        """The body of the reply, vector by vector: thousands of them are no short work."""
        yield b'{"object":"list","data":['
        for index, vector in enumerate(self.vectors):
            shown = {"object": "embedding", "index": index, "embedding": _shown(vector, encoding)}
            yield (b"," if index else b"") + _json(shown)
        usage = {"prompt_tokens": self.tokens, "total_tokens": self.tokens}
        yield b'],"model":' + _json(model) + b',"usage":' + _json(usage) + b"}"


def embedded(body: Any, count: int) -> Embedded:
    """Read a server's reply for so many inputs.

    Raises:
        ServerFailed: it is none.
    """
    try:
        data = sorted(body["data"], key=lambda one: int(one["index"]))
        vectors = [_packed(one["embedding"]) for one in data]
        if [int(one["index"]) for one in data] != list(range(count)):
            raise ValueError(f"{len(vectors)} vectors for {count} inputs")
        if len({len(vector) for vector in vectors}) != 1:
            raise ValueError("vectors of several lengths")
        return Embedded(vectors, int(body["usage"]["prompt_tokens"]))
    except (ValueError, TypeError, LookupError, struct.error) as error:
        raise ServerFailed(f"The model's server sent embeddings that are none: {error}") from error


def _packed(vector: Any) -> bytes:
    """A server that does not know base64 sends numbers."""
    if isinstance(vector, str):
        return base64.b64decode(vector, validate=True)
    return struct.pack(f"<{len(vector)}f", *vector)


def _shown(vector: bytes, encoding: Encoding) -> list[float] | str:
    if encoding == "base64":
        return base64.b64encode(vector).decode()
    return list(struct.unpack(f"<{len(vector) // 4}f", vector))


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
