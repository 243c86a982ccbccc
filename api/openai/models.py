"""The list of models, what a caller may put in `model`: OpenAI's, and Anthropic's in the same."""

import time
from typing import Any

from fastapi import APIRouter

from api.guard import Asking
from api.naming import listed, no_such
from api.openai.model_shape import shown
from api.state import Fleet

router = APIRouter()

#: When this process began to serve them.
SINCE = int(time.time())


@router.get("/v1/models")
async def list_models(fleet: Fleet, caller: Asking) -> dict[str, Any]:
    """Every name that the caller may ask for."""
    catalogue = fleet.settings.catalogue.only(caller.models)
    aliases = fleet.settings.api.aliases
    data = [shown(name, aliases, catalogue, SINCE) for name in listed(aliases, catalogue)]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"], "has_more": False}
    return {"object": "list", "data": data, **ends}


@router.get("/v1/models/{name:path}")
async def get_model(name: str, fleet: Fleet, caller: Asking) -> dict[str, Any]:
    """One of them."""
    catalogue = fleet.settings.catalogue.only(caller.models)
    aliases = fleet.settings.api.aliases
    if name not in listed(aliases, catalogue):
        raise no_such(name, aliases, catalogue)
    return shown(name, aliases, catalogue, SINCE)
