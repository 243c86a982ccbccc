"""Embeddings as a real llama-server (build b1-7e4c0a9) words them; the vectors are made up."""

import base64
import hashlib
import struct
from typing import Any

#: Numbers in a vector.
LENGTH = 8


def texts(given: Any) -> list[str]:
    """The inputs of a request as texts: one of tokens has a word for each."""
    if isinstance(given, str):
        return [given]
    if given and all(isinstance(one, int) for one in given):
        return [_text(given)]
    return [_text(one) for one in given]


def _text(one: Any) -> str:
    return one if isinstance(one, str) else " ".join(map(str, one))


def wrong(asked: dict[str, Any]) -> str:
    """What the server would refuse; empty if nothing."""
    if asked.get("encoding_format") not in (None, "float", "base64"):
        return "The format to return the embeddings in. Can be either float or base64"
    return "" if all(texts(asked.get("input", ""))) else "Input content cannot be empty"


def vector(text: str) -> list[float]:
    """Always the same of one text, as numbers of 32 bits."""
    seed = hashlib.sha256(text.encode()).digest()
    return list(struct.unpack(f"<{LENGTH}f", struct.pack(f"<{LENGTH}f", *_floats(seed))))


def _floats(seed: bytes) -> list[float]:
    return [byte / 255 - 0.5 for byte in seed[:LENGTH]]


def reply(asked: dict[str, Any], name: str) -> dict[str, Any]:
    """The whole reply."""
    given = texts(asked["input"])
    in_base64 = asked.get("encoding_format") == "base64"
    tokens = sum(len(text.split()) for text in given)
    return {
        "model": asked.get("model", name),
        "object": "list",
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        "data": [_item(index, vector(text), in_base64) for index, text in enumerate(given)],
    }


def _item(index: int, numbers: list[float], in_base64: bool) -> dict[str, Any]:
    if not in_base64:
        return {"embedding": numbers, "index": index, "object": "embedding"}
    packed = base64.b64encode(struct.pack(f"<{LENGTH}f", *numbers)).decode()
    more = {"encoding_format": "base64"}
    return {"embedding": packed, "index": index, "object": "embedding", **more}
