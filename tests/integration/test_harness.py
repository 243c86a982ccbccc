"""The harness itself: what the other tests rely on."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from tests.conftest import InternetRefused, is_permanent
from tests.support import NO_RETRY, ROOT, Valkey, free_port, until, wait_until


def test_a_wait_that_fails_says_what_it_waited_for_and_what_it_saw() -> None:
    with pytest.raises(AssertionError, match=r"0\.03 s: the moon is full; last seen: \[\]"):
        wait_until(lambda: [], "the moon is full", timeout=0.03)


async def test_a_wait_in_a_coroutine_fails_with_the_same_words() -> None:
    with pytest.raises(AssertionError, match=r"the moon is full; last seen: 0"):
        await until(lambda: 0, "the moon is full", timeout=0.03)


def test_a_wait_gives_back_what_it_waited_for() -> None:
    answers = iter([None, "", "there"])
    assert wait_until(lambda: next(answers), "an answer") == "there"


def test_a_free_port_can_be_listened_on() -> None:
    with socket.create_server(("127.0.0.1", free_port())):
        pass


def test_no_test_can_connect_to_the_internet() -> None:
    with socket.socket() as leaving, pytest.raises(InternetRefused):
        leaving.connect(("192.0.2.1", 80))


def test_no_test_can_look_up_a_name_on_the_internet() -> None:
    with pytest.raises(InternetRefused):
        socket.create_connection(("api.anthropic.com", 443))


def test_a_name_that_nobody_has_is_unknown_without_asking() -> None:
    with pytest.raises(socket.gaierror):
        socket.create_connection(("model.invalid", 443))


def test_nothing_in_the_environment_can_cost_money_or_change_the_settings() -> None:
    names = {name for name in os.environ if name.startswith(("FLEET_", "ANTHROPIC_"))}
    assert names == {"FLEET_HOME"}
    assert not [name for name in os.environ if name.upper().endswith("_PROXY")]


def test_each_test_begins_with_an_empty_database(redis_url: str) -> None:
    with Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("left-by-a-test", "1")


def test_the_database_is_closed_to_whoever_has_no_password(redis_url: str) -> None:
    port = redis_url.rsplit(":", 1)[1]
    with (
        Redis.from_url(f"redis://127.0.0.1:{port}", retry=NO_RETRY) as client,
        pytest.raises(RedisError, match=r"(?i)auth"),
    ):
        client.ping()


def test_only_the_indexes_may_stay_for_ever() -> None:
    indexes = (
        "fleet:jobs:local",
        "fleet:due",
        "fleet:due:later",
        "fleet:nodes",
        "fleet:waiting:fast",
    )
    assert all(is_permanent(key) for key in indexes)
    others = ("fleet:job:job_1", "fleet:job:job_1:log", "fleet:idem:1", "fleet:claim:a#1")
    assert not any(is_permanent(key) for key in others)


def test_a_killed_valkey_comes_back_with_what_was_written(own_valkey: Valkey) -> None:
    with Redis.from_url(own_valkey.url, decode_responses=True) as client:
        client.set("kept", "yes")
    own_valkey.kill()
    own_valkey.start()
    with Redis.from_url(own_valkey.url, decode_responses=True) as client:
        assert client.get("kept") == "yes"


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
def test_a_killed_test_run_leaves_no_process_behind(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from tests.support import Valkey\n"
        f"server = Valkey(Path({str(tmp_path)!r})); server.start()\n"
        "print(server.pid, flush=True); input()"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with run:
        assert run.stdout is not None
        pid = int(run.stdout.readline())
        assert is_running(pid)
        run.send_signal(signal.SIGKILL)
        wait_until(lambda: not is_running(pid), "the kernel ended the server")


def is_running(pid: int) -> bool:
    """Whether a process runs; one that has ended but was not yet waited for does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
