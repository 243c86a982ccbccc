"""Settings: one TOML file, the environment over it, every mistake named.

Order, strongest first: `FLEET_…` variables, the file (`FLEET_CONFIG`), defaults.
Nested keys use two underscores: `FLEET_API__PORT=8001`, and a model is named:
`FLEET_MODELS__FAST__URL=http://10.0.0.5:8080`.
"""

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from fleet.breaker.settings import Breaker
from fleet.cache.settings import Cache
from fleet.callers import DEFAULT, LOCAL
from fleet.catalogue import Catalogue, Model, Strict
from fleet.comparison import Reference, Report, reference
from fleet.errors import ConfigError
from fleet.mistakes import explain
from fleet.overflow import Overflow
from fleet.routing import Router
from fleet.spend.settings import Spend
from fleet.webhooks.settings import Webhooks

PREFIX = "FLEET_"
#: Variables with our prefix that are not settings.
NOT_SETTINGS = frozenset({"FLEET_CONFIG", "FLEET_HOME", "FLEET_KEY", "FLEET_PRESET"})

Positive = Annotated[float, Field(gt=0)]

CALLER = re.compile(r"[a-z0-9._-]{1,63}")
SHORTEST_KEY = 16
LONGEST_ALIAS = 128
VISIBLE = re.compile(r"[!-~]+")
#: A key that `fleet keys create` has made.
MADE = re.compile(r"fleet-[A-Za-z0-9_-]{32}")
#: As browsers write it: scheme, host, and the port where it is not the scheme's own.
ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[a-z0-9._-]+(:[0-9]+)?|https?://\[[0-9a-f:]+\](:[0-9]+)?")


