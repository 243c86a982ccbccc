"""Fixtures: a real Valkey, fake model servers as real programs, and no way to the internet."""

import functools
import os
import re
import socket
import tempfile
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import settings
from redis import Redis

from fleet import names
from tests.fakes.handle import Fake
from tests.support import Valkey


def pytest_configure(config: pytest.Config) -> None:
    """Before anything of ours is imported: an environment in which nothing can cost money."""
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    for variable in list(os.environ):
        if variable.startswith("FLEET_") or variable.upper().endswith("_PROXY"):
            patch.delenv(variable)
    patch.delenv("ANTHROPIC_API_KEY", raising=False)
    patch.delenv("ANTHROPIC_AUTH_TOKEN", raising=False)
    patch.delenv("ANTHROPIC_BASE_URL", raising=False)
    home = tempfile.TemporaryDirectory(prefix="fleet-tests-")
    config.add_cleanup(home.cleanup)
    patch.setenv("FLEET_HOME", home.name)
    settings.register_profile("long", max_examples=2_500)
    if profile := os.environ.get("HYPOTHESIS_PROFILE"):
        settings.load_profile(profile)


class InternetRefused(RuntimeError):
    """A test tried to leave this machine."""


@pytest.fixture(autouse=True, scope="session")
def no_internet() -> Iterator[None]:
    """Sockets of the test process reach the loopback interface only, names are not asked for."""
    with pytest.MonkeyPatch.context() as patch:
        for method in ("connect", "connect_ex"):
            patch.setattr(socket.socket, method, _guarded(getattr(socket.socket, method)))
        patch.setattr(socket, "getaddrinfo", _guarded_lookup(socket.getaddrinfo))
        yield


def _guarded(connect: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(connect)
    def guarded(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_here(address[0]):
            raise InternetRefused(f"a test tried to connect to {address!r}")
        return connect(self, address)

    return guarded


def _guarded_lookup(lookup: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(lookup)
    def guarded(host: Any, *args: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name and name.endswith(".invalid"):  # reserved for names that nobody has
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if name and not _is_here(name) and not _is_address(name):
            raise InternetRefused(f"a test tried to look up {name!r}")
        return lookup(host, *args, **options)

    return guarded


def _is_address(host: str) -> bool:
    try:
        ip_address(host.split("%")[0])
    except ValueError:
        return False
    return True


def _is_here(host: str) -> bool:
    if not _is_address(host):
        return host in ("localhost", socket.gethostname())
    address = ip_address(host.split("%")[0])
    return address.is_loopback or address.is_unspecified


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Valkey for the whole run. If it cannot start, that is an error."""
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server.url
    server.stop()


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Valkey]:
    """A Valkey for one test alone: to be stopped, killed and started again."""
    server = Valkey(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(valkey: str) -> Iterator[str]:
    """The address of an empty database; afterwards, no key may be left that never expires."""
    with Redis.from_url(valkey, decode_responses=True) as client:
        client.flushdb()
        yield valkey
        immortal = [key for key in client.scan_iter("fleet:*") if client.ttl(key) == -1]
    unexpected = sorted(key for key in immortal if not is_permanent(key))
    assert not unexpected, f"keys without a TTL: {unexpected}"


def is_permanent(key: str) -> bool:
    """Whether the table in `fleet/names.py` calls the key permanent."""
    rows = re.findall(r"^(fleet:\S+)\s+\w+\s+permanent\b", names.__doc__ or "", re.MULTILINE)
    patterns = ("".join(_part(part) for part in re.split(r"(\{\w+\})", row)) for row in rows)
    return any(re.fullmatch(pattern, key) for pattern in patterns)


def _part(part: str) -> str:
    return "[^:]+" if part.startswith("{") else re.escape(part)


class FakeLlama(Protocol):
    """Starts a fake llama-server; its options are those of `tests.fakes.model_server.Options`."""

    def __call__(self, name: str = "fast", **options: Any) -> Fake: ...


@pytest.fixture
def start_fake(tmp_path: Path) -> Iterator[Callable[..., Fake]]:
    """Starts fakes by the name of their program and ends them after the test."""
    running: list[Fake] = []

    def start(program: str, **options: Any) -> Fake:
        args = [_as_argument(key, value) for key, value in options.items()]
        fake = Fake(program, tmp_path / f"{program}-{len(running)}.log", *args)
        running.append(fake)
        fake.start()
        return fake

    yield start
    for fake in running:
        fake.close()


def _as_argument(key: str, value: Any) -> str:
    flag = "--" + key.replace("_", "-")
    return flag if value is True else f"{flag}={value}"


@pytest.fixture
def fake_llama(start_fake: Callable[..., Fake]) -> FakeLlama:
    """A function that starts a fake llama-server: `fake_llama("fast", slots=2, tps=200)`."""

    def start(name: str = "fast", **options: Any) -> Fake:
        return start_fake("llama_server", name=name, **options)

    return start


@pytest.fixture
def fake_anthropic(start_fake: Callable[..., Fake]) -> Fake:
    """A running fake of Anthropic's API."""
    return start_fake("anthropic_api", slots=64)
