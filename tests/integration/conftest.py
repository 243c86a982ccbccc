"""A fleet on fake model servers, shared by the tests of this folder that harm nothing."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

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
