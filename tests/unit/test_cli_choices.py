"""What the commands decide before they do anything."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.demo import what_went_wrong
from cli.environment import for_ours, for_stranger, model_variable
from cli.failures import AlreadyRunning, ApiError, NoFleet, exit_code
from cli.follow import route_line
from cli.jobs import MOST
from cli.main import app
from cli.outcome import Outcome, first_token_ms, speed_line, tokens_per_second
from cli.ready import health_gap
from cli.roles import find_model, refuse_open_door
from cli.up import choose_config
from fleet.catalogue import Catalogue, Model
from fleet.errors import ConfigError
from fleet.settings import Api, Settings, preset_path


def test_what_is_named_comes_before_what_lies_here_and_the_demo_is_last(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    environ = {"FLEET_CONFIG": "/etc/fleet.toml", "FLEET_PRESET": "two-models"}
    assert choose_config(mine, "demo", environ, tmp_path)[0] == mine
    assert choose_config(None, "three-models", environ, tmp_path)[0] == preset_path("three-models")
    assert choose_config(None, None, environ, tmp_path)[0] == Path("/etc/fleet.toml")
    del environ["FLEET_CONFIG"]
    assert choose_config(None, None, environ, tmp_path)[0] == preset_path("two-models")
    (tmp_path / "fleet.toml").touch()
    assert choose_config(None, None, {}, tmp_path)[0] == tmp_path / "fleet.toml"
    (tmp_path / "fleet.toml").unlink()
    path, said = choose_config(None, None, {}, tmp_path)
    assert path == preset_path("demo")
    assert "no configuration was named" in said


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
async def test_an_open_door_needs_a_key(host: str) -> None:
    nowhere = "redis://127.0.0.1:1/0"
    with pytest.raises(ConfigError, match="FLEET_API__KEY"):
        await refuse_open_door(Settings(redis_url=nowhere, api=Api(host=host)))
    for keys in (Api(host=host, key="k"), Api(host=host, keys={"alice": "k" * 16})):
        await refuse_open_door(Settings(redis_url=nowhere, api=keys))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
async def test_loopback_needs_none(host: str) -> None:
    await refuse_open_door(Settings(api=Api(host=host)))


def test_an_unknown_model_is_answered_with_the_catalogue() -> None:
    catalogue = Catalogue((Model(name="fast", url="http://127.0.0.1:1"),))
    with pytest.raises(ConfigError, match="no model 'fats' in the catalogue; there are: fast"):
        find_model(catalogue, "fats")


def test_a_models_variable_is_spelled_as_the_settings_read_it() -> None:
    assert model_variable("my-model.2", "url") == "FLEET_MODELS__MY_MODEL_2__URL"


def test_strangers_learn_nothing_of_ours() -> None:
    environ = {"PATH": "/bin", "KEY": "secret", "FLEET_REDIS_URL": "redis://:p@h"}
    hidden = frozenset({"KEY"})
    assert for_stranger(environ, hidden) == {"PATH": "/bin"}
    assert "KEY" not in for_ours(environ, hidden, {})
    assert for_ours(environ, hidden, {}, ["KEY"])["KEY"] == "secret"


def test_a_fleet_is_ready_when_each_process_has_reported() -> None:
    health = {"router": {"workers": 1}, "models": {"fast": {"workers": 0}}}
    assert health_gap("router", "router", health) == ""
    assert health_gap("worker", "fast", health) == "it has not reported yet"
    assert health_gap("worker", "other", health) == "it has not reported yet"
    assert health_gap("api", "api", health) == ""
    assert health_gap("api", "api", None) == "the API does not answer"


def test_exit_codes_tell_a_wrong_configuration_from_nobody_there() -> None:
    assert exit_code(ConfigError("x")) == 2
    assert exit_code(NoFleet("http://x")) == 3
    assert exit_code(AlreadyRunning("x")) == 1
    assert exit_code(ApiError(404, {})) == 1


JOB = {
    "model": "fast",
    "created_at": 1000,
    "first_token_at": 1120,
    "finished_at": 3120,
    "usage": {"completion_tokens": 101},
}


def test_speed_is_the_servers_own_figure_or_counted_after_the_first_token() -> None:
    assert first_token_ms(JOB) == 120
    assert tokens_per_second(JOB) == 50
    timed = {**JOB, "usage": {"completion_tokens": 101, "timings": {"predicted_per_second": 80.4}}}
    line = speed_line(Outcome(status="completed", job=timed))
    assert line == "fast: completed, first token 120 ms, 101 tokens, 80 tokens/s"


def test_a_job_that_never_ran_has_no_speed() -> None:
    nothing = {"model": None, "created_at": 1000, "first_token_at": None, "usage": None}
    assert speed_line(Outcome(status="cancelled", job=nothing)) == "?: cancelled"


def test_the_way_of_a_job_is_shown_with_its_reasons() -> None:
    data = {"route": "tool", "model": "large", "reasons": ["tools were given", "tool is down"]}
    assert route_line(data) == "tool → large: tools were given; tool is down"
    assert route_line({"route": "fast", "model": "fast"}) == "fast → fast"


def outcome(model: str, status: str = "completed", reason: str = "") -> Outcome:
    return Outcome(status=status, end={"reason": reason}, job={"model": model})


def test_the_demo_is_content_with_three_ways_and_answers_cut_at_their_length() -> None:
    cut = outcome("large", "incomplete", "max_output_tokens")
    assert what_went_wrong([outcome("fast"), outcome("tool"), cut]) == ""


def test_the_demo_complains_about_a_failed_job_and_about_two_on_one_model() -> None:
    failed = outcome("large", "failed")
    assert "failed" in what_went_wrong([outcome("fast"), outcome("tool"), failed])
    complaint = what_went_wrong([outcome("fast"), outcome("fast"), outcome("large")])
    assert complaint == "the questions went to fast, fast, large, not to one model each"


def test_the_version_costs_no_import_of_the_heavy_libraries() -> None:
    code = (
        "import sys\n"
        "sys.argv = ['fleet', 'version']\n"
        "from cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'celery', 'fastapi', 'redis', 'anthropic', 'httpx'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("chat-fleet ")


@pytest.mark.parametrize(
    "command",
    ["up", "demo", "ask", "jobs", "job", "cancel", "worker", "router", "api", "version"],
)
def test_every_command_explains_itself(command: str) -> None:
    done = CliRunner().invoke(app, [command, "--help"])
    assert done.exit_code == 0
    assert "Usage" in done.output


def test_a_list_longer_than_the_api_gives_is_refused_at_once() -> None:
    done = CliRunner().invoke(app, ["jobs", "--limit", "201"])
    assert done.exit_code == 2
    assert str(MOST) in done.output


def fleet(tmp_path: Path, *argv: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    env = {**os.environ, "FLEET_HOME": str(tmp_path), **environ}
    command = [sys.executable, "-m", "cli.main", *argv]
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=60)


@pytest.mark.parametrize(
    ("argv", "environ", "said"),
    [
        (["up", "--config", "/no/such.toml"], {}, "/no/such.toml: no such file"),
        (["up", "--preset", "dmeo"], {}, "no preset 'dmeo'; there are: by-domain, demo"),
        (["worker", "fats"], {}, "no model 'fats' in the catalogue; there are: fast, tool"),
        (["worker", "claude"], {}, "ANTHROPIC_API_KEY is not set"),
        (["api"], {"FLEET_API__HOST": "0.0.0.0"}, "set FLEET_API__KEY"),
        (["up"], {"FLEET_API__PROT": "1"}, "unknown key; did you mean 'port'?"),
        (["router"], {"FLEET_REDIS_ULR": "x"}, "did you mean FLEET_REDIS_URL?"),
    ],
)
def test_a_wrong_configuration_is_one_message_and_code_2(
    tmp_path: Path, argv: list[str], environ: dict[str, str], said: str
) -> None:
    done = fleet(tmp_path, *argv, **environ)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_fleet_the_message_says_how_to_start_one(tmp_path: Path) -> None:
    done = fleet(tmp_path, "ask", "hello", "--url", "http://127.0.0.1:1")
    assert done.returncode == 3
    assert "No fleet answers at http://127.0.0.1:1. Start one with `fleet up`." in done.stderr


def test_nothing_to_ask_is_refused(tmp_path: Path) -> None:
    assert fleet(tmp_path, "ask", " ").returncode == 1
