"""Any API of OpenAI's chat completions as a backend: OpenAI's own, or a provider that speaks
like it.
"""

import json
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

from fleet import __version__
from fleet.catalogue import Model
from fleet.errors import ConfigError, ModelError
from fleet.retry_after import wish_of
from workers.backend import Steps
from workers.openai_form import to_completion
from workers.provider_words import error_of
from workers.upstream import Reading, Upstream


class OpenAIApi:
    """One provider's model."""

    #: Nothing is kept there, and not every API goes on with the assistant's own words.
    server = ""
    continues = False
    #: To ask costs money: the next job is the probe.
    probes = False

    def __init__(self, model: Model) -> None:
        if not model.api_key:
            raise ConfigError(f"model {model.name!r}: set {model.api_key_env} for its worker")
        self._model = model
        # Some guards before such APIs turn away whoever has no name.
        named = f"User-Agent: chat-fleet/{__version__}\r\n"
        self._upstream = Upstream(model, self._error_of, named)

    async def stream(self, request: dict[str, Any], generation: str = "") -> Steps:
        """See `Backend.stream`; nothing is kept."""
        body = to_completion(request, self._model)
        payload = json.dumps(body, separators=(",", ":")).encode()
        posted = self._upstream.head("POST", "/chat/completions", len(payload)) + payload
        reading = Reading(0, self._model.timeouts.first_token_s)
        async with aclosing(self._upstream.read(posted, reading)) as steps:
            async for step in steps:
                yield step._replace(place=0)  # a stream that cannot be resumed has no place

    def _error_of(self, body: Any, status: int, headers: Mapping[str, str]) -> ModelError:
        told = body.get("error") if isinstance(body, dict) else None
        told = told if isinstance(told, dict) else {"message": told or ""}
        return error_of(
            self._model,
            status,
            str(told.get("message") or ""),
            kind=str(told.get("type") or ""),
            code=str(told.get("code") or ""),
            wish_s=wish_of(headers),
        )

    def check(self, request: dict[str, Any]) -> None:
        """See `Backend.check`: whatever comes here can be told there."""

    async def attach(self, generation: str, place: int) -> Steps | None:
        """See `Backend.attach`."""
        return None

    async def drop(self, generation: str) -> None:
        """See `Backend.drop`."""

    def prepare(self) -> None:
        """See `Backend.prepare`; who may not be asked any more today is not called either."""

    async def state(self) -> str:
        """See `Backend.state`: not every API tells."""
        return "unknown"

    async def probe(self) -> None:
        """See `Backend.probe`: not without a job."""

    async def aclose(self) -> None:
        """See `Backend.aclose`."""
        self._upstream.close()
