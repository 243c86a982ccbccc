"""Requests for embeddings, who is meant by them, and servers' replies."""

import base64
import json
import struct
from typing import Any

import pytest
from openai.types import CreateEmbeddingResponse
from pydantic import ValidationError

from api.embeddings.form import EmbeddingsRequest, embedded, embedder
from fleet.catalogue import Catalogue, Model
from fleet.errors import FleetError, InvalidRequest, NoSuchModel, ServerFailed

CHAT = Model(name="fast", url="http://127.0.0.1:1")
EMBED = Model(name="embed", url="http://127.0.0.1:2", task="embedding")
OTHER = Model(name="other", url="http://127.0.0.1:3", task="embedding")
OFF = Model(name="off", url="http://127.0.0.1:4", task="embedding", enabled=False)


@pytest.mark.parametrize(
    ("given", "inputs"),
    [
        ("one", ["one"]),
        (["one", "two"], ["one", "two"]),
        ([1, 2], [[1, 2]]),
        ([[1, 2], [3]], [[1, 2], [3]]),
    ],
)
def test_texts_and_tokens_come_alone_or_together(given: Any, inputs: Any) -> None:
    asked = EmbeddingsRequest.model_validate_json(json.dumps({"input": given}))
    assert (asked.input, asked.model) == (inputs, "auto")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("", "input 0 is empty"),
        ([], "give a text"),
        (["a", ""], "input 1 is empty"),
        ([[1], []], "input 1 is empty"),
        ([True], "input 0 is neither"),
        (["a", 1.5], "input 1 is neither"),
        ({"text": "a"}, "give a text"),
        (None, "Field required"),
    ],
)
def test_what_is_neither_is_refused_with_its_number(given: Any, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        EmbeddingsRequest.model_validate({"input": given})


def test_null_is_as_good_as_not_given() -> None:
    nulls = {"model": None, "encoding_format": None, "dimensions": None, "user": None}
    plain = {"input": "a"}
    assert EmbeddingsRequest.model_validate(plain | nulls) == EmbeddingsRequest.model_validate(
        plain
    )


def test_the_only_one_needs_no_name() -> None:
    catalogue = Catalogue((CHAT, EMBED, OFF))
    assert embedder(catalogue, "auto") is EMBED
    assert embedder(catalogue, "embed") is EMBED


@pytest.mark.parametrize(
    ("models", "name", "kind", "why"),
    [
        ((CHAT, EMBED), "gpt-9", NoSuchModel, "there are: embed"),
        ((CHAT, EMBED, OFF), "off", NoSuchModel, "there are: embed"),
        ((CHAT,), "auto", NoSuchModel, "task = .embedding."),
        ((CHAT, EMBED), "fast", InvalidRequest, "'fast' chats"),
        ((CHAT, EMBED), "large", InvalidRequest, "'large' chats"),
        ((CHAT, EMBED, OTHER), "auto", InvalidRequest, "say which one embeds: embed, other"),
    ],
)
def test_who_cannot_embed_is_told_apart(
    models: tuple[Model, ...], name: str, kind: type[FleetError], why: str
) -> None:
    with pytest.raises(kind, match=why):
        embedder(Catalogue(models), name)


def test_a_key_for_some_models_does_not_open_the_others() -> None:
    with pytest.raises(NoSuchModel):
        embedder(Catalogue((CHAT, EMBED)).only(("fast",)), "auto")
    assert embedder(Catalogue((CHAT, EMBED)).only(("embed",)), "auto") is EMBED


def test_a_model_that_embeds_is_in_no_plan() -> None:
    catalogue = Catalogue((CHAT, EMBED))
    assert catalogue.enabled == catalogue.models == (CHAT,)
    assert "embed" not in catalogue.addressable
    assert catalogue.by_queue("embed") is None
    assert catalogue.for_route("fast") == (CHAT,)


@pytest.mark.parametrize("wrong", [{"roles": ("fast",)}, {"kind": "anthropic"}])
def test_a_model_that_embeds_has_no_roles_and_costs_nothing(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="without `roles`"):
        Model(name="embed", task="embedding", url="http://127.0.0.1:1", **wrong)


NUMBERS = [0.5, -0.25, 0.125]
PACKED = base64.b64encode(struct.pack("<3f", *NUMBERS)).decode()


def reply(*vectors: Any) -> dict[str, Any]:
    data = [{"index": at, "embedding": vector} for at, vector in enumerate(vectors)]
    return {"data": data[::-1], "usage": {"prompt_tokens": 7, "total_tokens": 7}}


@pytest.mark.parametrize("vector", [NUMBERS, PACKED])
def test_both_forms_of_a_vector_become_either(vector: Any) -> None:
    read = embedded(reply(vector, vector), 2)
    assert (read.dimensions, read.tokens) == (3, 7)
    for encoding, expected in (("float", NUMBERS), ("base64", PACKED)):
        body = json.loads(b"".join(read.body("embed", encoding)))  # type: ignore[arg-type]
        assert body == {
            "object": "list",
            "data": [{"object": "embedding", "index": at, "embedding": expected} for at in (0, 1)],
            "model": "embed",
            "usage": {"prompt_tokens": 7, "total_tokens": 7},
        }
        if encoding == "float":
            CreateEmbeddingResponse.model_validate(body, strict=True)


@pytest.mark.parametrize(
    "body",
    [
        None,
        {},
        reply(NUMBERS),
        reply(NUMBERS, [1.0]),
        reply(NUMBERS, "not base64!"),
        reply(NUMBERS, [None]),
        {**reply(NUMBERS, NUMBERS), "usage": None},
    ],
)
def test_a_reply_that_is_none_is_the_servers_fault(body: Any) -> None:
    with pytest.raises(ServerFailed):
        embedded(body, 2)