class Api(Strict):
    """Where the API listens, and who may talk to it."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    #: Callers must send it as `Authorization: Bearer KEY`. Needed to listen beyond loopback.
    key: str = Field(default="", repr=False)
    #: Keys of callers who do not see each other's jobs, by the callers' names.
    keys: dict[str, str] = Field(default={}, repr=False)
    #: Opens nothing but the whole of `/health`, for those who watch.
    health_key: str = Field(default="", repr=False)
    #: Origins whose pages may call the API from a browser, such as `https://chat.example.org`.
    cors_origins: tuple[str, ...] = ()
    #: Seconds between comment lines that keep an idle stream open.
    ping_s: Positive = 15.0
    #: More names that callers may put in `model`, and what they mean.
    aliases: dict[str, str] = Field(default={})

    @field_validator("aliases")
    @classmethod
    def _aliases_are_names(cls, aliases: dict[str, str]) -> dict[str, str]:
        for alias in aliases:
            if not VISIBLE.fullmatch(alias) or len(alias) > LONGEST_ALIAS:
                raise ValueError(f"{alias!r}: use 1 to {LONGEST_ALIAS} visible characters")
        return aliases

    @field_validator("key", "keys")
    @classmethod
    def _are_not_of_redis(cls, given: Any) -> Any:
        keys = [given] if isinstance(given, str) else given.values()
        if any(MADE.fullmatch(key) for key in keys):
            raise ValueError(
                "this is a key of `fleet keys create`, which the API knows by itself; here it "
                "would lose its limits. Our commands take it from FLEET_KEY"
            )
        return given

    @field_validator("keys")
    @classmethod
    def _keys_tell_callers_apart(cls, keys: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        names = {info.data.get("key", ""): "`api.key`"}
        for number, (name, key) in enumerate(keys.items(), 1):
            if not CALLER.fullmatch(name):  # it is not shown: it may be a key in the wrong place
                raise ValueError(f"name {number}: a caller's name is 1 to 63 of a-z 0-9 . _ -")
            if len(key) < SHORTEST_KEY or not VISIBLE.fullmatch(key):
                raise ValueError(
                    f"the key of {name!r} must have at least {SHORTEST_KEY} characters, none of "
                    "them a space; make one with: openssl rand -hex 24"
                )
            if name == LOCAL or (name == DEFAULT and info.data.get("key")):
                raise ValueError(f"the name {name!r} is taken; choose another for this caller")
            if key in names:
                raise ValueError(f"{name!r} and {names[key]} have the same key; give each its own")
            names[key] = repr(name)
        return keys

    @field_validator("cors_origins")
    @classmethod
    def _origins_are_named(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if not ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"{origin!r} is no origin: name each as a browser does, with its scheme and "
                    "without a path, such as https://chat.example.org or http://localhost:3000"
                )
        return origins

    def takes_name(self, name: str) -> bool:
        """Whether that name is a caller's here, or may become one's."""
        return name in (LOCAL, DEFAULT, *self.callers.values())

    @property
    def callers(self) -> dict[str, str]:
        """The keys here that open the API, each with its caller's name. Where there is none,
        and none in Redis either (`fleet/keys.py`), every caller on this machine is `local`.
        """
        single = {self.key: DEFAULT} if self.key else {}
        return single | {key: name for name, key in self.keys.items()}

    @property
    def own_key(self) -> str:
        """The key that our own commands send."""
        return next(iter(self.callers), "")


class Limits(Strict):
    """Bounds on what a caller may send."""

    body_bytes: Annotated[int, Field(ge=1024)] = 1_048_576
    messages: Annotated[int, Field(ge=1)] = 1_000
    tools: Annotated[int, Field(ge=0)] = 128
    #: Texts in one request for embeddings.
    inputs: Annotated[int, Field(ge=1)] = 2_048
    #: Pairs of `metadata`, and characters of each key and value.
    metadata_pairs: Annotated[int, Field(ge=0)] = 16
    metadata_chars: Annotated[int, Field(ge=1)] = 512
    #: Characters of an id that the caller chooses.
    id_chars: Annotated[int, Field(ge=1, le=1_024)] = 255
    #: The longest `?wait=`.
    wait_s: Positive = 60.0
    #: The longest deadline, and the one of a job that names none.
    deadline_s: Positive = 3_600.0
    #: Jobs that may wait for one model, and for the router. More are refused with 503.
    queue_jobs: Annotated[int, Field(ge=1)] = 5_000
    #: Jobs of one caller that have not ended. More are refused with 429.
    caller_jobs: Annotated[int, Field(ge=1)] = 2_500


class Store(Strict):
    """How long things are kept in Redis."""

    retention_s: Annotated[int, Field(ge=60)] = 86_400
    index_size: Annotated[int, Field(ge=100)] = 100_000


class Workers(Strict):
    """How worker processes behave."""

    #: A worker that has not written for so long is taken for dead.
    lease_s: Positive = 5.0
    #: Attempts at one job that may die or fail before it is given up.
    max_attempts: Annotated[int, Field(ge=1)] = 5
    #: On SIGTERM, running streams may go on for so long; then they are handed back.
    drain_s: Annotated[float, Field(ge=0)] = 20.0


class Fallback(Strict):
    """What happens when a model fails."""

    #: After the first token, where the server has not kept the answer: begin again, go on from
    #: the text so far, or stop with it.
    after_first_token: Literal["restart", "continue", "fail"] = "restart"
    #: Rounds through a job's plan when every model is away, before the job fails; pauses of
    #: 0.3 s and twice as long each time, up to 8 s. Eight rounds take about half a minute.
    rounds: Annotated[int, Field(ge=1, le=1_000)] = 8


class Flower(Strict):
    """Flower, started by `fleet up`."""

    enabled: bool = True
    port: Annotated[int, Field(ge=0, le=65535)] = 5555


class Settings(BaseSettings):
    """Everything that can be set. See docs/configuration.md."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )
    redis_url: str = "redis://127.0.0.1:6379/0"
    #: Where Celery's messages go; the store's Redis if not given.
    broker_url: str = ""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    api: Api = Api()
    limits: Limits = Limits()
    store: Store = Store()
    workers: Workers = Workers()
    fallback: Fallback = Fallback()
    breaker: Breaker = Breaker()
    spend: Spend = Spend()
    overflow: Overflow = Overflow()
    router: Router = Router()
    cache: Cache = Cache()
    webhooks: Webhooks = Webhooks()
    report: Report = Report()
    flower: Flower = Flower()
    models: tuple[Model, ...] = ()

    @field_validator("models")
    @classmethod
    def _names_are_unique(cls, models: tuple[Model, ...]) -> tuple[Model, ...]:
        for what in ("name", "queue"):
            seen = [getattr(model, what) for model in models]
            twice = sorted({value for value in seen if seen.count(value) > 1})
            if twice:
                raise ValueError(f"two models have the {what} {twice[0]!r}")
        return models

    @model_validator(mode="after")
    def _records_outlive_their_jobs(self) -> Self:
        if self.store.retention_s < self.limits.deadline_s:
            raise ValueError("store.retention_s must not be shorter than limits.deadline_s")
        return self

    @model_validator(mode="after")
    def _answers_are_kept_as_long_as_they_are_given_again(self) -> Self:
        if self.cache_ttl_s < self.cache.ttl_s and "ttl_s" in self.cache.model_fields_set:
            raise ValueError(
                "cache.ttl_s must not be longer than store.retention_s: an answer is given again "
                "out of the job that has it"
            )
        return self

    @model_validator(mode="after")
    def _routes_are_served(self) -> Self:
        served = self.catalogue.served_routes
        for what, route in self._named_routes():
            if self.catalogue.models and route not in served:
                raise ValueError(
                    f"{what}: no model serves {route!r}; there are: {', '.join(served)}; "
                    "give a model that role"
                )
        return self

    @model_validator(mode="after")
    def _aliases_mean_something(self) -> Self:
        own = {*self.catalogue.addressable, *self.catalogue.named, *self.catalogue.embedders}
        for alias, target in self.api.aliases.items():
            if self.models and target not in own:
                raise ValueError(
                    f"api.aliases: {alias!r} means {target!r}, which is not here; "
                    f"there are: {', '.join(self.catalogue.addressable)}"
                )
            if alias in own:
                raise ValueError(f"api.aliases: {alias!r} is a name already; choose another")
        return self

    @model_validator(mode="after")
    def _what_is_compared_with_has_a_price(self) -> Self:
        try:
            _ = self.reference
        except ValueError as error:
            raise ValueError(f"report.compare_with: {error}") from None
        return self

    def _named_routes(self) -> Iterator[tuple[str, str]]:
        for own in self.router.routes:
            yield "router.routes", own.name
        for route in self.overflow.routes:
            yield "overflow.routes", route
        for experiment in self.router.experiments:
            for arm in experiment.arms:
                for route in arm.instead.values():
                    yield f"router.experiments: arm {arm.name!r}", route

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment over file."""
        return (init_settings, _FileAndEnvironment(settings_cls))

    @cached_property
    def catalogue(self) -> Catalogue:
        """The models, with lookups."""
        return Catalogue(self.models)

    @cached_property
    def reference(self) -> Reference:
        """The model that costs and savings are held against."""
        return reference(self.catalogue, self.report.compare_with)

    @property
    def cache_ttl_s(self) -> int:
        """Seconds for which an answer is given again: never longer than its job is kept."""
        return min(self.cache.ttl_s, self.store.retention_s)

    @property
    def broker(self) -> str:
        """The address of Celery's broker."""
        return self.broker_url or self.redis_url

    @property
    def broker_is_store(self) -> bool:
        """Whether messages and records live in the same Redis, so that one script writes both."""
        return self.broker == self.redis_url


