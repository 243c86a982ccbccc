"""A fleet on fake model servers, shared by the tests of this folder that harm nothing."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from redis import Redis

from fleet.callers import Caller
from fleet.keys import Keys
from fleet.ledger import connect
from fleet.names import BOOK_PREFIX
from fleet.settings import Settings
from tests.fakes.handle import Fake
from tests.stack import Stack
from tests.support import Valkey

LEASE_S = 1.5
CONFIG = f"""
[workers]
lease_s = {LEASE_S}
drain_s = 0.5

[fallback]
rounds = 1

# Tests here make servers fail one after the other, and want to see each asked.
[breaker]
enabled = false

[api.aliases]
"gpt-4o" = "auto"
"openai/gpt-4o-mini" = "fast"
"""
MODEL = """
[[models]]
name = "{name}"
url = "{url}"
slots = {slots}
context = {context}
timeouts = {{ first_token_s = 3, between_tokens_s = 1 }}
"""


@dataclass
class Fleet:
    """A running stack and the fake servers behind it."""

    stack: Stack
    fast: Fake
    tool: Fake
    large: Fake

    def behave(self) -> None:
        """All servers answer well again."""
        for fake in (self.fast, self.tool, self.large):
            if fake.process is None:
                fake.start()
            fake.control()


@pytest.fixture(scope="session")
def shared_fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """One fleet of three models for the session."""
    folder = tmp_path_factory.mktemp("fleet")
    valkey = Valkey(folder)
    valkey.start()
    fakes = {
        name: Fake("llama_server", folder / f"{name}.log", "--slots=4", f"--name={name}")
        for name in ("fast", "tool", "large")
    }
    for fake in fakes.values():
        fake.start()
    entries = [
        MODEL.format(name=name, url=fake.url, slots=4, context=32768 if name == "large" else 4096)
        for name, fake in fakes.items()
    ]
    stack = Stack(folder, valkey.url, CONFIG + "".join(entries))
    stack.start_all(*fakes)
    yield Fleet(stack, **fakes)
    stack.stop()
    for fake in fakes.values():
        fake.close()
    valkey.stop()


@pytest.fixture
def fleet(shared_fleet: Fleet) -> Iterator[Fleet]:
    """The shared fleet, its servers behaving well before and after."""
    shared_fleet.behave()
    yield shared_fleet
    shared_fleet.behave()


@contextmanager
def with_claude(folder: Path, claude: str) -> Iterator[tuple[Stack, Fake, Fake]]:
    """A fleet of a local model `fast` and the one that `claude` configures, and their fakes."""
    valkey = Valkey(folder)
    valkey.start()
    local = Fake("llama_server", folder / "local.log", "--slots=4")
    api = Fake("anthropic_api", folder / "anthropic.log", "--slots=64")
    local.start()
    api.start()
    entries = MODEL.format(name="fast", url=local.url, slots=4, context=4096)
    config = (
        "[fallback]\nrounds = 1\n[breaker]\nenabled = false\n"
        + entries
        + claude.format(url=api.url)
    )
    stack = Stack(folder, valkey.url, config, FLEET_MODELS__CLAUDE__ENABLED="true")
    stack.start_api()
    stack.start_router()
    stack.start_worker("fast")
    stack.start_worker("claude", ANTHROPIC_API_KEY="sk-test")
    stack.wait_ready("fast", "claude")
    yield stack, local, api
    stack.stop()
    local.close()
    api.close()
    valkey.stop()


def new_day(stack: Stack) -> None:
    """Nothing is spent today."""
    with Redis.from_url(stack.env["FLEET_REDIS_URL"]) as client:
        for page in client.scan_iter(f"{BOOK_PREFIX}*"):
            client.delete(page)


def keyed(stack: Stack, key: str) -> httpx.Client:
    """A client that sends this key."""
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.Client(base_url=stack.url, headers=headers, timeout=60, trust_env=False)


def client_of(stack: Stack, caller: Caller) -> httpx.Client:
    """A client with a fresh key of that caller."""

    async def made() -> str | None:
        line = connect(Settings(redis_url=stack.env["FLEET_REDIS_URL"]))
        try:
            return await Keys(line).create(caller)
        finally:
            await line.aclose()

    key = asyncio.run(made())
    assert key
    return keyed(stack, key)
