"""What makes two requests the same. Pure.

The digest is taken of all that may change the answer: the model that was asked for, what the
catalogue says of those that may answer, the conversation, and every field that reaches a model.
"""

import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from fleet.cache.settings import Cache
from fleet.catalogue import Catalogue, Model

#: Changes whenever the same request would get another digest, or an entry another meaning.
VERSION = 1
#: What an entry of the catalogue says of how a model is served, and not of what it answers.
_SERVING = frozenset(
    {
        *("queue", "slots", "api_key_env", "resume", "timeouts"),
        *("calls_per_day", "usd_per_day", "price"),
    }
)


def repeatable(request: Mapping[str, Any], rules: Cache) -> bool:
    """Whether the answer to a record's request may be given again: nothing in it was, or will
    be, looked up in the world, and the model does not throw dice.
    """
    if not rules.enabled or request.get("tools"):
        return False
    if any(turn.get("role") == "tool" for turn in request["messages"][-1:]):
        return False
    return rules.any_temperature or request.get("temperature") == 0


def digest(request: Mapping[str, Any], asked_model: str, catalogue: Catalogue, owner: str) -> str:
    """What two records' requests have in common if the same answer will do for both.

    Args:
        request: what a backend reads; see `fleet.request.JobRequest.for_model`.
        asked_model: `auto`, a name or a role.
        catalogue: the models that may answer this caller.
        owner: the caller's name, or '' where answers are shared.
    """
    how = {name: value for name, value in request.items() if name != "messages"}
    said = [normal(turn) for turn in request["messages"]]
    return _sha256([VERSION, owner, asked_model, models_digest(catalogue.enabled), how, said])


def models_digest(models: Sequence[Model]) -> str:
    """What the catalogue says of models, as far as their answers depend on it."""
    told = [model.model_dump(mode="json", exclude=set(_SERVING)) for model in models]
    return _sha256(told)


def normal(turn: Mapping[str, Any]) -> dict[str, Any]:
    """A turn in the one form that all its spellings share: text as a string without blank ends,
    its characters composed.
    """
    content = turn.get("content")
    match content:
        case [{"type": "text", "text": str(only), **more}] if not more:
            content = only
    if isinstance(content, str):
        content = unicodedata.normalize("NFC", content).strip()
    elif isinstance(content, list):
        content = [_normal_part(part) for part in content]
    kept = {name: value for name, value in turn.items() if value is not None}
    return kept | {"content": content}


def _normal_part(part: Mapping[str, Any]) -> Mapping[str, Any]:
    text = part.get("text")
    return {**part, "text": unicodedata.normalize("NFC", text)} if isinstance(text, str) else part


def _sha256(value: Any) -> str:
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
