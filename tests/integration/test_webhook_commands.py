"""`fleet webhooks`: secrets and what is not delivered, for whoever runs the fleet."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from fleet.callers import Caller
from fleet.dispatch import Dispatcher
from fleet.job import NewJob, new_job_id
from fleet.keys import Keys
from fleet.ledger import Ledger, connect
from fleet.settings import Settings
from fleet.webhooks.delivery import State
from fleet.webhooks.outbox import Outbox
from fleet.webhooks.schedule import Answer
from fleet.webhooks.signing import secret_of
from tests.integration.conftest import MODEL
from tests.support import ROOT

KEYS = '{"alice": "alices-key-0123456789", "bob": "bobs-key-0123456789"}'


class Command:
    """The command, on a fleet of which only Redis runs."""

    def __init__(self, folder: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        config = folder / "fleet.toml"
        config.write_text(
            MODEL.format(name="fast", url="http://127.0.0.1:1", slots=1, context=4096)
        )
        monkeypatch.setenv("FLEET_CONFIG", str(config))
        monkeypatch.setenv("FLEET_REDIS_URL", redis_url)

    def __call__(self, *words: str, fails: int = 0) -> str:
        command = [sys.executable, "-m", "cli.main", "webhooks", *words]
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == fails or (fails and done.returncode), done.stderr
        return done.stderr if fails else done.stdout


@pytest.fixture
def command(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(tmp_path, redis_url, monkeypatch)


def test_a_secret_is_shown_alone_and_is_that_of_the_caller(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = command("secret")
    assert kept == command("secret", "local")
    assert kept.startswith("whsec_")
    monkeypatch.setenv("FLEET_WEBHOOKS__SECRET", "a master of our own")
    monkeypatch.setenv("FLEET_API__KEYS", KEYS)
    assert command("secret") == command("secret", "alice")
    assert command("secret", "bob").strip() == secret_of("a master of our own", "bob")
    assert "there are: alice, bob" in command("secret", "eve", fails=1)


async def test_who_has_a_key_in_redis_has_a_secret_too(command: Command, redis_url: str) -> None:
    settings = Settings(redis_url=redis_url)
    line = connect(settings)
    await Keys(line).create(Caller("carol"))
    await line.aclose()
    shown = await asyncio.to_thread(command, "secret", "carol")
    assert shown.startswith("whsec_")
    assert await asyncio.to_thread(command, "secret") == shown
    assert "there are: carol" in await asyncio.to_thread(command, "secret", "local", fails=1)


async def test_what_was_given_up_is_listed_and_tried_again(
    command: Command, redis_url: str
) -> None:
    assert command("list").startswith("Nothing waits")
    models = ({"name": "fast", "url": "http://127.0.0.1:1"},)
    settings = Settings.model_validate({"redis_url": redis_url, "models": models})
    line = connect(settings)
    dispatcher = Dispatcher(settings)
    ledger, outbox = Ledger(line, settings, dispatcher), Outbox(line, settings, dispatcher)
    job_id = new_job_id()
    new = NewJob(job_id, {"messages": []}, "local", ["fast"], 60, webhook="https://x/?hidden")
    await ledger.create(new)
    assert "has not ended" in command("retry", job_id, fails=1)
    await ledger.cancel(job_id)
    [delivery] = await outbox.take(1)
    await outbox.settle(delivery, State.FAILED, Answer(410))
    [shown] = json.loads(command("list", "--json"))["webhooks"]
    assert (shown["job_id"], shown["state"], shown["last_status"]) == (job_id, "failed", 410)
    table = command("list")
    assert job_id in table
    assert "hidden" not in table
    assert "will be tried now" in command("retry", job_id)
    assert [one.job_id for one in await outbox.take(1)] == [job_id]
    assert "no job" in command("retry", new_job_id(), fails=1)
    assert "no job" in command("retry", "x", fails=1)
    await line.aclose()


def test_a_router_is_not_started_on_a_queue_that_it_does_not_serve() -> None:
    command = [sys.executable, "-m", "cli.main", "router", "-Q", "router,fast"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode != 0
    assert "a router serves router,webhooks, or one of them" in done.stderr
