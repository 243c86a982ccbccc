"""Settings: one file, the environment over it, every mistake named."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from fleet.errors import ConfigError
from fleet.settings import Api, load, preset_names, preset_path

SMALLEST = '[[models]]\nname = "{0}"\nurl = "http://127.0.0.1:{1}"\n'


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "fleet.toml"
    path.write_text(SMALLEST.format("fast", 8081) + SMALLEST.format("my-model", 8080))
    return path


def test_three_lines_per_model_are_enough(config: Path) -> None:
    fast, other = load(config).models
    assert (fast.name, fast.base_url, fast.queue) == ("fast", "http://127.0.0.1:8081", "fast")
    assert fast.roles == ("fast",)
    assert (other.roles, other.slots) == (("fast", "tool", "large"), 1)


def test_the_environment_wins_over_the_file(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_API__PORT", "8001")
    monkeypatch.setenv("FLEET_REDIS_URL", "redis://10.0.0.1:6379/2")
    monkeypatch.setenv("FLEET_MODELS__MY_MODEL__SLOTS", "7")
    monkeypatch.setenv("FLEET_MODELS__MY_MODEL__ROLES", '["tool"]')
    settings = load(config)
    assert settings.api.port == 8001
    assert settings.redis_url == "redis://10.0.0.1:6379/2"
    assert (settings.models[1].slots, settings.models[1].roles) == (7, ("tool",))
    assert settings.models[0].slots == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "[api]\nprot = 1\n",
            ["api.prot: unknown key; did you mean 'port'?", "allowed: host, port"],
        ),
        ("[api]\nport = 99999\n", ["api.port", "65535", "99999"]),
        ("[apo]\nport = 1\n", ["apo: unknown key; did you mean 'api'?"]),
        (
            "[overflow.routes.fast]\nmax_wait = 3\n",
            ["overflow.routes.fast.max_wait: unknown key; did you mean 'max_wait_s'?"],
        ),
        (
            '[overflow.routes]\nfast = "reject"\n',
            ["overflow.routes.fast: write it as a table", "[overflow.routes.fast]"],
        ),
        ("[cache]\nsemantic = true\n", ["its keys under [cache.semantic]"]),
        ('[report]\ncompare_with = "gpt-9"\n', ["\n  report.compare_with: no price of"]),
        ('[[models]]\nname = "a"\n', ["models[0]", "url"]),
        ('[[models]]\nname = "a"\nulr = "http://x"\n', ["models[0].ulr", "did you mean 'url'?"]),
        ('[[models]]\nname = "A b"\nurl = "http://x"\n', ["models[0].name", "'A b'"]),
        ('[[models]]\nname = "a"\nurl = "x"\n', ["models[0].url"]),
        ('[[models]]\nname = "a"\nurl = "http://x"\nslots = 0\n', ["models[0].slots", "0"]),
        ('[[models]]\nname = "auto"\nurl = "http://x"\n', ["auto"]),
        (SMALLEST.format("a", 1) + SMALLEST.format("a", 2), ["two models have the name 'a'"]),
        ("[api\n", ["not valid TOML", "line 1"]),
        ("models = 3\n", ["models"]),
        ("[workers]\ndrain_s = inf\n", ["workers.drain_s"]),
        (
            SMALLEST.format("a", 1)
            + '[[router.routes]]\nname = "law"\ndescription = ""\nexamples = ["a", "b", "c"]\n',
            ["router.routes: no model serves 'law'"],
        ),
        ('[api]\nkeys = { "A b" = "x" }\n', ["api.keys: name 1", "a-z 0-9 . _ -"]),
        ('[api]\nkeys = { eve = "short" }\n', ["api.keys: the key of 'eve'", "openssl"]),
        (f'[api]\nkeys = {{ eve = "{"a b" * 9}" }}\n', ["none of them a space"]),
        (
            f'[api]\nkeys = {{ eve = "{"k" * 16}", bob = "{"k" * 16}" }}\n',
            ["api.keys: 'bob' and 'eve' have the same key"],
        ),
        (
            f'[api]\nkey = "{"k" * 16}"\nkeys = {{ eve = "{"k" * 16}" }}\n',
            ["'eve' and `api.key` have the same key"],
        ),
        (
            '[[models]]\nname = "a"\nkind = "openai"\nmodel = "b"\n',
            ["models[0]: no price of 'b' is known: give `price`", "[prices]"],
        ),
        ('[[models]]\nname = "a"\nkind = "openai"\n', ["models[0]: give `model`, the provider's"]),
        ("[cache]\nttl_s = 90000\n", ["cache.ttl_s", "store.retention_s"]),
        ("[cache]\nttl_s = 0\n", ["cache.ttl_s"]),
        ('[webhooks]\nsecret = "short"\n', ["webhooks.secret", "openssl"]),
        ('[webhooks]\nallow = ["ten"]\n', ["webhooks.allow[0]", "'ten'"]),
        ('[webhooks]\nca_file = "/nowhere"\n', ["webhooks.ca_file"]),
        ("[store]\nretention_s = 60\n[limits]\ndeadline_s = 61\n", ["store.retention_s"]),
    ],
)
def test_a_mistake_is_named_with_its_place_and_the_cure(
    tmp_path: Path, text: str, told: list[str]
) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        load(path)
    for part in (str(path), *told):
        assert part in error.value.message


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("FLEET_API__PROT", "1", "api.prot"),
        ("FLEET_APY__PORT", "1", "FLEET_APY__PORT: no such setting; did you mean FLEET_API?"),
        ("FLEET_MODELS__SLOW__URL", "http://x", "FLEET_MODELS__SLOW: the catalogue has no such"),
        ("FLEET_API__PORT", "many", "api.port"),
        ("FLEET_MODELS__FAST__ROLES", "[bad", "is not valid JSON"),
        ("FLEET_MODELS__FAST", "foo", "FLEET_MODELS__FAST: name a key"),
        ("FLEET_MODELS__FAST__SLOTS", "many", "models[0].slots"),
    ],
)
def test_a_mistake_in_the_environment_is_named_too(
    config: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, told: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError) as error:
        load(config)
    assert told in error.value.message


SECRET = "s3cret-0123456789"


def test_aliases_mean_names_that_there_are(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    aliases = {"gpt-4o": "auto", "openai/mini": "fast", "gpt-4": "large"}
    monkeypatch.setenv("FLEET_API__ALIASES", json.dumps(aliases))
    assert load(config).api.aliases == aliases


@pytest.mark.parametrize(
    ("alias", "target", "told"),
    [
        ("gpt-4o", "gpt-4", "'gpt-4o' means 'gpt-4', which is not here; there are: auto, fast"),
        ("my-model", "fast", "'my-model' is a name already"),
        ("auto", "fast", "'auto' is a name already"),
        ("my model", "fast", "visible characters"),
        ("", "fast", "visible characters"),
    ],
)
def test_an_alias_that_says_nothing_is_a_mistake(
    config: Path, monkeypatch: pytest.MonkeyPatch, alias: str, target: str, told: str
) -> None:
    monkeypatch.setenv("FLEET_API__ALIASES", json.dumps({alias: target}))
    with pytest.raises(ConfigError) as caught:
        load(config)
    assert told in str(caught.value)


def test_an_alias_may_mean_a_model_that_is_switched_off(config: Path) -> None:
    off = SMALLEST.format("later", 8082) + "enabled = false\n"
    config.write_text(config.read_text() + off + '[api.aliases]\n"gpt-9" = "later"\n')
    assert load(config).api.aliases == {"gpt-9": "later"}


def test_keys_of_callers_come_from_file_and_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text(f'[api]\nkey = "k"\nkeys = {{ alice = "{SECRET}" }}\n')
    monkeypatch.setenv("FLEET_API__KEYS", f'{{"bob": "{SECRET}-bob"}}')
    monkeypatch.setenv("FLEET_API__KEYS__EVE", f"{SECRET}-eve")
    api = load(path).api
    assert api.callers == {
        "k": "default",
        SECRET: "alice",
        f"{SECRET}-bob": "bob",
        f"{SECRET}-eve": "eve",
    }
    assert api.own_key == "k"
    assert SECRET not in repr(api)


@pytest.mark.parametrize("where", ["key = '{}'", "keys = {{ alice = '{}' }}"])
def test_a_key_of_redis_is_none_of_the_settings(tmp_path: Path, where: str) -> None:
    path, key = tmp_path / "fleet.toml", "fleet-" + "Ab_-" * 8
    path.write_text(f"[api]\n{where.format(key)}\n")
    with pytest.raises(ConfigError, match="Our commands take it from FLEET_KEY") as error:
        load(path)
    assert key not in error.value.message


@pytest.mark.parametrize(
    "text",
    [
        f'keys = "{SECRET}"',
        f'keys = ["{SECRET}"]',
        f'keys = {{ "{SECRET} {SECRET}" = "alice" }}',
        f'keys = {{ alice = ["{SECRET}"] }}',
        f'keys = {{ alice = "{SECRET}", bob = "{SECRET}" }}',
        f'keys = {{ alice = "{SECRET} " }}',
        "keys = { alice = 1234567890123456 }",
        f'key = ["{SECRET}"]',
        "key = 1234567890123456",
    ],
)
def test_a_mistake_in_a_key_never_shows_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text(f"[api]\n{text}\n")
    with pytest.raises(ConfigError, match=r"  api\.key") as error:
        load(path)
    assert SECRET not in error.value.message
    assert "1234567890123456" not in error.value.message


@pytest.mark.parametrize("value", [SECRET, f'{{"alice": "{SECRET}"', f'["{SECRET}"]', "3"])
def test_a_mistake_in_the_variable_of_keys_never_shows_them(
    config: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("FLEET_API__KEYS", value)
    with pytest.raises(ConfigError, match=r"(?i)api[._]+keys: ") as error:
        load(config)
    assert SECRET not in error.value.message


def test_a_missing_file_and_a_missing_preset_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: no such file"):
        load(tmp_path / "nowhere.toml")
    with pytest.raises(ConfigError, match="no preset 'nothing'; there are: by-domain, demo"):
        preset_path("nothing")


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_valid_and_serves_every_route(name: str) -> None:
    catalogue = load(preset_path(name)).catalogue
    for route in ("fast", "tool", "large"):
        first = catalogue.for_route(route)[0]
        assert not first.external


def test_claude_is_in_no_plan_without_a_key_and_last_with_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = preset_path("two-models")
    assert "claude" not in load(path).catalogue.addressable
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-test")
    catalogue = load(path).catalogue
    assert [m.name for m in catalogue.for_route("fast")] == ["fast", "tool", "claude"]
    assert [m.name for m in catalogue.for_route("large")] == ["tool", "fast", "claude"]
    assert catalogue.for_route("claude")[0].name == "claude"
    assert catalogue["claude"].calls_per_day == 100


OPENAI = """
[[models]]
name = "gpt-4"
kind = "openai"
model = "gpt-4o"
price = { input = 2.5, output = 10 }
"""


def test_an_external_model_of_any_kind_is_off_without_its_key_and_last_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text(SMALLEST.format("fast", 1) + OPENAI)
    without = load(path).catalogue
    assert "gpt-4" not in without.addressable
    assert without["gpt-4"].off == "no OPENAI_API_KEY, or `enabled = false`"
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    catalogue = load(path).catalogue
    model = catalogue["gpt-4"]
    assert [m.name for m in catalogue.for_route("large")] == ["fast", "gpt-4"]
    assert (model.base_url, model.roles) == ("https://api.openai.com/v1", ("claude",))
    assert (model.calls_per_day, model.images, model.off) == (100, False, "")
    monkeypatch.setenv("FLEET_MODELS__GPT_4__ENABLED", "false")
    assert load(path).catalogue["gpt-4"].off == "`enabled = false`"


@pytest.mark.parametrize(
    "router",
    [
        '[router]\nclassifier = "llm"\n',
        '[[router.experiments]]\nname = "x"\n'
        'arms = [{name = "a"}, {name = "b", classifier = "llm"}]\n',
    ],
)
def test_the_llm_classifier_needs_the_model_that_it_asks(
    config: Path, router: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text(config.read_text() + router)
    with pytest.raises(ConfigError, match=r"name it in router\.llm"):
        load(config)
    monkeypatch.setenv("FLEET_ROUTER__LLM", "fast")
    assert load(config).router.llm == "fast"


@pytest.mark.parametrize(
    "origin", ["*", "chat.example.org", "https://chat.example.org/", "https://a.org/page", "null"]
)
def test_an_origin_is_named_as_browsers_name_it(origin: str) -> None:
    with pytest.raises(ValidationError, match="is no origin: name each as a browser does"):
        Api(cors_origins=(origin,))


@pytest.mark.parametrize("origin", ["https://chat.example.org", "http://[::1]:3000", "app://-"])
def test_origins_of_all_schemes_may_be_named(origin: str) -> None:
    assert Api(cors_origins=(origin,)).cors_origins == (origin,)


def test_names_of_callers_in_the_settings_are_taken() -> None:
    api = Api(keys={"alice": "k" * 16})
    assert [api.takes_name(name) for name in ("alice", "local", "default", "bob")] == [
        *(True, True, True),
        False,
    ]
