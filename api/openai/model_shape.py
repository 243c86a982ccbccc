"""A name that a caller may put in `model`, in the form of OpenAI's models and of Anthropic's.

Pure.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from api.naming import meant
from fleet.catalogue import Catalogue, Model

OURS = "chat-fleet"


def shown(
    name: str, aliases: Mapping[str, str], catalogue: Catalogue, since: int
) -> dict[str, Any]:
    """The entry of a name that is known; `since`: when it came to be, as OpenAI wants it said."""
    target = meant(aliases, name)
    model = catalogue.embedders.get(target) or catalogue.get(target)
    single = model if model and model.enabled else None
    kind = "model" if single else "auto" if target == "auto" else "route"
    entry = {"id": name, "object": "model", "created": since}
    since_when = datetime.fromtimestamp(since, UTC).isoformat()
    entry |= {"type": "model", "display_name": name, "created_at": since_when}
    if target != name:
        entry |= {"owned_by": OURS, "kind": "alias", "alias_of": target}
    else:
        entry |= {"owned_by": single.kind if single else OURS, "kind": kind}
    return entry | _able([single] if single else _behind(target, catalogue))


def _behind(route: str, catalogue: Catalogue) -> list[Model]:
    return list(catalogue.enabled if route == "auto" else catalogue.for_route(route))


def _able(models: list[Model]) -> dict[str, Any]:
    """What the best of these models can do."""
    return {
        "models": [model.name for model in models],
        "roles": list(dict.fromkeys(role for model in models for role in model.roles)),
        "context": max((model.context for model in models), default=0),
        "max_tokens": max((model.max_tokens for model in models), default=0),
        "capabilities": {
            "chat": any(model.task == "chat" for model in models),
            "tools": any(model.task == "chat" and model.tools for model in models),
            "images": any(model.images for model in models),
            "embeddings": any(model.task == "embedding" for model in models),
        },
    }
