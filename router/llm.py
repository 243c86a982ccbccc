"""The optional second look: a catalogue model is asked, with its answer held to a schema."""

import json
from collections.abc import Mapping

import httpx

from fleet.catalogue import Model
from fleet.errors import ConfigError, ModelError
from router.conversation import Conversation
from router.verdict import Verdict
from router.words import excerpt

NAME = "llm"
#: A model says no probability that one could trust; its word counts as much as this.
CONFIDENCE = 0.7
#: Turns that it is shown.
TURNS = 6

#: What goes where, for the routes that ship.
DESCRIPTIONS: Mapping[str, str] = {
    "fast": "small talk, plain facts, definitions, short explanations, creative writing, edits",
    "tool": "needs live data, a search, a device, an account, a booking or another service",
    "large": "mathematics, logic, programming, expert questions, research, detailed analysis",
}


class LlmClassifier:
    """Asks a llama-server which route fits. One short call, no retry."""

    name = NAME

    def __init__(self, model: Model, descriptions: Mapping[str, str], timeout_s: float) -> None:
        """`descriptions`: the routes that it may choose, and what belongs there.

        Raises:
            ConfigError: the model is not a llama-server whose address is known.
        """
        if model.kind != "llama-server" or not model.base_url:
            raise ConfigError(f"router.llm: {model.name!r} is no llama-server with a `url`")
        self.version = model.name
        self._descriptions = descriptions
        self._client = httpx.Client(
            base_url=model.base_url,
            timeout=timeout_s,
            headers=model.auth_headers,
            trust_env=False,
        )

    def classify(self, conversation: Conversation) -> Verdict:
        """The model's choice.

        Raises:
            ModelError: it does not answer in time, or not in the form that was asked for.
        """
        try:
            reply = self._client.post("/v1/chat/completions", json=self._body(conversation))
            reply.raise_for_status()
            route = json.loads(reply.json()["choices"][0]["message"]["content"])["route"]
        except (httpx.HTTPError, ValueError, KeyError, IndexError, TypeError) as error:
            raise ModelError(f"the model {self.version!r} gave no route: {error}") from None
        if route not in self._descriptions:
            raise ModelError(f"the model {self.version!r} named no route that there is")
        others = (1 - CONFIDENCE) / max(1, len(self._descriptions) - 1)
        scores = {name: CONFIDENCE if name == route else others for name in self._descriptions}
        why = f"the model {self.version!r} was asked and says {route}"
        return Verdict(route, CONFIDENCE, (why,), NAME, scores, version=self.version)

    def _body(self, conversation: Conversation) -> dict[str, object]:
        routes = list(self._descriptions)
        told = "\n".join(f"- {name}: {what}" for name, what in self._descriptions.items())
        spoken = [(role, words) for role, words in conversation.turns if role != "system"]
        talk = "\n".join(f"{role}: {excerpt(words)}" for role, words in spoken[-TURNS:])
        return {
            "messages": [
                {
                    "role": "system",
                    "content": "You sort requests. Choose the one class that the last user turn "
                    f"belongs to.\n{told}\nAnswer with JSON.",
                },
                {"role": "user", "content": f"<conversation>\n{talk}\n</conversation>"},
            ],
            "max_tokens": 32,
            "temperature": 0,
            "response_format": {
                "type": "json_schema",
                "json_schema": {
                    "name": "route",
                    "schema": {
                        "type": "object",
                        "properties": {"route": {"type": "string", "enum": routes}},
                        "required": ["route"],
                        "additionalProperties": False,
                    },
                },
            },
        }

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()
