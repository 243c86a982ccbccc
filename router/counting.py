"""Counting a prompt's tokens where an estimate is too rough: the model's own server does."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fleet.catalogue import Model

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)

#: Seconds that a server is waited for; then the estimate has to do.
PATIENCE_S = 1.0


class Counter:
    """Asks llama-servers how long a prompt is, template and tools included."""

    @cached_property
    def _client(self) -> "httpx.AsyncClient":
        import httpx  # takes longer than all the rest of the router, and is seldom needed

        return httpx.AsyncClient(timeout=PATIENCE_S, trust_env=False)

    async def count(self, models: Iterable[Model], request: Mapping[str, Any]) -> dict[str, int]:
        """Tokens of the prompt on each of the models whose server says so."""
        asked = [model for model in models if model.kind == "llama-server" and model.base_url]
        counts = await asyncio.gather(*(self._count(model, request) for model in asked))
        pairs = zip(asked, counts, strict=True)
        return {model.name: count for model, count in pairs if count is not None}

    async def _count(self, model: Model, request: Mapping[str, Any]) -> int | None:
        import httpx

        asked = {key: request[key] for key in ("messages", "tools") if request.get(key)}
        try:
            prompt = await self._post(f"{model.base_url}/apply-template", asked, model.auth_headers)
            text = {"content": prompt["prompt"], "add_special": True, "parse_special": True}
            return len(
                (await self._post(f"{model.base_url}/tokenize", text, model.auth_headers))["tokens"]
            )
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            log.warning("%s counts no tokens: %s", model.name, type(error).__name__)
            return None

    async def _post(self, url: str, body: Mapping[str, Any], headers: dict[str, str]) -> Any:
        reply = await self._client.post(url, json=body, headers=headers)
        reply.raise_for_status()
        return reply.json()

    async def aclose(self) -> None:
        """Give the connections back."""
        if "_client" in self.__dict__:
            await self._client.aclose()