def presets_dir() -> Path:
    """Where the ready-made configurations lie: in the package, or in a clone's `deploy/`."""
    packaged = Path(__file__).parent / "presets"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / "deploy" / "presets"


def preset_names() -> list[str]:
    """The names that `--preset` and `FLEET_PRESET` take."""
    return sorted(path.stem for path in presets_dir().glob("*.toml"))


def find_config(environ: Mapping[str, str]) -> Path:
    """The file to read: `FLEET_CONFIG`, `./fleet.toml`, or a preset (`two-models` by default)."""
    if named := environ.get("FLEET_CONFIG"):
        return Path(named)
    here = Path("fleet.toml")
    if here.is_file() and not environ.get("FLEET_PRESET"):
        return here
    return preset_path(environ.get("FLEET_PRESET") or "two-models")


def preset_path(name: str) -> Path:
    """The file of a preset.

    Raises:
        ConfigError: there is no preset of that name.
    """
    path = presets_dir() / f"{name}.toml"
    if not path.is_file():
        raise ConfigError(f"no preset {name!r}; there are: {', '.join(preset_names())}")
    return path


def load(config: Path | None = None) -> Settings:
    """Read the settings of this process from the file and the environment.

    Raises:
        ConfigError: the file cannot be read, or a key or value is wrong. The message has
            one line for each mistake: where it is, what it says, what is allowed.
    """
    path = config or find_config(os.environ)
    _refuse_unknown_variables(os.environ)
    _refuse_unreadable_keys(os.environ)
    _FileAndEnvironment.file_values = _read(path)
    try:
        return Settings()
    except ValidationError as error:
        raise ConfigError(explain(error, path, Settings)) from None
    except SettingsError as error:
        raise ConfigError(f"{error}: {error.__cause__ or ''}") from None
    finally:
        _FileAndEnvironment.file_values = {}


class _FileAndEnvironment(EnvSettingsSource):
    """The file's values with the environment's laid over them, models matched by name."""

    file_values: ClassVar[dict[str, Any]] = {}

    def __call__(self) -> dict[str, Any]:
        environment = super().__call__()
        by_name = environment.pop("models", {})
        values = _merge(self.file_values, environment)
        models = values.get("models", [])
        if not isinstance(by_name, dict):
            raise ConfigError(f"{PREFIX}MODELS: set {PREFIX}MODELS__NAME__KEY for one model's key")
        if isinstance(models, list):
            values["models"] = _overlay_models(models, by_name)
        return values


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        both = isinstance(under, dict) and isinstance(value, dict)
        merged[key] = _merge(under, value) if both else value  # type: ignore[arg-type]
    return merged


def _overlay_models(models: list[Any], by_name: dict[str, Any]) -> list[Any]:
    """`FLEET_MODELS__MY_MODEL__URL` is for the model `my-model`."""
    known = {_as_variable(m["name"]): m for m in models if isinstance(m, dict) and "name" in m}
    for variable, values in by_name.items():
        if not isinstance(values, dict):
            raise ConfigError(
                f"{PREFIX}MODELS__{variable.upper()}: name a key, such as "
                f"{PREFIX}MODELS__{variable.upper()}__URL"
            )
        if variable not in known:
            raise ConfigError(
                f"{PREFIX}MODELS__{variable.upper()}: the catalogue has no such model; "
                f"there are: {', '.join(known) or 'none'}"
            )
    return [
        _merge(m, _decoded(by_name.get(_as_variable(m["name"]), {})))
        if isinstance(m, dict) and "name" in m
        else m
        for m in models
    ]


def _as_variable(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "_", str(name).lower())


def _decoded(values: dict[str, Any]) -> dict[str, Any]:
    """Lists and tables arrive as JSON text."""
    return {key: _from_json(key, value) for key, value in values.items()}


def _from_json(key: str, value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith(("[", "{")):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise ConfigError(
            f"{PREFIX}MODELS__…__{key.upper()}: {value!r} is not valid JSON: {error}"
        ) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None


def _refuse_unknown_variables(environ: Mapping[str, str]) -> None:
    for variable in environ:
        if not variable.startswith(PREFIX) or variable in NOT_SETTINGS:
            continue
        first = variable.removeprefix(PREFIX).lower().split("__")[0]
        if first not in Settings.model_fields:
            near = get_close_matches(first, Settings.model_fields, n=1)
            hint = f"; did you mean {PREFIX}{near[0].upper()}?" if near else ""
            raise ConfigError(f"{variable}: no such setting{hint}")


def _refuse_unreadable_keys(environ: Mapping[str, str]) -> None:
    variable = f"{PREFIX}API__KEYS"
    try:
        json.loads(environ.get(variable, "{}"))
    except ValueError as error:
        raise ConfigError(
            f'{variable}: not valid JSON: {error}; it is written {{"alice": "KEY", "bob": "KEY"}}'
        ) from None
